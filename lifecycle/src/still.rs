//! A StatefulSet that stands still: seen on Kubernetes 1.35.4 where claims are deleted with a smaller size. A pod that
//! the size holds was never made, with no Event and no condition, until somebody wrote to the object.

use crate::members::below;
use crate::transition::Context;
use crate::{Condition, Effect, Intent, Ordinal, Severity};

/// What is told, and the write that wakes it, where it is due. `active` is the change that is under way.
pub(crate) fn still(active: Option<&Intent>, ctx: &Context<'_>) -> Option<(Condition, Option<Effect>)> {
    let facts = ctx.facts;
    let (ordinal, since) = facts.missing.filter(|(ordinal, _)| ordinal.0 < facts.target.replicas)?;
    // With `OrderedReady` it waits for the lower ones, and for a claim that is on its way out it has to.
    let well = |o: Ordinal| facts.pods.get(&o).is_some_and(|pod| pod.ready && !pod.deleting);
    let waits = facts.claims.get(&ordinal).is_some_and(|claims| claims.iter().any(|claim| claim.deleting));
    let missing = ctx.now.since(since);
    if missing < ctx.limits.still || waits || !below(ordinal.0).all(well) || facts.target.deleting {
        return None;
    }
    // Nothing is written for a resource that may change nothing.
    let ours = active.is_some() || facts.grow_vetoes.is_empty();
    let due = facts.target.touched.is_none_or(|at| ctx.now.since(at) >= ctx.limits.still);
    let message = format!(
        "pod {ordinal} is wanted and has not been made for {} s, though nothing that we see is in its way. A StatefulSet \
         that stands still goes on when it is written to: {} its annotation vernescale.dev/touched every {} s. If that \
         does not help, `kubectl describe statefulset` and the log of kube-controller-manager say why (quota, admission)",
        missing.as_secs(),
        if ours { "we write" } else { "in this mode we do not; change" },
        ctx.limits.still.as_secs()
    );
    let told = Condition { reason: "StatefulSetStill", severity: Severity::Warning, message };
    Some((told, (ours && due).then(|| Effect::Touch { uid: facts.target.uid.clone() })))
}
