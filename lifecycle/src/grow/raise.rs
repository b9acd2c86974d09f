//! One more, by the scale subresource.

use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Outcome, Severity, Step};

pub(crate) fn raise(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let ordinal = transition.intent.ordinal;
    let size = ctx.facts.target.replicas;
    if size > ordinal.0 {
        return transition.enter(Step::FenceNewcomer);
    }
    if size < ordinal.0 {
        return transition.fail(format!("replicas fell to {size} by another hand before the raise"));
    }
    let overdue = transition.wait("ReplicasRaised", ctx.limits.patch);
    let vetoed = !ctx.facts.grow_vetoes.is_empty() || !ctx.facts.raise_vetoes.is_empty();
    if ctx.facts.wish <= ordinal.0 || vetoed {
        // A patch whose answer was lost may still arrive: only after a while it is known not to.
        let held = transition.held();
        transition.wait_until("RaiseWithdrawn", ctx.now + ctx.limits.raise_lost.saturating_sub(held));
        if held >= ctx.limits.raise_lost {
            transition.intent.reason = Some("not wanted any more before the size was raised".into());
            return transition.finish(Outcome::Cancelled);
        }
        return Flow::Requeue;
    }
    transition.broken();
    // A claim that turned up since the gate holds old data, a pod is one of the past. And where either is on its way
    // out, a StatefulSet may never make the new one.
    let free =
        ctx.facts.claims.get(&ordinal).is_none_or(Vec::is_empty) && !ctx.facts.pods.contains_key(&ordinal);
    if free {
        let uid = ctx.facts.target.uid.clone();
        transition.ask(Effect::SetReplicas { uid, from: size, to: size + 1, pod: None });
    }
    if overdue {
        let text = format!(
            "replicas cannot be raised to {}: check the rights of the controller, the admission policies \
             on statefulsets/scale, and whether a claim or a pod of ordinal {ordinal} has turned up",
            size + 1
        );
        transition.tell("RaiseRefused", Severity::Warning, text);
    }
    Flow::Requeue
}
