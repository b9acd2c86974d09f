//! `cluster leave` without `-k`: no new clients; live sessions go on (vernemq.md §4.1).

use crate::cancel::{Guard, cancel, guard};
use crate::doors::{Doors, doors};
use crate::draft::{Draft, Flow, Look};
use crate::verify::ASKER;
use crate::{Call, Effect, ListenerState, Step};

/// Characters of an answer that are told: the record is an annotation.
const TOLD_MAX: usize = 400;

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
        Doors::Present if closed(draft, look) => return to_drain(draft, look),
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

/// What has become of the call, as far as the record can hold it.
fn told(call: &Call) -> String {
    let text = match call {
        Call::None | Call::InFlight => "no answer yet",
        Call::Answered(text) | Call::Refused(text) | Call::Unknown(text) => text,
    };
    text.chars().take(TOLD_MAX).collect()
}

/// No listener of the leaver takes clients.
fn closed(draft: &Draft, look: &Look<'_>) -> bool {
    let node = look.facts.nodes.get(&draft.intent.ordinal);
    let listeners = node.and_then(|node| node.listeners.seen());
    listeners.is_some_and(|list| list.iter().all(|listener| listener.state == ListenerState::Suspended))
}

/// The pace of the drain is a share of what is online now, so that must be known.
fn to_drain(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let node = look.facts.nodes.get(&draft.intent.ordinal);
    let Some(counts) = node.and_then(|node| node.counts.seen()) else { return Flow::Look };
    // Negative in a migration backlog: not empty, only not known. One session keeps the drain from
    // being skipped.
    let online = if counts.online < 0 { 1 } else { counts.online };
    draft.intent.sessions = u32::try_from(online).unwrap_or(u32::MAX);
    draft.enter(Step::Drain)
}
