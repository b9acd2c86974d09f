//! One step: from the recorded intent and what was seen to what is done next.

use crate::idle::Start;
use crate::still::still;
use crate::transition::{Context, Flow, Transition};
use crate::unroutable::unroutable;
use crate::{Facts, Intent, Limits, Output, Severity, Step, Time, cancel, dead, grow, idle, shrink};

/// More than the longest way through the steps of one intent on a single reconcile.
const STEPS_AT_MOST: usize = 16;

/// Decides what happens now. Pure: the same arguments give the same output.
///
/// `intent` is what the StatefulSet's annotation says, finished or not; `facts` one fresh reconcile.
/// Resuming after a crash is the same call with [`crate::Calls::default`].
pub fn step(intent: Option<&Intent>, facts: &Facts, limits: &Limits, now: Time) -> Output {
    let ctx = Context { facts, limits, now };
    let mut out = match intent.filter(|intent| intent.active()) {
        None => match idle::start(intent, &ctx) {
            Start::Begin(intent) => run(intent, &ctx),
            Start::Stay(output) => output,
        },
        Some(intent) if facts.target.deleting => orphaned(intent, &ctx),
        Some(intent) => run(intent.clone(), &ctx),
    };
    out.conditions.extend(dead::conditions(intent.filter(|intent| intent.active()), &ctx));
    let changing = out.intent.as_ref().filter(|intent| intent.active()).map(|intent| intent.ordinal);
    out.conditions.extend(unroutable(changing, &ctx));
    if let Some((told, touch)) = still(out.intent.as_ref().filter(|intent| intent.active()), &ctx) {
        out.conditions.push(told);
        out.effects.extend(touch);
    }
    out
}

/// Takes an active intent as far as this reconcile allows.
fn run(intent: Intent, ctx: &Context<'_>) -> Output {
    let mut transition = Transition::new(intent, ctx);
    for _ in 0..STEPS_AT_MOST {
        if advance(&mut transition, ctx) == Flow::Requeue {
            break;
        }
    }
    let Transition { intent, mut out, .. } = transition;
    out.intent = Some(intent);
    out
}

fn advance(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    match transition.intent.step {
        Step::Fence => shrink::fence(transition, ctx),
        Step::Suspend => shrink::suspend(transition, ctx),
        Step::Drain => shrink::drain(transition, ctx),
        Step::Leave => shrink::leave(transition, ctx),
        Step::Verify => shrink::verify(transition, ctx),
        Step::Shrink => shrink::patch(transition, ctx),
        Step::PodGone => shrink::pod_gone(transition, ctx),
        Step::Volume => shrink::volume(transition, ctx),
        Step::Quiet => shrink::quiet(transition, ctx),
        Step::Cancel => cancel::undo(transition, ctx),
        Step::Raise => grow::raise(transition, ctx),
        Step::FenceNewcomer => grow::fence(transition, ctx),
        Step::Join => grow::join(transition, ctx),
        Step::RoutingProbe => grow::routing_probe(transition, ctx),
        Step::Serve => grow::serve(transition, ctx),
        Step::Settle => grow::settle(transition, ctx),
        Step::Done => Flow::Requeue,
    }
}

/// The StatefulSet goes, and with it the annotation: nothing is left to do or to undo.
fn orphaned(intent: &Intent, ctx: &Context<'_>) -> Output {
    let mut transition = Transition::new(intent.clone(), ctx);
    transition.tell(
        "TargetDeleting",
        Severity::Warning,
        format!("the StatefulSet is being deleted; the change of ordinal {} stops here", intent.ordinal),
    );
    transition.out.intent = Some(intent.clone());
    transition.out
}
