//! The data of a node that has left must never come back (docs/broker/join.md, "A node that has left").

use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Severity, Step};

use super::reclaim::reclaim;
use super::verify::survivors_agree;

pub(crate) fn volume(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let ordinal = transition.intent.ordinal;
    if ctx.facts.target.replicas > ordinal.0 {
        return reclaim(transition, ctx);
    }
    // Fresh reads for something that cannot be undone: the pod is gone and all agree, now.
    if ctx.facts.pods.contains_key(&ordinal) {
        return transition.enter(Step::PodGone);
    }
    if !survivors_agree(transition, ctx) {
        return Flow::Requeue;
    }
    let claims = ctx.facts.claims.get(&ordinal).map_or(&[][..], Vec::as_slice);
    if claims.is_empty() {
        return transition.enter(Step::Quiet);
    }
    for claim in claims.iter().filter(|claim| !claim.deleting) {
        transition.ask(Effect::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() });
    }
    if transition.wait("VolumeGone", ctx.limits.volume) {
        let text = format!(
            "claim {name} of ordinal {ordinal}, whose node has left, does not go, and the next growth waits for \
             it: `kubectl describe pvc {name}` shows the pod that uses it, and its finalizers",
            name = claims[0].name
        );
        transition.tell("ClaimStays", Severity::Warning, text);
    }
    Flow::Requeue
}
