//! The pod ends, and its node stays away.

use crate::draft::{Draft, Flow, Look};
use crate::members::{Match, Verdict, agree};
use crate::verify::listed_by;
use crate::{Call, Effect, Pod, Severity, Step};

use super::reclaim::reclaim;
use super::verify::survivors_agree;
use super::{fence_replacement, leave};

pub(crate) fn pod_gone(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if look.facts.target.replicas > draft.intent.ordinal.0 {
        return reclaim(draft, look);
    }
    fence_replacement(draft, look);
    let agree = survivors_agree(draft, look);
    match look.facts.pods.get(&draft.intent.ordinal) {
        Some(pod) => {
            rejoined(draft, look);
            linger(draft, look, pod);
        }
        None if agree => return draft.enter(Step::Volume),
        None => {}
    }
    Flow::Look
}

/// A pod that was made in the leaver's place just before the size fell runs on for its grace, and joins meanwhile
/// (`pods_delete_in_leave.txt`: joined 16 s after it was made, killed 46 s later, a dead member). It leaves by an
/// ordered leave as long as it can; there is nothing to drain, for it was never served.
fn rejoined(draft: &mut Draft, look: &Look<'_>) {
    let ordinal = draft.intent.ordinal;
    let theirs = look.same_pod(&draft.intent).is_none() || draft.intent.stranger;
    if !theirs || listed_by(&draft.intent, look).is_empty() {
        return;
    }
    if draft.intent.node.is_none() {
        draft.intent.node = look.name(ordinal).cloned();
    }
    let text = format!(
        "the node of pod {ordinal}, which is not wanted and ends, is a member: it joined in a pod that was made while \
         the size fell. It is asked to leave before its grace is over; what is left of it otherwise, VerifyFailed says"
    );
    draft.tell("LeaverRejoined", Severity::Warning, text);
    let counts = look.facts.nodes.get(&ordinal).and_then(|node| node.counts.seen());
    let few = counts.is_some_and(|counts| counts.online <= i64::from(look.limits.max_online_at_kill));
    // I3: no leave while any member, this one too, does not run in everybody's view.
    let whole = agree(look, ordinal.0 + 1, Match::Exact) == Verdict::Clear;
    if few && whole && look.facts.calls.leave != Call::InFlight {
        leave::ask(draft, look);
    }
}

fn linger(draft: &mut Draft, look: &Look<'_>, pod: &Pod) {
    let ordinal = draft.intent.ordinal;
    if !pod.deleting && look.now.since(draft.intent.entered) >= look.limits.pod_mark {
        draft.ask(Effect::DeletePod { ordinal, uid: pod.uid.clone() });
    }
    ends_late(draft, look, pod);
    if draft.wait("PodGone", look.limits.pod_gone) {
        let text = format!(
            "pod {ordinal} has left the cluster and is not wanted, but does not end; it stays fenced. See its \
             finalizers and its machine in `kubectl describe pod`: where that is gone for good, `kubectl delete \
             node` lets the pod go"
        );
        draft.tell("PodStays", Severity::Warning, text);
    }
}

/// Its container was started about when the pod was deleted, and heard no SIGTERM: it runs for its grace (61.8 s of 60,
/// and 5.4 s with the hook: `pods_killed_leaver.txt`). No deletion of ours can shorten that: kubelet does not look at a
/// second one while it waits, and without any grace the process outlives its pod (`pods_second_delete.txt`).
fn ends_late(draft: &mut Draft, look: &Look<'_>, pod: &Pod) {
    let anew = look.same_pod(&draft.intent).is_none_or(|own| own.restarts > draft.intent.restarts);
    if !anew || !pod.deleting || look.now.since(draft.intent.entered) < look.limits.pod_late {
        return;
    }
    let text = format!(
        "pod {} has left the cluster, and its container was started once more about when the pod was deleted: its first \
         process hears no SIGTERM before it asks for it, and then runs until terminationGracePeriodSeconds are over. \
         Nothing is lost meanwhile; the next change waits. A second `kubectl delete` does not shorten it, `--force` leaves \
         the process running: let it end. A preStop hook spares the wait (docs/operating.md, \"A pod that takes its whole \
         grace\")",
        draft.intent.ordinal
    );
    draft.tell("PodEndsLate", Severity::Info, text);
}
