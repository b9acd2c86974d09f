//! One more, by the scale subresource.

use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Outcome, Severity, Step};

pub(crate) fn raise(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let ordinal = draft.intent.ordinal;
    let size = look.facts.target.replicas;
    if size > ordinal.0 {
        return draft.enter(Step::FenceNewcomer);
    }
    if size < ordinal.0 {
        return draft.fail(format!("replicas fell to {size} by another hand before the raise"));
    }
    let overdue = draft.wait("ReplicasRaised", look.limits.patch);
    let vetoed = !look.facts.grow_vetoes.is_empty() || !look.facts.raise_vetoes.is_empty();
    if look.facts.wish <= ordinal.0 || vetoed {
        // A patch whose answer was lost may still arrive: only after a while it is known not to.
        let held = draft.held();
        draft.wait_until("RaiseWithdrawn", look.now + look.limits.raise_lost.saturating_sub(held));
        if held >= look.limits.raise_lost {
            draft.intent.reason = Some("not wanted any more before the size was raised".into());
            return draft.finish(Outcome::Cancelled);
        }
        return Flow::Look;
    }
    draft.broken();
    // A claim that turned up since the gate holds old data, a pod is one of the past. And where either is on its way
    // out, a StatefulSet may never make the new one.
    let free =
        look.facts.claims.get(&ordinal).is_none_or(Vec::is_empty) && !look.facts.pods.contains_key(&ordinal);
    if free {
        let uid = look.facts.target.uid.clone();
        draft.ask(Effect::SetReplicas { uid, from: size, to: size + 1, pod: None });
    }
    if overdue {
        let text = format!(
            "replicas cannot be raised to {}: check the rights of the controller, the admission policies \
             on statefulsets/scale, and whether a claim or a pod of ordinal {ordinal} has turned up",
            size + 1
        );
        draft.tell("RaiseRefused", Severity::Warning, text);
    }
    Flow::Look
}
