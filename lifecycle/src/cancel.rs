//! Giving way: until its leave has begun, a shrink can be undone.

use crate::gate::undisturbed;
use crate::listeners::{Listeners, listeners, same};
use crate::members::{SEE_WHY_UNKNOWN, Verdict, below, view};
use crate::shrink::on_its_data;
use crate::transition::{Context, Flow, Transition};
use crate::verify::{all_have, left, over_before_migration};
use crate::{Call, Effect, Listener, ListenerState, Outcome, Severity, Step, grow};

/// The kind of a listener that needs nothing but an address and a port.
const PLAIN: &str = "mqtt";

/// What a step before the leave may do in this reconcile.
pub(crate) enum Guard {
    /// All is well.
    Go,
    /// It was cancelled, or something is not known and must be looked at again.
    Stop(Flow),
}

/// Checks that nothing else has begun. What is not known holds the step; once that has lasted for as
/// long as the step may take, and long enough for a controller that has just started, it ends it.
pub(crate) fn guard(transition: &mut Transition, ctx: &Context<'_>, overdue: bool) -> Guard {
    let why = match undisturbed(&transition.intent, ctx) {
        Verdict::Clear => return Guard::Go,
        Verdict::No(reason, text) => return Guard::Stop(cancel(transition, reason, &text)),
        Verdict::Unknown(why) => why,
    };
    Guard::Stop(unknown(transition, ctx, overdue, &why))
}

/// Holds the step, and ends it once that has lasted.
pub(crate) fn unknown(transition: &mut Transition, ctx: &Context<'_>, overdue: bool, why: &str) -> Flow {
    transition.broken();
    if overdue && ctx.now > transition.intent.entered + ctx.limits.unknown {
        return cancel(transition, "NotKnown", &format!("{why}. {SEE_WHY_UNKNOWN}"));
    }
    // Whatever else the step waits for, this is what it waits for now.
    if let Some(wait) = transition.out.wait.take() {
        transition.wait_until("NotKnown", wait.until);
    }
    if overdue {
        let text =
            format!("the shrink is held at step {:?}: {why}. {SEE_WHY_UNKNOWN}", transition.intent.step);
        transition.tell("NotKnown", Severity::InfoFor(ctx.limits.unknown), text);
    }
    Flow::Requeue
}

/// Turns back.
pub(crate) fn cancel(transition: &mut Transition, reason: &'static str, text: &str) -> Flow {
    transition.tell(reason, Severity::Warning, format!("the shrink is undone: {text}"));
    transition.intent.reason = Some(format!("{reason}: {text}"));
    transition.enter(Step::Cancel)
}

/// Listeners open, label back; but never the label of a node that has left (I10).
pub(crate) fn undo(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    if left(&transition.intent, ctx) {
        transition.intent.verified = true;
        return transition.enter(Step::Shrink);
    }
    if ctx.facts.target.replicas <= transition.intent.ordinal.0 {
        return transition.fail(format!(
            "replicas fell to {} by another hand before ordinal {} had left: its node dies as a member",
            ctx.facts.target.replicas, transition.intent.ordinal
        ));
    }
    let overdue = transition.wait("Undone", ctx.limits.undo);
    if overdue && let Some(flow) = stands_apart(transition, ctx) {
        return flow;
    }
    if overdue {
        let text = format!(
            "pod {} cannot be opened again yet: see whether it exists (if not, `kubectl describe statefulset` says why \
             it is not made), its `listener show` and its label vernescale.dev/serving, and whether all members list it \
             as running",
            transition.intent.ordinal
        );
        transition.tell("UndoStuck", Severity::Critical, text);
    }
    if made_afresh(transition, ctx) {
        let before = transition.intent.reason.clone().unwrap_or_default();
        return grow::adopt(
            transition,
            ctx,
            Outcome::Cancelled,
            format!("{before}; its pod was made again without its data"),
        );
    }
    adopt_replacement(transition, ctx);
    // One that is being deleted takes its listeners down by itself: that is no leave, and nothing in
    // it can be opened any more.
    let Some(pod) = ctx.same_pod(&transition.intent).filter(|pod| !pod.deleting) else {
        return Flow::Requeue;
    };
    if !listeners_open(transition, ctx) || !belongs(transition, ctx) {
        return Flow::Requeue;
    }
    // A suspend that is under way cannot be taken back: what is open now, it closes when it gets there.
    if ctx.facts.calls.suspend == Call::InFlight {
        return Flow::Requeue;
    }
    // It was on its way out because it never was in step: an undo is no proof that it is.
    if transition.intent.unroutable {
        let reason = transition.intent.reason.clone().unwrap_or_default();
        return grow::adopt(transition, ctx, Outcome::Cancelled, reason);
    }
    if pod.serving == Some(true) {
        return transition.finish(Outcome::Cancelled);
    }
    transition.ask(Effect::LabelServing {
        ordinal: transition.intent.ordinal,
        pod_uid: pod.uid.clone(),
        serving: true,
    });
    Flow::Requeue
}

/// Its pod was made again and has stayed a cluster of one beside the others': it will not come back by being waited
/// for, takes clients by its template's label, and holds up every other change. It is a newcomer, fenced and told.
fn stands_apart(transition: &mut Transition, ctx: &Context<'_>) -> Option<Flow> {
    let ordinal = transition.intent.ordinal;
    let alone = view(ctx, ordinal).is_some_and(|own| own.len() == 1);
    let others = below(ordinal.0).filter_map(|o| view(ctx, o)).any(|view| view.len() > 1 || ordinal.0 == 1);
    let ready = ctx.facts.pods.get(&ordinal).is_some_and(|pod| pod.ready && !pod.deleting);
    (alone && others && ready).then(|| {
        let before = transition.intent.reason.clone().unwrap_or_default();
        let reason = format!("{before}; pod {ordinal} is a cluster of its own since");
        grow::adopt(transition, ctx, Outcome::Cancelled, reason)
    })
}

/// What was made in its place knows nothing of the cluster and joins as a newcomer does, so that it is fenced and
/// proven like one. In a rollout, which makes all of them anew, somebody has to serve meanwhile.
fn made_afresh(transition: &Transition, ctx: &Context<'_>) -> bool {
    let other = ctx.facts.pods.get(&transition.intent.ordinal).filter(|pod| !pod.deleting);
    let replaced = other.is_some() && ctx.same_pod(&transition.intent).is_none();
    replaced && !ctx.facts.target.rollout && !on_its_data(&transition.intent, ctx)
}

/// The pod was made again while its node is a member still: the undo is about the new one. Its
/// listeners are bound to an address of its own, so they are recorded anew: measured by the old
/// ones, all would seem to be deleted, as by a leave.
fn adopt_replacement(transition: &mut Transition, ctx: &Context<'_>) {
    let other = ctx.facts.pods.get(&transition.intent.ordinal).filter(|pod| !pod.deleting);
    let node = ctx.facts.nodes.get(&transition.intent.ordinal);
    let listeners = node.and_then(|node| node.listeners.seen()).filter(|list| !list.is_empty());
    if ctx.same_pod(&transition.intent).is_none()
        && let (Some(pod), Some(listeners)) = (other, listeners)
        && all_have(&transition.intent, ctx)
    {
        transition.intent.pod_uid = Some(pod.uid.clone());
        transition.intent.restarts = pod.restarts;
        // A fresh process opens all of them: one that is suspended was so by a call of ours.
        let opened = |listener: &Listener| Listener { state: ListenerState::Running, ..listener.clone() };
        transition.intent.listeners = listeners.iter().map(opened).collect();
    }
}

/// Reopens what was open at the gate; true once all of it is seen to be.
fn listeners_open(transition: &mut Transition, ctx: &Context<'_>) -> bool {
    let calls = &ctx.facts.calls;
    match listeners(&transition.intent, ctx) {
        Listeners::Unknown => return false,
        // It has begun after all: nothing but its end can be waited for.
        Listeners::Deleted if !over_before_migration(&calls.leave) => {
            transition.enter(Step::Leave);
            return false;
        }
        Listeners::Deleted | Listeners::Present => {}
    }
    let node = ctx.facts.nodes.get(&transition.intent.ordinal);
    let Some(shown) = node.and_then(|node| node.listeners.seen()) else { return false };
    let mut open = true;
    // None at all was open for clients: the record was lost in an earlier shrink, and this one began on its listeners.
    let all = transition.intent.listeners.iter().all(|listener| listener.state != ListenerState::Running);
    let was_open = |listener: &&crate::Listener| all || listener.state == ListenerState::Running;
    for listener in transition.intent.listeners.clone().iter().filter(was_open) {
        let now = shown.iter().find(|shown| same(shown, listener)).map(|shown| shown.state);
        if now == Some(ListenerState::Running) {
            continue;
        }
        open = false;
        if now.is_none() && listener.kind != PLAIN {
            only_a_restart_opens(transition, listener);
        } else if calls.reopen != Call::InFlight {
            transition.ask(Effect::Reopen {
                ordinal: transition.intent.ordinal,
                listener: listener.clone(),
                deleted: now.is_none(),
            });
        }
    }
    open
}

/// `listener start` says nothing of certificates or WebSocket: it would open plain MQTT in the place of the deleted one.
fn only_a_restart_opens(transition: &mut Transition, listener: &Listener) {
    let Listener { kind, address, port, .. } = listener;
    let text = format!(
        "listener {kind} {address}:{port} of pod {ordinal} was deleted by a leave that ended before it moved anything, \
         and cannot be opened again from here. Restart the pod (kubectl delete pod): it comes back with all of its \
         listeners, and the undo goes on",
        ordinal = transition.intent.ordinal
    );
    transition.tell("ListenerDeleted", Severity::Warning, text);
}

/// The node is a member: all survivors list it as running, and it lists them.
fn belongs(transition: &Transition, ctx: &Context<'_>) -> bool {
    let Some(name) = &transition.intent.node else { return false };
    let Some(own) = view(ctx, transition.intent.ordinal) else { return false };
    let survivors = below(transition.intent.ordinal.0);
    let listed = survivors.clone().filter_map(|o| view(ctx, o));
    let everyone = listed.clone().count() > 0 && listed.clone().all(|view| view.get(name) == Some(&true));
    everyone && survivors.filter_map(|o| ctx.name(o)).all(|survivor| own.contains_key(survivor))
}
