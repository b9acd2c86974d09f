//! The newcomer must not be served: one client that connects before the join makes the join
//! impossible (docs/broker/join.md, "A client before the join").

use crate::draft::{Draft, Flow, Look};
use crate::{Severity, Step};

use super::give_way::give_way;
use super::keep_fenced;

pub(crate) fn fence(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let ordinal = draft.intent.ordinal;
    let size = look.facts.target.replicas;
    if size <= ordinal.0 {
        let text = format!("replicas became {size} by another hand while ordinal {ordinal} was starting");
        return draft.fail(text);
    }
    draft.out.again = look.limits.look_soon;
    let overdue = draft.wait("NewcomerFenced", look.limits.pod_created);
    match look.facts.pods.get(&ordinal) {
        Some(pod) if !pod.deleting => {
            draft.intent.pod_uid = Some(pod.uid.clone());
            draft.intent.restarts = pod.restarts;
            draft.intent.node = None;
            draft.intent.answered = None;
            keep_fenced(draft, pod);
            if pod.serving == Some(false) && !(look.limits.fence && pod.routed) {
                return draft.enter(Step::Join);
            }
        }
        Some(_) | None => {}
    }
    if overdue {
        let text = format!(
            "pod {ordinal} was not created, or is still in the client Service's endpoints: see the Events \
             of the StatefulSet, and whether the Service selects on vernescale.dev/serving"
        );
        draft.tell("NewcomerNotFenced", Severity::Warning, text);
        return give_way(draft, look, "it was not created, or is in the endpoints still");
    }
    Flow::Look
}
