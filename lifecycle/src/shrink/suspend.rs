//! `cluster leave` without `-k`: no new clients; live sessions go on (docs/broker/leave.md, "Without -k").

use crate::cancel::{Guard, cancel, guard, unknown};
use crate::listeners::{Listeners, listeners, suspended};
use crate::transition::{Context, Flow, Transition};
use crate::verify::COORDINATOR;
use crate::{Call, Effect, Observed, Step};

use super::brief;

pub(crate) fn suspend(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let overdue = transition.wait("ListenersSuspended", ctx.limits.suspend);
    match guard(transition, ctx, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    match listeners(&transition.intent, ctx) {
        Listeners::Unknown => {}
        // Somebody else's leave has begun: it cannot be taken back, only watched.
        Listeners::Deleted => return transition.enter(Step::Leave),
        Listeners::Present if suspended(ctx, transition.intent.ordinal) => {
            return to_drain(transition, ctx, overdue);
        }
        // Nothing is asked in the reconcile that turns back.
        Listeners::Present if overdue => {}
        Listeners::Present => {
            if ctx.facts.calls.suspend != Call::InFlight
                && let Some(target) = transition.intent.node.clone()
            {
                transition.ask(Effect::Suspend { coordinator: COORDINATOR, target });
            }
        }
    }
    if overdue {
        let text = format!(
            "the listeners of pod {} could not be suspended: {}. See `vmq-admin listener show` in it",
            transition.intent.ordinal,
            told(&ctx.facts.calls.suspend)
        );
        return cancel(transition, "SuspendFailed", &text);
    }
    Flow::Requeue
}

/// What has become of the call.
fn told(call: &Call) -> String {
    match call {
        Call::None | Call::InFlight => "no answer yet".to_owned(),
        Call::Answered(text) | Call::Refused(text) | Call::Unknown(text) => brief(text),
    }
}

/// The pace of the drain is a share of what is online now, so that must be known.
fn to_drain(transition: &mut Transition, ctx: &Context<'_>, overdue: bool) -> Flow {
    let counts = ctx.facts.nodes.get(&transition.intent.ordinal).map(|node| &node.counts);
    let counts = match counts {
        Some(Observed::Seen(counts)) => counts,
        Some(Observed::Unknown(why)) => return uncounted(transition, ctx, overdue, why),
        None => return uncounted(transition, ctx, overdue, "it was not asked"),
    };
    // Negative in a migration backlog: not empty, only not known. One session keeps the drain from
    // being skipped.
    let online = if counts.online < 0 { 1 } else { counts.online };
    transition.intent.sessions = u32::try_from(online).unwrap_or(u32::MAX);
    transition.enter(Step::Drain)
}

/// Closed to clients, a node does not wait for ever: that ends as every unknown before a leave does.
fn uncounted(transition: &mut Transition, ctx: &Context<'_>, overdue: bool, why: &str) -> Flow {
    let text = format!("sessions of pod {} cannot be counted: {}", transition.intent.ordinal, brief(why));
    unknown(transition, ctx, overdue, &text)
}
