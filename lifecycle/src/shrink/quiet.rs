//! Nothing for a while: the store crashed in 1 of 8 leaves that followed another at once.

use crate::Outcome;
use crate::draft::{Draft, Flow, Look};

use super::reclaim::reclaim;

pub(crate) fn quiet(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if look.facts.target.replicas > draft.intent.ordinal.0 {
        return reclaim(draft, look);
    }
    if draft.wait("Quiet", look.limits.quiet) {
        return draft.finish(Outcome::Completed);
    }
    Flow::Look
}
