//! The pod ends, and its node stays away.

use crate::members::{Match, Verdict, agree};
use crate::transition::{Context, Flow, Transition};
use crate::verify::listed_by;
use crate::{Call, Effect, Pod, Severity, Step};

use super::reclaim::reclaim;
use super::verify::survivors_agree;
use super::{fence_replacement, leave};

pub(crate) fn pod_gone(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    if ctx.facts.target.replicas > transition.intent.ordinal.0 {
        return reclaim(transition, ctx);
    }
    fence_replacement(transition, ctx);
    let agree = survivors_agree(transition, ctx);
    match ctx.facts.pods.get(&transition.intent.ordinal) {
        Some(pod) => {
            rejoined(transition, ctx);
            linger(transition, ctx, pod);
        }
        None if agree => return transition.enter(Step::Volume),
        None => {}
    }
    Flow::Requeue
}

/// A pod that was made in the leaver's place just before the size fell runs on for its grace, and joins meanwhile
/// (`pods_delete_in_leave.txt`: joined 16 s after it was made, killed 46 s later, a dead member). It leaves by an
/// ordered leave as long as it can; there is nothing to drain, for it was never served.
fn rejoined(transition: &mut Transition, ctx: &Context<'_>) {
    let ordinal = transition.intent.ordinal;
    let theirs = ctx.same_pod(&transition.intent).is_none() || transition.intent.stranger;
    if !theirs || listed_by(&transition.intent, ctx).is_empty() {
        return;
    }
    if transition.intent.node.is_none() {
        transition.intent.node = ctx.name(ordinal).cloned();
    }
    let text = format!(
        "the node of pod {ordinal}, which is not wanted and ends, is a member: it joined in a pod that was made while \
         the size fell. It is asked to leave before its grace is over; what is left of it otherwise, VerifyFailed says"
    );
    transition.tell("LeaverRejoined", Severity::Warning, text);
    let counts = ctx.facts.nodes.get(&ordinal).and_then(|node| node.counts.seen());
    let few = counts.is_some_and(|counts| counts.online <= i64::from(ctx.limits.max_online_at_kill));
    // I3: no leave while any member, this one too, does not run in everybody's view.
    let whole = agree(ctx, ordinal.0 + 1, Match::Exact) == Verdict::Clear;
    if few && whole && ctx.facts.calls.leave != Call::InFlight {
        leave::ask(transition, ctx);
    }
}

fn linger(transition: &mut Transition, ctx: &Context<'_>, pod: &Pod) {
    let ordinal = transition.intent.ordinal;
    if !pod.deleting && ctx.now.since(transition.intent.entered) >= ctx.limits.pod_mark {
        transition.ask(Effect::DeletePod { ordinal, uid: pod.uid.clone() });
    }
    ends_late(transition, ctx, pod);
    if transition.wait("PodGone", ctx.limits.pod_gone) {
        let text = format!(
            "pod {ordinal} has left the cluster and is not wanted, but does not end; it stays fenced. See its \
             finalizers and its machine in `kubectl describe pod`: where that is gone for good, `kubectl delete \
             node` lets the pod go"
        );
        transition.tell("PodStays", Severity::Warning, text);
    }
}

/// Its container was started about when the pod was deleted, and heard no SIGTERM: it runs for its grace (61.8 s of 60,
/// and 5.4 s with the hook: `pods_killed_leaver.txt`). No deletion of ours can shorten that: kubelet does not look at a
/// second one while it waits, and without any grace the process outlives its pod (`pods_second_delete.txt`).
fn ends_late(transition: &mut Transition, ctx: &Context<'_>, pod: &Pod) {
    let anew = ctx.same_pod(&transition.intent).is_none_or(|own| own.restarts > transition.intent.restarts);
    if !anew || !pod.deleting || ctx.now.since(transition.intent.entered) < ctx.limits.pod_late {
        return;
    }
    let text = format!(
        "pod {} has left the cluster, and its container was started once more about when the pod was deleted: its first \
         process hears no SIGTERM before it asks for it, and then runs until terminationGracePeriodSeconds are over. \
         Nothing is lost meanwhile; the next change waits. A second `kubectl delete` does not shorten it, `--force` leaves \
         the process running: let it end. A preStop hook spares the wait (docs/operating.md, \"A pod that takes its whole \
         grace\")",
        transition.intent.ordinal
    );
    transition.tell("PodEndsLate", Severity::Info, text);
}
