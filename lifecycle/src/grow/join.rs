//! Is the newcomer a member that routes? Its own word and `Ready` prove nothing: for 7.5 s it
//! acknowledges what it then loses (docs/broker/join.md, "Losses after a join").

use crate::members::{Match, Verdict, agree, below, view};
use crate::transition::{Context, Flow, Transition};
use crate::{Pod, Reach, Severity, Step, Time};

use super::give_way::give_way;
use super::proof::{self, AGAIN, Lack};
use super::{Newcomer, keep_fenced, newcomer};

pub(crate) fn join(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let pod = match newcomer(transition, ctx) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    keep_fenced(transition, pod);
    if pod.restarts != transition.intent.restarts {
        transition.intent.restarts = pod.restarts;
        transition.intent.answered = None;
        transition.broken();
    }
    if let Some(name) = ctx.name(transition.intent.ordinal) {
        transition.intent.node = Some(name.clone());
    }
    let Some(answered) = first_answer(transition, ctx) else { return silent(transition, ctx) };
    // Or anew, where it was sent back here.
    let from = answered.max(transition.intent.entered);
    let overdue = transition.wait_until("NewcomerInStep", from + ctx.limits.join);
    let why = match joined(ctx) {
        Verdict::Clear => match in_step(transition, ctx, pod) {
            Ok(()) => return transition.enter(Step::RoutingProbe),
            Err(lack) => {
                told(transition, ctx, &lack);
                lack.to_string()
            }
        },
        Verdict::No(_, why) | Verdict::Unknown(why) => {
            transition.broken();
            why
        }
    };
    transition.waits_because(&why);
    if overdue || stays_alone(transition, ctx, answered) {
        failed(transition, ctx, &why);
        return give_way(transition, ctx, &why);
    }
    Flow::Requeue
}

/// When its broker was first seen to answer, with whatever status.
fn first_answer(transition: &mut Transition, ctx: &Context<'_>) -> Option<Time> {
    let reach = ctx.facts.nodes.get(&transition.intent.ordinal).map(|node| node.reach);
    if reach == Some(Reach::Answers) {
        transition.intent.answered.get_or_insert(ctx.now);
    }
    transition.intent.answered
}

/// It waits for its machine, its image or its volume, or boots: that is no join yet, and may take its time.
fn silent(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.broken();
    let overdue = transition.wait("NewcomerAnswers", ctx.limits.boot);
    let ordinal = transition.intent.ordinal;
    let why = match ctx.facts.nodes.get(&ordinal).map(|node| node.reach) {
        Some(Reach::Refused) => "nothing listens at its HTTP ports",
        _ => "its HTTP ports do not answer",
    };
    transition.waits_because(why);
    if !overdue {
        return Flow::Requeue;
    }
    let text = format!(
        "the broker of pod {ordinal} does not answer: {why}. It is not served. See `kubectl describe pod` for its \
         machine, image and volume, its log, and whether a NetworkPolicy keeps us from its HTTP listener"
    );
    transition.tell("NewcomerSilent", Severity::Warning, text);
    give_way(transition, ctx, "it does not answer")
}

/// Every member lists every member as running, the newcomer among them, and all views are the same.
/// All pods that are wanted count: another hand may have raised the size by more than one.
pub(super) fn joined(ctx: &Context<'_>) -> Verdict {
    let size = ctx.facts.target.replicas;
    let verdict = agree(ctx, size, Match::GhostsAllowed);
    let mut views = below(size).filter_map(|ordinal| view(ctx, ordinal));
    let first = views.next();
    if verdict == Verdict::Clear && views.any(|view| Some(view) != first) {
        return Verdict::No("MembersDisagree", "the views of the members differ".into());
    }
    verdict
}

/// All views have agreed for ten seconds, and in two readings in a row nothing was lacking.
fn in_step(transition: &mut Transition, ctx: &Context<'_>, pod: &Pod) -> Result<(), Lack> {
    let long = transition.held() >= ctx.limits.joined;
    if let Some(lack) = proof::lack(ctx, transition.intent.ordinal) {
        transition.intent.in_step = None;
        return Err(lack);
    }
    let read = proof::read_at(ctx);
    let first = *transition.intent.in_step.get_or_insert(read);
    if !pod.ready {
        return Err(Lack::NotReady { newcomer: transition.intent.ordinal });
    }
    let again = read.since(first) >= AGAIN.min(ctx.limits.joined);
    if long && again { Ok(()) } else { Err(Lack::Time) }
}

/// What is told at once, and what once a join that is in order would be through.
fn told(transition: &mut Transition, ctx: &Context<'_>, lack: &Lack) {
    let ordinal = transition.intent.ordinal;
    match lack {
        Lack::NotCounted { .. } => {
            let text = format!(
                "whether pod {ordinal} is in step cannot be proven, and it is not served: {lack}. That gauge is \
                 vmq_swc's, the broker's default: set metadata_plugin = vmq_swc on every node, or see what takes it from \
                 /metrics. To give the node up, lower the size again"
            );
            transition.tell("ObjectsNotCounted", Severity::Warning, text);
        }
        Lack::Count { .. } | Lack::Groups { .. } | Lack::Unknown { .. }
            if transition.held() >= ctx.limits.joined =>
        {
            let text = format!("pod {ordinal} is a member and not in step yet: {lack}. It is not served");
            transition.tell("NewcomerBehind", Severity::Info, text);
        }
        _ => {}
    }
}

/// A cluster of one beside the others'.
fn alone(transition: &Transition, ctx: &Context<'_>) -> bool {
    let ordinal = transition.intent.ordinal;
    ordinal.0 > 0 && view(ctx, ordinal).is_some_and(|members| members.len() == 1)
}

/// Ready, and answering, for longer than any join takes: waiting does not make it a member. Without a readiness probe
/// it was ready before it had booted.
fn stays_alone(transition: &Transition, ctx: &Context<'_>, answered: Time) -> bool {
    let pod = ctx.same_pod(&transition.intent).filter(|pod| pod.ready);
    let since = pod.and_then(|pod| pod.ready_changed).map(|ready| ready.max(answered));
    alone(transition, ctx) && since.is_some_and(|since| ctx.now.since(since) >= ctx.limits.agree)
}

fn failed(transition: &mut Transition, ctx: &Context<'_>, why: &str) {
    let ordinal = transition.intent.ordinal;
    let remedy = if alone(transition, ctx) {
        "It is a cluster of one: its volume holds old data or a client reached it before it joined. Delete \
         its claim and its pod, and it starts afresh (the price is every message that is queued on it)"
    } else {
        "See its log and `vmq-admin cluster show` on each pod"
    };
    let text = format!("pod {ordinal} has not come into step: {why}. It is not served. {remedy}");
    transition.tell("JoinFailed", Severity::Warning, text);
}
