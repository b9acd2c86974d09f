//! A growth that does not get on must not keep a smaller size from coming: its newcomer goes again.

use crate::transition::{Context, Flow, Transition};
use crate::verify::listed_by;
use crate::{Intent, Kind, Outcome, Step, gate, idle};

/// Called by a step that is late, and has said why. A newcomer that is wanted is waited for; one that is not goes
/// by the ordinary ordered leave where it is a member. Where no member knows it there is nothing to leave, and the
/// size is lowered as it was raised: what of it runs on for its grace can still join, and is seen to then
/// (`shrink::pod_gone`).
pub(super) fn give_way(transition: &mut Transition, ctx: &Context<'_>, why: &str) -> Flow {
    let ordinal = transition.intent.ordinal;
    let (size, wish) = (ctx.facts.target.replicas, ctx.facts.wish);
    if wish > size {
        transition.out.conditions.push(idle::stays(
            "GrowWaits",
            &format!("pod {ordinal} comes first, and {why}"),
            ctx,
        ));
    }
    // More than one above the newcomer: another hand has raised the size, and the highest goes first.
    if wish > ordinal.0 || size != ordinal.0 + 1 || ordinal.0 == 0 {
        return Flow::Requeue;
    }
    let known = !listed_by(&transition.intent, ctx).is_empty();
    let verdict = if known { gate::give_back(ctx) } else { gate::stranger(ctx, ordinal) };
    let Some(held) = verdict.why() else { return goes(transition, ctx, !known, why) };
    transition.out.conditions.push(idle::stays("ShrinkWaits", &held, ctx));
    Flow::Requeue
}

/// The growth ends, and the shrink of the same ordinal begins in the same reconcile.
fn goes(transition: &mut Transition, ctx: &Context<'_>, stranger: bool, why: &str) -> Flow {
    transition.intent.reason = Some(format!("{why}; it is not wanted any more, and goes"));
    transition.finish(Outcome::Failed);
    let leaver = Intent { unroutable: true, stranger, ..idle::departure(Some(&transition.intent), ctx) };
    debug_assert_eq!(
        (leaver.kind, leaver.ordinal),
        (Kind::Shrink, transition.intent.ordinal),
        "the newcomer is the top"
    );
    transition.intent = leaver;
    transition.enter(if stranger { Step::Shrink } else { Step::Fence })
}
