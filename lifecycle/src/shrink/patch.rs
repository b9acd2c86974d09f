//! One less, at once: 1.7 s after `Done` the container has exited, and soon runs again as a
//! healthy cluster of one (baseline.md §2.6).

use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Severity, Step};

use super::fence_replacement;
use super::reclaim::{reclaim, replaced_afresh};

pub(crate) fn patch(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if !draft.intent.verified {
        // I1, also against a record that was written by another version or by hand.
        return draft.enter(Step::Verify);
    }
    draft.out.again = look.limits.look_soon;
    let size = look.facts.target.replicas;
    let to = draft.intent.ordinal.0;
    if size <= to {
        return draft.enter(Step::PodGone);
    }
    if size > to + 1 || replaced_afresh(&draft.intent, look) {
        // Lowering by one would now take another pod than the one that left, or one that may have
        // joined since.
        return reclaim(draft, look);
    }
    fence_replacement(draft, look);
    draft.ask(Effect::SetReplicas { uid: look.facts.target.uid.clone(), from: size, to });
    if draft.wait("ReplicasLowered", look.limits.patch) {
        let text = format!(
            "ordinal {to} has left, but replicas cannot be lowered to {to}: its container comes back as a \
             cluster of one (its label keeps clients away). Check the rights of the controller and the \
             admission policies on statefulsets/scale"
        );
        draft.tell("ShrinkRefused", Severity::Critical, text);
    }
    Flow::Look
}
