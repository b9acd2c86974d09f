//! The broker has said `Done`, which being in this step is the record of. A survivor must agree.

use crate::cancel::cancel;
use crate::doors::{Doors, doors};
use crate::draft::{Draft, Flow, Look};
use crate::verify::{a_survivor_dropped, all_have, all_left_dropped};
use crate::{Severity, Step};

use super::fence_replacement;

pub(crate) fn verify(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.out.again = look.limits.look_soon;
    if a_survivor_dropped(&draft.intent, look) {
        draft.intent.verified = true;
        return draft.enter(Step::Shrink);
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
        not_agreed(draft);
    }
    Flow::Look
}

/// All survivors agree without the leaver, in this look; else says so once it is overdue.
pub(super) fn survivors_agree(draft: &mut Draft, look: &Look<'_>) -> bool {
    if all_left_dropped(&draft.intent, look) {
        return true;
    }
    if draft.wait("SurvivorsAgree", look.limits.agree) {
        not_agreed(draft);
    }
    false
}

fn not_agreed(draft: &mut Draft) {
    let text = format!(
        "not every survivor's cluster show was seen without the node of ordinal {}. Nothing shrinks any \
         further and no volume is deleted until they agree: compare `vmq-admin cluster show` on each pod",
        draft.intent.ordinal
    );
    draft.tell("VerifyFailed", Severity::Critical, text);
}
