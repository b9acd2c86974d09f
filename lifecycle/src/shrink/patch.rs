//! One less, at once: 1.7 s after `Done` the container has exited, and soon runs again as a
//! healthy cluster of one (docs/broker/kubernetes.md, "Restarts by kubelet").

use std::time::Duration;

use crate::members::{SEE_WHY_UNKNOWN, Verdict};
use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Outcome, Severity, Step, gate, grow};

use super::fence_replacement;
use super::place::{Place, place};
use super::reclaim::reclaim;
use super::verify::survivors_agree;

pub(crate) fn patch(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    if !transition.intent.may_lower() {
        // I1, also against a record that was written by another version or by hand.
        return transition.enter(Step::Verify);
    }
    transition.out.again = ctx.limits.requeue_soon;
    let size = ctx.facts.target.replicas;
    let to = transition.intent.ordinal.0;
    if size <= to {
        return transition.enter(Step::PodGone);
    }
    if transition.intent.stranger {
        return withdraw(transition, ctx);
    }
    if size > to + 1 {
        // Lowering by one would now take another pod than the one that left.
        return reclaim(transition, ctx);
    }
    fence_replacement(transition, ctx);
    match place(&transition.intent, ctx) {
        Place::Left(pod) => lower(transition, ctx, pod),
        Place::Newcomer => return reclaim(transition, ctx),
        Place::Unclear => {
            survivors_agree(transition, ctx);
        }
        Place::Empty => {
            let held = transition.held();
            if held >= ctx.limits.replaced {
                lower(transition, ctx, None);
            } else {
                transition.wait_until("ReplacementSeen", ctx.now + ctx.limits.replaced.saturating_sub(held));
            }
        }
    }
    Flow::Requeue
}

/// The size that was raised for a newcomer that no member knows, for as long as all of them say so.
fn withdraw(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let ordinal = transition.intent.ordinal;
    let verdict = if ctx.facts.wish > ordinal.0 {
        Verdict::No("WishRaised", format!("{} nodes are wanted again", ctx.facts.wish))
    } else {
        gate::stranger(ctx, ordinal)
    };
    match verdict {
        Verdict::Clear => {
            let pod = ctx.facts.pods.get(&ordinal).map(|pod| pod.uid.clone());
            lower(transition, ctx, pod);
        }
        Verdict::Unknown(why) => {
            if transition.wait("ReplicasLowered", ctx.limits.patch) {
                transition.tell(
                    "NotKnown",
                    Severity::Info,
                    format!("the size is held: {why}. {SEE_WHY_UNKNOWN}"),
                );
            }
        }
        Verdict::No(reason, text) => {
            return grow::adopt(transition, ctx, Outcome::Cancelled, format!("{reason}: {text}"));
        }
    }
    Flow::Requeue
}

/// `pod` is what must stand in the place of the ordinal that goes.
fn lower(transition: &mut Transition, ctx: &Context<'_>, pod: Option<String>) {
    let (from, to) = (ctx.facts.target.replicas, transition.intent.ordinal.0);
    transition.ask(Effect::SetReplicas { uid: ctx.facts.target.uid.clone(), from, to, pod });
    // Where nobody was in its place, that was waited for before.
    let awaited = if transition.intent.since.is_some() { ctx.limits.replaced } else { Duration::ZERO };
    if transition.wait("ReplicasLowered", ctx.limits.patch + awaited) {
        let text = format!(
            "ordinal {to} has left, or never came, but replicas cannot be lowered to {to}: its container comes back as \
             a cluster of one (its label keeps clients away). Check the rights of the controller and the admission \
             policies on statefulsets/scale"
        );
        transition.tell("ShrinkRefused", Severity::Critical, text);
    }
}
