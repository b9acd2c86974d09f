//! Take the leaver out of the client Service, so that nobody is refused by its closed listeners.

use crate::cancel::{Guard, cancel, guard};
use crate::transition::{Context, Flow, Transition};
use crate::{Effect, Step};

pub(crate) fn fence(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let overdue = transition.wait("EndpointsDropped", ctx.limits.endpoints);
    match guard(transition, ctx, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    let Some(pod) = ctx.same_pod(&transition.intent) else { return Flow::Requeue };
    let fenced = pod.serving == Some(false);
    if !fenced {
        let effect = Effect::LabelServing {
            ordinal: transition.intent.ordinal,
            pod_uid: pod.uid.clone(),
            serving: false,
        };
        transition.ask(effect);
        transition.wait("LeaverFenced", ctx.limits.endpoints);
    }
    if fenced && !ctx.limits.fence {
        return transition.enter(Step::Suspend);
    }
    if fenced && !pod.routed {
        // The slice is clean, but each kube-proxy learns of it in its own time.
        let held = transition.held();
        if held >= ctx.limits.unrouted {
            return transition.enter(Step::Suspend);
        }
        transition.wait_until("ProxiesHeard", ctx.now + ctx.limits.unrouted.saturating_sub(held));
        return Flow::Requeue;
    }
    transition.broken();
    if overdue && !fenced {
        let text = format!(
            "the label vernescale.dev/serving of pod {} could not be set to false: the condition CallFailed says what \
             refuses us (the controller's Role, or an admission policy)",
            transition.intent.ordinal
        );
        return cancel(transition, "FenceRefused", &text);
    }
    if overdue {
        let text = format!(
            "pod {} is still in the client Service's endpoints: its selector must have vernescale.dev/serving: \
             \"true\" (`kubectl get service`), and nobody else may write its slices (`kubectl get endpointslices`)",
            transition.intent.ordinal
        );
        return cancel(transition, "EndpointsStay", &text);
    }
    Flow::Requeue
}
