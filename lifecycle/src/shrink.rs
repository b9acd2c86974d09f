//! Shrinking by one: the steps of the highest ordinal on its way out.

mod drain;
mod fence;
mod leave;
mod patch;
mod place;
mod pod_gone;
mod quiet;
mod reclaim;
mod suspend;
mod verify;
mod volume;

pub(crate) use drain::drain;
pub(crate) use fence::fence;
pub(crate) use leave::leave;
pub(crate) use patch::patch;
pub(crate) use place::on_its_data;
pub(crate) use pod_gone::pod_gone;
pub(crate) use quiet::quiet;
pub(crate) use suspend::suspend;
pub(crate) use verify::verify;
pub(crate) use volume::volume;

use crate::Effect;
use crate::transition::{Context, Transition};

/// Characters of an answer that are told: the record is an annotation.
const TOLD_MAX: usize = 400;

/// An answer as far as the record can hold it.
fn brief(answer: &str) -> String {
    answer.chars().take(TOLD_MAX).collect()
}

/// Whatever is in the leaver's place stays fenced: another pod comes with the template's label, perhaps on the data of
/// a node that has left, and must not be served before that is known (I10).
fn fence_replacement(transition: &mut Transition, ctx: &Context<'_>) {
    let ordinal = transition.intent.ordinal;
    let there = ctx.facts.pods.get(&ordinal);
    if let Some(pod) = there.filter(|pod| pod.serving != Some(false)) {
        transition.ask(Effect::LabelServing { ordinal, pod_uid: pod.uid.clone(), serving: false });
    }
}
