//! Nothing for a while: the store crashed in 1 of 8 leaves that followed another at once.

use crate::Outcome;
use crate::transition::{Context, Flow, Transition};

use super::reclaim::reclaim;

pub(crate) fn quiet(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    if ctx.facts.target.replicas > transition.intent.ordinal.0 {
        return reclaim(transition, ctx);
    }
    if transition.wait("Quiet", ctx.limits.quiet) {
        return transition.finish(Outcome::Completed);
    }
    Flow::Requeue
}
