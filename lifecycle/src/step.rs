//! One step: from the recorded intent and what was seen to what is done next.

use crate::draft::{Draft, Flow, Look};
use crate::idle::Start;
use crate::still::still;
use crate::unserved::unserved;
use crate::{Facts, Intent, Limits, Output, Severity, Step, Time, cancel, dead, grow, idle, shrink};

/// More than the longest way through the steps of one intent on a single look.
const STEPS_AT_MOST: usize = 16;

/// Decides what happens now. Pure: the same arguments give the same output.
///
/// `intent` is what the StatefulSet's annotation says, finished or not; `facts` one fresh look.
/// Resuming after a crash is the same call with [`crate::Calls::default`].
pub fn step(intent: Option<&Intent>, facts: &Facts, limits: &Limits, now: Time) -> Output {
    let look = Look { facts, limits, now };
    let mut out = match intent.filter(|intent| intent.active()) {
        None => match idle::start(intent, &look) {
            Start::Begin(intent) => run(intent, &look),
            Start::Stay(output) => output,
        },
        Some(intent) if facts.target.deleting => orphaned(intent, &look),
        Some(intent) => run(intent.clone(), &look),
    };
    out.conditions.extend(dead::conditions(intent.filter(|intent| intent.active()), &look));
    let changing = out.intent.as_ref().filter(|intent| intent.active()).map(|intent| intent.ordinal);
    out.conditions.extend(unserved(changing, &look));
    if let Some((told, touch)) = still(out.intent.as_ref().filter(|intent| intent.active()), &look) {
        out.conditions.push(told);
        out.effects.extend(touch);
    }
    out
}

/// Takes an active intent as far as this look allows.
fn run(intent: Intent, look: &Look<'_>) -> Output {
    let mut draft = Draft::new(intent, look);
    for _ in 0..STEPS_AT_MOST {
        if advance(&mut draft, look) == Flow::Look {
            break;
        }
    }
    let Draft { intent, mut out, .. } = draft;
    out.intent = Some(intent);
    out
}

fn advance(draft: &mut Draft, look: &Look<'_>) -> Flow {
    match draft.intent.step {
        Step::Fence => shrink::fence(draft, look),
        Step::Suspend => shrink::suspend(draft, look),
        Step::Drain => shrink::drain(draft, look),
        Step::Leave => shrink::leave(draft, look),
        Step::Verify => shrink::verify(draft, look),
        Step::Shrink => shrink::patch(draft, look),
        Step::PodGone => shrink::pod_gone(draft, look),
        Step::Volume => shrink::volume(draft, look),
        Step::Quiet => shrink::quiet(draft, look),
        Step::Cancel => cancel::undo(draft, look),
        Step::Raise => grow::raise(draft, look),
        Step::FenceNewcomer => grow::fence(draft, look),
        Step::Join => grow::join(draft, look),
        Step::Canary => grow::canary(draft, look),
        Step::Serve => grow::serve(draft, look),
        Step::Settle => grow::settle(draft, look),
        Step::Done => Flow::Look,
    }
}

/// The StatefulSet goes, and with it the annotation: nothing is left to do or to undo.
fn orphaned(intent: &Intent, look: &Look<'_>) -> Output {
    let mut draft = Draft::new(intent.clone(), look);
    draft.tell(
        "TargetDeleting",
        Severity::Warning,
        format!("the StatefulSet is being deleted; the change of ordinal {} stops here", intent.ordinal),
    );
    draft.out.intent = Some(intent.clone());
    draft.out
}
