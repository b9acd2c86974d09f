//! The newcomer is served, and the cluster is let be for a while.

use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Outcome, Severity, Step};

use super::give_way::give_way;
use super::{Newcomer, newcomer};

pub(crate) fn serve(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let pod = match newcomer(transition, ctx) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    let ordinal = transition.intent.ordinal;
    if pod.serving != Some(true) {
        transition.ask(Effect::LabelServing { ordinal, pod_uid: pod.uid.clone(), serving: true });
    } else if pod.routed || !ctx.limits.fence {
        return transition.enter(Step::Settle);
    }
    if transition.wait("NewcomerRouted", ctx.limits.serve) {
        let text = format!(
            "pod {ordinal} is labelled to be served, but no EndpointSlice lists it: see whether it is ready \
             and what the client Service selects"
        );
        transition.tell("NotRouted", Severity::Warning, text);
        return give_way(transition, ctx, "no EndpointSlice lists it");
    }
    Flow::Requeue
}

pub(crate) fn settle(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    if transition.wait("Settle", ctx.limits.settle) {
        return transition.finish(Outcome::Completed);
    }
    Flow::Requeue
}
