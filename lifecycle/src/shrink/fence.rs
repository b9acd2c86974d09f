//! Take the leaver out of the client Service, so that nobody is refused at its closed door.

use crate::cancel::{Guard, cancel, guard};
use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Step};

pub(crate) fn fence(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let overdue = draft.wait("EndpointsDropped", look.limits.endpoints);
    match guard(draft, look, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    let Some(pod) = look.same_pod(&draft.intent) else { return Flow::Look };
    let fenced = pod.serving == Some(false);
    if !fenced {
        let effect =
            Effect::LabelServing { ordinal: draft.intent.ordinal, pod_uid: pod.uid.clone(), serving: false };
        draft.ask(effect);
        draft.wait("LeaverFenced", look.limits.endpoints);
    }
    if fenced && !look.limits.fence {
        return draft.enter(Step::Suspend);
    }
    if fenced && !pod.routed {
        // The slice is clean, but each kube-proxy learns of it in its own time.
        let held = draft.held();
        if held >= look.limits.unrouted {
            return draft.enter(Step::Suspend);
        }
        draft.wait_until("ProxiesHeard", look.now + look.limits.unrouted.saturating_sub(held));
        return Flow::Look;
    }
    draft.broken();
    if overdue && !fenced {
        let text = format!(
            "the label vernescale.dev/serving of pod {} could not be set to false: the condition CallFailed says what \
             refuses us (the controller's Role, or an admission policy)",
            draft.intent.ordinal
        );
        return cancel(draft, "FenceRefused", &text);
    }
    if overdue {
        let text = format!(
            "pod {} is still in the client Service's endpoints: its selector must have vernescale.dev/serving: \
             \"true\" (`kubectl get service`), and nobody else may write its slices (`kubectl get endpointslices`)",
            draft.intent.ordinal
        );
        return cancel(draft, "EndpointsStay", &text);
    }
    Flow::Look
}
