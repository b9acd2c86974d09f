//! The leaver's listeners: the one sign that tells a leave that has begun from one that has not.

use crate::transition::Context;
use crate::{Intent, Listener, ListenerState, Observed, Ordinal};

/// What the leaver's management API says of the listeners that were recorded at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listeners {
    /// Not read.
    Unknown,
    /// At least one is there, running or suspended: no leave has begun.
    Present,
    /// All were deleted: a leave has begun (docs/broker/leave.md, "While a member is down").
    Deleted,
}

/// Reads them for the intent's ordinal.
pub(crate) fn listeners(intent: &Intent, ctx: &Context<'_>) -> Listeners {
    match ctx.facts.nodes.get(&intent.ordinal).map(|node| &node.listeners) {
        Some(Observed::Seen(list)) => {
            let known = |listener: &&Listener| intent.listeners.iter().any(|was| same(was, listener));
            if list.iter().any(|listener| known(&listener)) { Listeners::Present } else { Listeners::Deleted }
        }
        Some(Observed::Unknown(_)) | None => Listeners::Unknown,
    }
}

/// No listener of the node takes clients, and there are some; false where they were not read.
pub(crate) fn suspended(ctx: &Context<'_>, ordinal: Ordinal) -> bool {
    let listeners = ctx.facts.nodes.get(&ordinal).and_then(|node| node.listeners.seen());
    listeners.is_some_and(|list| {
        !list.is_empty() && list.iter().all(|listener| listener.state == ListenerState::Suspended)
    })
}

/// The same listener, in whatever state.
pub(crate) fn same(a: &Listener, b: &Listener) -> bool {
    a.kind == b.kind && a.address == b.address && a.port == b.port
}
