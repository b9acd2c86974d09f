//! `cluster leave` without `-k`: no new clients; live sessions go on (docs/broker/leave.md, "Without -k").

use crate::cancel::{Guard, cancel, guard, unknown};
use crate::doors::{Doors, doors, suspended};
use crate::draft::{Draft, Flow, Look};
use crate::verify::ASKER;
use crate::{Call, Effect, Observed, Step};

use super::brief;

pub(crate) fn suspend(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let overdue = draft.wait("ListenersSuspended", look.limits.suspend);
    match guard(draft, look, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    match doors(&draft.intent, look) {
        Doors::Unknown => {}
        // Somebody else's leave has begun: it cannot be taken back, only watched.
        Doors::Deleted => return draft.enter(Step::Leave),
        Doors::Present if suspended(look, draft.intent.ordinal) => return to_drain(draft, look, overdue),
        // Nothing is asked in the look that turns back.
        Doors::Present if overdue => {}
        Doors::Present => {
            if look.facts.calls.suspend != Call::InFlight
                && let Some(target) = draft.intent.node.clone()
            {
                draft.ask(Effect::Suspend { asker: ASKER, target });
            }
        }
    }
    if overdue {
        let text = format!(
            "the listeners of pod {} could not be suspended: {}. See `vmq-admin listener show` in it",
            draft.intent.ordinal,
            told(&look.facts.calls.suspend)
        );
        return cancel(draft, "SuspendFailed", &text);
    }
    Flow::Look
}

/// What has become of the call.
fn told(call: &Call) -> String {
    match call {
        Call::None | Call::InFlight => "no answer yet".to_owned(),
        Call::Answered(text) | Call::Refused(text) | Call::Unknown(text) => brief(text),
    }
}

/// The pace of the drain is a share of what is online now, so that must be known.
fn to_drain(draft: &mut Draft, look: &Look<'_>, overdue: bool) -> Flow {
    let counts = look.facts.nodes.get(&draft.intent.ordinal).map(|node| &node.counts);
    let counts = match counts {
        Some(Observed::Seen(counts)) => counts,
        Some(Observed::Unknown(why)) => return uncounted(draft, look, overdue, why),
        None => return uncounted(draft, look, overdue, "it was not asked"),
    };
    // Negative in a migration backlog: not empty, only not known. One session keeps the drain from
    // being skipped.
    let online = if counts.online < 0 { 1 } else { counts.online };
    draft.intent.sessions = u32::try_from(online).unwrap_or(u32::MAX);
    draft.enter(Step::Drain)
}

/// Closed to clients, a node does not wait for ever: that ends as every unknown before a leave does.
fn uncounted(draft: &mut Draft, look: &Look<'_>, overdue: bool, why: &str) -> Flow {
    let text = format!("sessions of pod {} cannot be counted: {}", draft.intent.ordinal, brief(why));
    unknown(draft, look, overdue, &text)
}
