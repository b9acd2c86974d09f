//! The newcomer must not be served: one client that connects before the join makes the join
//! impossible (docs/broker/join.md, "A client before the join").

use crate::transition::{Context, Flow, Transition};
use crate::{Severity, Step};

use super::give_way::give_way;
use super::keep_fenced;

pub(crate) fn fence(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let ordinal = transition.intent.ordinal;
    let size = ctx.facts.target.replicas;
    if size <= ordinal.0 {
        let text = format!("replicas became {size} by another hand while ordinal {ordinal} was starting");
        return transition.fail(text);
    }
    transition.out.again = ctx.limits.requeue_soon;
    let overdue = transition.wait("NewcomerFenced", ctx.limits.pod_created);
    match ctx.facts.pods.get(&ordinal) {
        Some(pod) if !pod.deleting => {
            transition.intent.pod_uid = Some(pod.uid.clone());
            transition.intent.restarts = pod.restarts;
            transition.intent.node = None;
            transition.intent.answered = None;
            keep_fenced(transition, pod);
            if pod.serving == Some(false) && !(ctx.limits.fence && pod.routed) {
                return transition.enter(Step::Join);
            }
        }
        Some(_) | None => {}
    }
    if overdue {
        let text = format!(
            "pod {ordinal} was not created, or is still in the client Service's endpoints: see the Events \
             of the StatefulSet, and whether the Service selects on vernescale.dev/serving"
        );
        transition.tell("NewcomerNotFenced", Severity::Warning, text);
        return give_way(transition, ctx, "it was not created, or is in the endpoints still");
    }
    Flow::Requeue
}
