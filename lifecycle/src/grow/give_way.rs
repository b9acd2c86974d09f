//! A growth that does not get on must not keep a smaller size from coming: its newcomer goes again.

use crate::draft::{Draft, Flow, Look};
use crate::verify::listed_by;
use crate::{Intent, Kind, Outcome, Step, gate, idle};

/// Called by a step that is late, and has said why. A newcomer that is wanted is waited for; one that is not goes
/// by the ordinary ordered leave where it is a member. Where no member knows it there is nothing to leave, and the
/// size is lowered as it was raised: what of it runs on for its grace can still join, and is seen to then
/// (`shrink::pod_gone`).
pub(super) fn give_way(draft: &mut Draft, look: &Look<'_>, why: &str) -> Flow {
    let ordinal = draft.intent.ordinal;
    let (size, wish) = (look.facts.target.replicas, look.facts.wish);
    if wish > size {
        draft.out.conditions.push(idle::stays(
            "GrowWaits",
            &format!("pod {ordinal} comes first, and {why}"),
            look,
        ));
    }
    // More than one above the newcomer: another hand has raised the size, and the highest goes first.
    if wish > ordinal.0 || size != ordinal.0 + 1 || ordinal.0 == 0 {
        return Flow::Look;
    }
    let known = !listed_by(&draft.intent, look).is_empty();
    let verdict = if known { gate::give_back(look) } else { gate::stranger(look, ordinal) };
    let Some(held) = verdict.why() else { return goes(draft, look, !known, why) };
    draft.out.conditions.push(idle::stays("ShrinkWaits", &held, look));
    Flow::Look
}

/// The growth ends, and the shrink of the same ordinal begins in the same look.
fn goes(draft: &mut Draft, look: &Look<'_>, stranger: bool, why: &str) -> Flow {
    draft.intent.reason = Some(format!("{why}; it is not wanted any more, and goes"));
    draft.finish(Outcome::Failed);
    let leaver = Intent { unserved: true, stranger, ..idle::departure(Some(&draft.intent), look) };
    debug_assert_eq!(
        (leaver.kind, leaver.ordinal),
        (Kind::Shrink, draft.intent.ordinal),
        "the newcomer is the top"
    );
    draft.intent = leaver;
    draft.enter(if stranger { Step::Shrink } else { Step::Fence })
}
