//! What a node holds: what is lost with its claim, for whoever is about to delete one.

use crate::transition::Context;
use crate::{Observed, Ordinal};

/// In words, by its own counts of this reconcile.
pub(crate) fn holdings(ctx: &Context<'_>, ordinal: Ordinal) -> String {
    match ctx.facts.nodes.get(&ordinal).map(|node| &node.counts) {
        Some(Observed::Seen(counts)) => format!(
            "{} sessions online, {} offline, {} queues, {} retained messages",
            counts.online, counts.offline, counts.queues, counts.retained
        ),
        Some(Observed::Unknown(why)) => format!("what it holds is not known: {why}"),
        None => "what it holds is not known: it was not asked".into(),
    }
}
