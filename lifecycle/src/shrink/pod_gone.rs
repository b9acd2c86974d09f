//! The pod ends, and its node stays away.

use crate::draft::{Draft, Flow, Look};
use crate::{Effect, Pod, Severity, Step};

use super::fence_replacement;
use super::reclaim::reclaim;
use super::verify::survivors_agree;

pub(crate) fn pod_gone(draft: &mut Draft, look: &Look<'_>) -> Flow {
    if look.facts.target.replicas > draft.intent.ordinal.0 {
        return reclaim(draft, look);
    }
    fence_replacement(draft, look);
    let agree = survivors_agree(draft, look);
    match look.facts.pods.get(&draft.intent.ordinal) {
        Some(pod) => linger(draft, look, pod),
        None if agree => return draft.enter(Step::Volume),
        None => {}
    }
    Flow::Look
}

fn linger(draft: &mut Draft, look: &Look<'_>, pod: &Pod) {
    let ordinal = draft.intent.ordinal;
    if !pod.deleting && look.now.since(draft.intent.entered) >= look.limits.pod_mark {
        draft.ask(Effect::DeletePod { ordinal, uid: pod.uid.clone() });
    }
    if draft.wait("PodGone", look.limits.pod_gone) {
        let text = format!(
            "pod {ordinal} has left the cluster and is not wanted, but does not end; it stays fenced. See its \
             finalizers and its machine in `kubectl describe pod`: where that is gone for good, `kubectl delete \
             node` lets the pod go"
        );
        draft.tell("PodStays", Severity::Warning, text);
    }
}
