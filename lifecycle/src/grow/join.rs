//! Is the newcomer a member that routes? Its own word and `Ready` prove nothing: for 7.5 s it
//! acknowledges what it then loses (docs/broker/join.md, "Losses after a join").

use crate::draft::{Draft, Flow, Look};
use crate::members::{Match, Verdict, agree, below, view};
use crate::{Pod, Reach, Severity, Step, Time};

use super::give_way::give_way;
use super::proof::{self, AGAIN, Lack};
use super::{Newcomer, keep_fenced, newcomer};

pub(crate) fn join(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let pod = match newcomer(draft, look) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    keep_fenced(draft, pod);
    if pod.restarts != draft.intent.restarts {
        draft.intent.restarts = pod.restarts;
        draft.intent.answered = None;
        draft.broken();
    }
    if let Some(name) = look.name(draft.intent.ordinal) {
        draft.intent.node = Some(name.clone());
    }
    let Some(answered) = first_answer(draft, look) else { return silent(draft, look) };
    // Or anew, where it was sent back here.
    let from = answered.max(draft.intent.entered);
    let overdue = draft.wait_until("NewcomerInStep", from + look.limits.join);
    let why = match joined(look) {
        Verdict::Clear => match in_step(draft, look, pod) {
            Ok(()) => return draft.enter(Step::Canary),
            Err(lack) => {
                told(draft, look, &lack);
                lack.to_string()
            }
        },
        Verdict::No(_, why) | Verdict::Unknown(why) => {
            draft.broken();
            why
        }
    };
    draft.waits_because(&why);
    if overdue || stays_alone(draft, look, answered) {
        failed(draft, look, &why);
        return give_way(draft, look, &why);
    }
    Flow::Look
}

/// When its broker was first seen to answer, with whatever status.
fn first_answer(draft: &mut Draft, look: &Look<'_>) -> Option<Time> {
    let reach = look.facts.nodes.get(&draft.intent.ordinal).map(|node| node.reach);
    if reach == Some(Reach::Answers) {
        draft.intent.answered.get_or_insert(look.now);
    }
    draft.intent.answered
}

/// It waits for its machine, its image or its volume, or boots: that is no join yet, and may take its time.
fn silent(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.broken();
    let overdue = draft.wait("NewcomerAnswers", look.limits.boot);
    let ordinal = draft.intent.ordinal;
    let why = match look.facts.nodes.get(&ordinal).map(|node| node.reach) {
        Some(Reach::Refused) => "nothing listens at its HTTP ports",
        _ => "its HTTP ports do not answer",
    };
    draft.waits_because(why);
    if !overdue {
        return Flow::Look;
    }
    let text = format!(
        "the broker of pod {ordinal} does not answer: {why}. It is not served. See `kubectl describe pod` for its \
         machine, image and volume, its log, and whether a NetworkPolicy keeps us from its HTTP listener"
    );
    draft.tell("NewcomerSilent", Severity::Warning, text);
    give_way(draft, look, "it does not answer")
}

/// Every member lists every member as running, the newcomer among them, and all views are the same.
/// All pods that are wanted count: another hand may have raised the size by more than one.
pub(super) fn joined(look: &Look<'_>) -> Verdict {
    let size = look.facts.target.replicas;
    let verdict = agree(look, size, Match::GhostsAllowed);
    let mut views = below(size).filter_map(|ordinal| view(look, ordinal));
    let first = views.next();
    if verdict == Verdict::Clear && views.any(|view| Some(view) != first) {
        return Verdict::No("MembersDisagree", "the views of the members differ".into());
    }
    verdict
}

/// All views have agreed for ten seconds, and in two readings in a row nothing was lacking.
fn in_step(draft: &mut Draft, look: &Look<'_>, pod: &Pod) -> Result<(), Lack> {
    let long = draft.held() >= look.limits.joined;
    if let Some(lack) = proof::lack(look, draft.intent.ordinal) {
        draft.intent.in_step = None;
        return Err(lack);
    }
    let read = proof::read_at(look);
    let first = *draft.intent.in_step.get_or_insert(read);
    if !pod.ready {
        return Err(Lack::NotReady { newcomer: draft.intent.ordinal });
    }
    let again = read.since(first) >= AGAIN.min(look.limits.joined);
    if long && again { Ok(()) } else { Err(Lack::Time) }
}

/// What is told at once, and what once a join that is in order would be through.
fn told(draft: &mut Draft, look: &Look<'_>, lack: &Lack) {
    let ordinal = draft.intent.ordinal;
    match lack {
        Lack::NotCounted { .. } => {
            let text = format!(
                "whether pod {ordinal} is in step cannot be proven, and it is not served: {lack}. That gauge is \
                 vmq_swc's, the broker's default: set metadata_plugin = vmq_swc on every node, or see what takes it from \
                 /metrics. To give the node up, lower the size again"
            );
            draft.tell("ObjectsNotCounted", Severity::Warning, text);
        }
        Lack::Count { .. } | Lack::Groups { .. } | Lack::Unknown { .. }
            if draft.held() >= look.limits.joined =>
        {
            let text = format!("pod {ordinal} is a member and not in step yet: {lack}. It is not served");
            draft.tell("NewcomerBehind", Severity::Info, text);
        }
        _ => {}
    }
}

/// A cluster of one beside the others'.
fn alone(draft: &Draft, look: &Look<'_>) -> bool {
    let ordinal = draft.intent.ordinal;
    ordinal.0 > 0 && view(look, ordinal).is_some_and(|members| members.len() == 1)
}

/// Ready, and answering, for longer than any join takes: waiting does not make it a member. Without a readiness probe
/// it was ready before it had booted.
fn stays_alone(draft: &Draft, look: &Look<'_>, answered: Time) -> bool {
    let pod = look.same_pod(&draft.intent).filter(|pod| pod.ready);
    let since = pod.and_then(|pod| pod.ready_changed).map(|ready| ready.max(answered));
    alone(draft, look) && since.is_some_and(|since| look.now.since(since) >= look.limits.agree)
}

fn failed(draft: &mut Draft, look: &Look<'_>, why: &str) {
    let ordinal = draft.intent.ordinal;
    let remedy = if alone(draft, look) {
        "It is a cluster of one: its volume holds old data or a client reached it before it joined. Delete \
         its claim and its pod, and it starts afresh (the price is every message that is queued on it)"
    } else {
        "See its log and `vmq-admin cluster show` on each pod"
    };
    let text = format!("pod {ordinal} has not come into step: {why}. It is not served. {remedy}");
    draft.tell("JoinFailed", Severity::Warning, text);
}
