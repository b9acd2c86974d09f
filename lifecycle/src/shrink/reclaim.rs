//! The ordinal has left, but is to stay: another hand raised the size over it, or its pod was replaced
//! before the size was lowered. Old pod and old claim go; what comes in their place is a newcomer
//! like any other.

use crate::transition::{Context, Flow, Transition};
use crate::verify::all_have;
use crate::{Claim, Effect, Intent, Outcome, Pod, Severity, grow};

use super::verify::survivors_agree;

pub(super) fn reclaim(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let ordinal = transition.intent.ordinal;
    let size = ctx.facts.target.replicas;
    let (name, text) = if size == ordinal.0 + 1 {
        let text =
            format!("after ordinal {ordinal} had left, its pod was made again before the size was lowered");
        ("LeaverReplaced", text)
    } else {
        ("ForeignScale", format!("after ordinal {ordinal} had left, replicas is {size} by another hand"))
    };
    let text = format!("{text}; what is there joins as a new node, and its old pod and claim go");
    transition.tell(name, Severity::Warning, text.clone());
    let used: Vec<&Claim> = used(&transition.intent, ctx).collect();
    let ours = |pod: &&Pod| !used.is_empty() || transition.intent.pod_uid.as_ref() == Some(&pod.uid);
    let stale = ctx.facts.pods.get(&ordinal).filter(ours);
    // A member's pod and claim are nobody's to delete.
    let member =
        ctx.same_pod(&transition.intent).is_none() && stale.is_some() && all_have(&transition.intent, ctx);
    if member || (used.is_empty() && stale.is_none()) {
        return grow::adopt(transition, ctx, Outcome::Failed, text);
    }
    // The step may have been entered long ago, for another end.
    let since = transition.since();
    if transition.wait_until("UsedVolumeGone", since + ctx.limits.pod_gone) {
        stays(transition, &used, stale);
    }
    // Before anything is waited for: it may be an isolated node that has come with the template's label (I10).
    if let Some(pod) = stale.filter(|pod| pod.serving != Some(false)) {
        transition.ask(Effect::LabelServing { ordinal, pod_uid: pod.uid.clone(), serving: false });
    }
    if !survivors_agree(transition, ctx) {
        return Flow::Requeue;
    }
    for claim in used.iter().filter(|claim| !claim.deleting) {
        transition.ask(Effect::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() });
    }
    if let Some(pod) = stale.filter(|pod| !pod.deleting) {
        transition.ask(Effect::DeletePod { ordinal, uid: pod.uid.clone() });
    }
    Flow::Requeue
}

/// Nothing new can come in its place meanwhile.
fn stays(transition: &mut Transition, used: &[&Claim], stale: Option<&Pod>) {
    let ordinal = transition.intent.ordinal;
    let claims: Vec<_> = used.iter().map(|claim| format!("`kubectl describe pvc {}`", claim.name)).collect();
    let pod = stale.map(|_| format!("`kubectl describe pod` of pod {ordinal}"));
    let text = format!(
        "what the node of ordinal {ordinal} has left behind does not go, and no new one comes before: see {} for \
         finalizers and for what uses it, and whether its machine is away",
        claims.into_iter().chain(pod).collect::<Vec<_>>().join(" and ")
    );
    transition.tell("UsedVolumeStays", Severity::Warning, text);
}

/// Claims of the ordinal that hold the data of the node that has left.
fn used<'a>(intent: &Intent, ctx: &Context<'a>) -> impl Iterator<Item = &'a Claim> {
    let claims = ctx.facts.claims.get(&intent.ordinal).into_iter().flatten();
    claims.filter(|claim| intent.claims.contains(&claim.uid))
}
