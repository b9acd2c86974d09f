//! The broker has said `Done`, which being in this step is the record of. A second witness must agree.

use crate::cancel::cancel;
use crate::listeners::{Listeners, listeners};
use crate::transition::{Context, Flow, Transition};
use crate::verify::{COORDINATOR, all_have, all_left_dropped, listed_by, witnessed};
use crate::{Intent, Severity, Step};

use super::fence_replacement;

pub(crate) fn verify(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.out.again = ctx.limits.requeue_soon;
    if witnessed(&transition.intent, ctx) {
        transition.intent.verified = true;
        return transition.enter(Step::Shrink);
    }
    let replaced =
        ctx.same_pod(&transition.intent).is_none() && ctx.facts.pods.contains_key(&transition.intent.ordinal);
    if replaced && all_have(&transition.intent, ctx) {
        let text = format!("pod {} was made again, and its node is a member", transition.intent.ordinal);
        return cancel(transition, "LeaverReplaced", &text);
    }
    fence_replacement(transition, ctx);
    if transition.wait("SurvivorDropsIt", ctx.limits.agree) {
        // Every listener is there and every survivor has it: `Done` was said of something else.
        if listeners(&transition.intent, ctx) == Listeners::Present && all_have(&transition.intent, ctx) {
            let text = format!(
                "the broker said Done, but pod {} is a member still: see its log, and that its name is the same \
                 in `vmq-admin cluster show` of each pod",
                transition.intent.ordinal
            );
            return cancel(transition, "VerifyFailed", &text);
        }
        not_agreed(transition, ctx);
    }
    Flow::Requeue
}

/// All survivors agree without the leaver, in this reconcile; else says so once it is overdue.
pub(super) fn survivors_agree(transition: &mut Transition, ctx: &Context<'_>) -> bool {
    if all_left_dropped(&transition.intent, ctx) {
        return true;
    }
    if transition.wait("SurvivorsAgree", ctx.limits.agree) {
        not_agreed(transition, ctx);
    }
    false
}

fn not_agreed(transition: &mut Transition, ctx: &Context<'_>) {
    let text = format!(
        "not every survivor's cluster show was seen without the node of ordinal {}. Nothing shrinks any \
         further and no volume is deleted until they agree: compare `vmq-admin cluster show` on each pod.{}",
        transition.intent.ordinal,
        way_out(&transition.intent, ctx)
    );
    transition.tell("VerifyFailed", Severity::Critical, text);
}

/// What to type where the node is listed and no pod runs it any more; nothing else will take it away.
pub(super) fn way_out(intent: &Intent, ctx: &Context<'_>) -> String {
    let listed = listed_by(intent, ctx);
    let (Some(node), Some(_)) = (&intent.node, listed.first()) else { return String::new() };
    let lists: Vec<_> = listed.iter().map(ToString::to_string).collect();
    let lists = lists.join(", ");
    if ctx.facts.pods.contains_key(&intent.ordinal) {
        return format!(
            " Listed by pod {lists}: {node}. If that stays so once its pod has ended, `vmq-admin cluster leave node={node}` \
             on pod {COORDINATOR} removes it"
        );
    }
    format!(
        " Listed by pod {lists}: {node}, which no pod runs: a dead member. Brokers with the default netsplit settings \
         refuse every new client meanwhile. Remove it with `vmq-admin cluster leave node={node}` on pod {COORDINATOR}: again \
         until it says Done, and do not restart that pod before. The price is what is queued on it: nothing, where it \
         had left before and joined again unroutable"
    )
}
