//! Growing by one. A wish that falls meanwhile is not followed before the growth is through: the
//! newcomer may have joined already, and the only safe way out for a member is the ordered leave.

mod fence;
mod give_way;
mod join;
mod proof;
mod raise;
mod routing_probe;
mod serve;

pub(crate) use fence::fence;
pub(crate) use join::join;
pub(crate) use proof::{AGAIN, apart, live, on_the_way};
pub(crate) use raise::raise;
pub(crate) use routing_probe::routing_probe;
pub(crate) use serve::{serve, settle};

use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Kind, Outcome, Pod, Step, idle};

/// Where the newcomer's pod stands.
enum Newcomer<'a> {
    /// The pod that was fenced.
    Here(&'a Pod),
    /// The step ends here.
    Gone(Flow),
}

/// A pod that was replaced comes with the template's label and must be fenced anew; one that is no
/// longer wanted by the StatefulSet ends the growth.
fn newcomer<'a>(transition: &mut Transition, ctx: &Context<'a>) -> Newcomer<'a> {
    let ordinal = transition.intent.ordinal;
    if ctx.facts.target.replicas <= ordinal.0 {
        let size = ctx.facts.target.replicas;
        let text = format!("replicas became {size} by another hand while ordinal {ordinal} was joining");
        return Newcomer::Gone(transition.fail(text));
    }
    match ctx.same_pod(&transition.intent) {
        Some(pod) => Newcomer::Here(pod),
        None => Newcomer::Gone(transition.enter(Step::FenceNewcomer)),
    }
}

/// Ends a change of an ordinal, and begins the growth of whatever is in its place now: it is fenced, proven and
/// served like any other newcomer. The finished change lives on in the output; the record is the newcomer's.
pub(crate) fn adopt(
    transition: &mut Transition,
    ctx: &Context<'_>,
    outcome: Outcome,
    reason: String,
) -> Flow {
    let ordinal = transition.intent.ordinal;
    transition.intent.reason = Some(reason);
    transition.finish(outcome);
    transition.intent = idle::blank(Some(&transition.intent), Kind::Grow, ordinal, ctx.now);
    transition.enter(Step::FenceNewcomer)
}

/// Keeps clients away until the node is known to be in step with the others.
fn keep_fenced(transition: &mut Transition, pod: &Pod) {
    if pod.serving != Some(false) {
        transition.ask(Effect::LabelServing {
            ordinal: transition.intent.ordinal,
            pod_uid: pod.uid.clone(),
            serving: false,
        });
    }
}
