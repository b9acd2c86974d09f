//! Another hand raised the size over an ordinal that has left. Its pod must stay, then, but as a
//! new node: old pod and old claim go, and what comes in their place is a newcomer like any other.

use crate::draft::{Draft, Flow, Look};
use crate::{Claim, Effect, Kind, Outcome, Severity, Step, idle};

use super::verify::survivors_agree;

pub(super) fn reclaim(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let ordinal = draft.intent.ordinal;
    let text = format!(
        "replicas became {} by another hand after ordinal {ordinal} had left; its pod and claim are \
         replaced, so that it joins as a new node",
        look.facts.target.replicas
    );
    draft.tell("ForeignScale", Severity::Warning, text.clone());
    if !survivors_agree(draft, look) {
        return Flow::Look;
    }
    let used: Vec<&Claim> = look.facts.claims.get(&ordinal).map_or_else(Vec::new, |claims| {
        claims.iter().filter(|claim| draft.intent.claims.contains(&claim.uid)).collect()
    });
    let pod = look.facts.pods.get(&ordinal);
    let stale = pod.filter(|pod| !used.is_empty() || draft.intent.pod_uid.as_ref() == Some(&pod.uid));
    if used.is_empty() && stale.is_none() {
        draft.intent.reason = Some(text);
        draft.finish(Outcome::Failed);
        // The finished one lives on in `out.finished`; the annotation is the newcomer's now.
        draft.intent = idle::blank(Some(&draft.intent), Kind::Grow, ordinal, look.now);
        return draft.enter(Step::FenceNewcomer);
    }
    for claim in used.iter().filter(|claim| !claim.deleting) {
        draft.ask(Effect::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() });
    }
    if let Some(pod) = stale {
        if pod.serving != Some(false) {
            draft.ask(Effect::LabelServing { ordinal, pod_uid: pod.uid.clone(), serving: false });
        }
        if !pod.deleting {
            draft.ask(Effect::DeletePod { ordinal, uid: pod.uid.clone() });
        }
    }
    draft.wait("UsedVolumeGone", look.limits.pod_gone);
    Flow::Look
}
