//! The newcomer is served, and the cluster is let be for a while.

use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Outcome, Severity, Step};

use super::give_way::give_way;
use super::{Newcomer, newcomer};

pub(crate) fn serve(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let pod = match newcomer(draft, look) {
        Newcomer::Here(pod) => pod,
        Newcomer::Gone(flow) => return flow,
    };
    let ordinal = draft.intent.ordinal;
    if pod.serving != Some(true) {
        draft.ask(Effect::LabelServing { ordinal, pod_uid: pod.uid.clone(), serving: true });
    } else if pod.routed || !look.limits.fence {
        return draft.enter(Step::Settle);
    }
    if draft.wait("NewcomerRouted", look.limits.serve) {
        let text = format!(
            "pod {ordinal} is labelled to be served, but no EndpointSlice lists it: see whether it is ready \
             and what the client Service selects"
        );
        draft.tell("NotRouted", Severity::Warning, text);
        return give_way(draft, look, "no EndpointSlice lists it");
    }
    Flow::Look
}

pub(crate) fn settle(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if draft.wait("Settle", look.limits.settle) {
        return draft.finish(Outcome::Completed);
    }
    Flow::Look
}
