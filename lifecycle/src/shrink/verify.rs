//! The broker has said `Done`, which being in this step is the record of. A second witness must agree.

use crate::cancel::cancel;
use crate::doors::{Doors, doors};
use crate::draft::{Draft, Flow, Look};
use crate::verify::{ASKER, all_have, all_left_dropped, listed_by, witnessed};
use crate::{Intent, Severity, Step};

use super::fence_replacement;

pub(crate) fn verify(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.out.again = look.limits.look_soon;
    if witnessed(&draft.intent, look) {
        draft.intent.verified = true;
        return draft.enter(Step::Shrink);
    }
    let replaced =
        look.same_pod(&draft.intent).is_none() && look.facts.pods.contains_key(&draft.intent.ordinal);
    if replaced && all_have(&draft.intent, look) {
        let text = format!("pod {} was made again, and its node is a member", draft.intent.ordinal);
        return cancel(draft, "LeaverReplaced", &text);
    }
    fence_replacement(draft, look);
    if draft.wait("SurvivorDropsIt", look.limits.agree) {
        // Every door is there and every survivor has it: `Done` was said of something else.
        if doors(&draft.intent, look) == Doors::Present && all_have(&draft.intent, look) {
            let text = format!(
                "the broker said Done, but pod {} is a member still: see its log, and that its name is the same \
                 in `vmq-admin cluster show` of each pod",
                draft.intent.ordinal
            );
            return cancel(draft, "VerifyFailed", &text);
        }
        not_agreed(draft, look);
    }
    Flow::Look
}

/// All survivors agree without the leaver, in this look; else says so once it is overdue.
pub(super) fn survivors_agree(draft: &mut Draft, look: &Look<'_>) -> bool {
    if all_left_dropped(&draft.intent, look) {
        return true;
    }
    if draft.wait("SurvivorsAgree", look.limits.agree) {
        not_agreed(draft, look);
    }
    false
}

fn not_agreed(draft: &mut Draft, look: &Look<'_>) {
    let text = format!(
        "not every survivor's cluster show was seen without the node of ordinal {}. Nothing shrinks any \
         further and no volume is deleted until they agree: compare `vmq-admin cluster show` on each pod.{}",
        draft.intent.ordinal,
        way_out(&draft.intent, look)
    );
    draft.tell("VerifyFailed", Severity::Critical, text);
}

/// What to type where the node is listed and no pod runs it any more; nothing else will take it away.
pub(super) fn way_out(intent: &Intent, look: &Look<'_>) -> String {
    let listed = listed_by(intent, look);
    let (Some(node), Some(_)) = (&intent.node, listed.first()) else { return String::new() };
    let lists: Vec<_> = listed.iter().map(ToString::to_string).collect();
    let lists = lists.join(", ");
    if look.facts.pods.contains_key(&intent.ordinal) {
        return format!(
            " Listed by pod {lists}: {node}. If that stays so once its pod has ended, `vmq-admin cluster leave node={node}` \
             on pod {ASKER} removes it"
        );
    }
    format!(
        " Listed by pod {lists}: {node}, which no pod runs: a dead member. Brokers with the default netsplit settings \
         refuse every new client meanwhile. Remove it with `vmq-admin cluster leave node={node}` on pod {ASKER}: again \
         until it says Done, and do not restart that pod before. The price is what is queued on it: nothing, where it \
         had left before and joined again unserved"
    )
}
