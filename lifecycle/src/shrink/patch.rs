//! One less, at once: 1.7 s after `Done` the container has exited, and soon runs again as a
//! healthy cluster of one (docs/broker/kubernetes.md, "Restarts by kubelet").

use std::time::Duration;

use crate::draft::{Draft, Flow, Look};
use crate::members::{SEE_WHY_UNKNOWN, Verdict};
use crate::{Effect, Outcome, Severity, Step, gate, grow};

use super::fence_replacement;
use super::place::{Place, place};
use super::reclaim::reclaim;
use super::verify::survivors_agree;

pub(crate) fn patch(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if !draft.intent.may_lower() {
        // I1, also against a record that was written by another version or by hand.
        return draft.enter(Step::Verify);
    }
    draft.out.again = look.limits.look_soon;
    let size = look.facts.target.replicas;
    let to = draft.intent.ordinal.0;
    if size <= to {
        return draft.enter(Step::PodGone);
    }
    if draft.intent.stranger {
        return withdraw(draft, look);
    }
    if size > to + 1 {
        // Lowering by one would now take another pod than the one that left.
        return reclaim(draft, look);
    }
    fence_replacement(draft, look);
    match place(&draft.intent, look) {
        Place::Left(pod) => lower(draft, look, pod),
        Place::Newcomer => return reclaim(draft, look),
        Place::Unclear => {
            survivors_agree(draft, look);
        }
        Place::Empty => {
            let held = draft.held();
            if held >= look.limits.replaced {
                lower(draft, look, None);
            } else {
                draft.wait_until("ReplacementSeen", look.now + look.limits.replaced.saturating_sub(held));
            }
        }
    }
    Flow::Look
}

/// The size that was raised for a newcomer that no member knows, for as long as all of them say so.
fn withdraw(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let ordinal = draft.intent.ordinal;
    let verdict = if look.facts.wish > ordinal.0 {
        Verdict::No("WishRaised", format!("{} nodes are wanted again", look.facts.wish))
    } else {
        gate::stranger(look, ordinal)
    };
    match verdict {
        Verdict::Clear => {
            let pod = look.facts.pods.get(&ordinal).map(|pod| pod.uid.clone());
            lower(draft, look, pod);
        }
        Verdict::Unknown(why) => {
            if draft.wait("ReplicasLowered", look.limits.patch) {
                draft.tell("NotKnown", Severity::Info, format!("the size is held: {why}. {SEE_WHY_UNKNOWN}"));
            }
        }
        Verdict::No(reason, text) => {
            return grow::adopt(draft, look, Outcome::Cancelled, format!("{reason}: {text}"));
        }
    }
    Flow::Look
}

/// `pod` is what must stand in the place of the ordinal that goes.
fn lower(draft: &mut Draft, look: &Look<'_>, pod: Option<String>) {
    let (from, to) = (look.facts.target.replicas, draft.intent.ordinal.0);
    draft.ask(Effect::SetReplicas { uid: look.facts.target.uid.clone(), from, to, pod });
    // Where nobody was in its place, that was waited for before.
    let awaited = if draft.intent.since.is_some() { look.limits.replaced } else { Duration::ZERO };
    if draft.wait("ReplicasLowered", look.limits.patch + awaited) {
        let text = format!(
            "ordinal {to} has left, or never came, but replicas cannot be lowered to {to}: its container comes back as \
             a cluster of one (its label keeps clients away). Check the rights of the controller and the admission \
             policies on statefulsets/scale"
        );
        draft.tell("ShrinkRefused", Severity::Critical, text);
    }
}
