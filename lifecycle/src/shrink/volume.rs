//! The data of a node that has left must never come back (docs/broker/join.md, "A node that has left").

use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Severity, Step};

use super::reclaim::reclaim;
use super::verify::survivors_agree;

pub(crate) fn volume(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let ordinal = draft.intent.ordinal;
    if look.facts.target.replicas > ordinal.0 {
        return reclaim(draft, look);
    }
    // Fresh reads for something that cannot be undone: the pod is gone and all agree, now.
    if look.facts.pods.contains_key(&ordinal) {
        return draft.enter(Step::PodGone);
    }
    if !survivors_agree(draft, look) {
        return Flow::Look;
    }
    let claims = look.facts.claims.get(&ordinal).map_or(&[][..], Vec::as_slice);
    if claims.is_empty() {
        return draft.enter(Step::Quiet);
    }
    for claim in claims.iter().filter(|claim| !claim.deleting) {
        draft.ask(Effect::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() });
    }
    if draft.wait("VolumeGone", look.limits.volume) {
        let text = format!(
            "claim {name} of ordinal {ordinal}, whose node has left, does not go, and the next growth waits for \
             it: `kubectl describe pvc {name}` shows the pod that uses it, and its finalizers",
            name = claims[0].name
        );
        draft.tell("ClaimStays", Severity::Warning, text);
    }
    Flow::Look
}
