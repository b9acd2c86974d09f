//! Fold: what was gathered → what the decision and the lifecycle take. Pure.

use std::collections::BTreeSet;

use lifecycle::{Facts, Intent, Kind, Limits, Output, Step, Time, Veto};

use super::observation::Observation;
use crate::api::{VerneMQAutoscalerSpec, Via};
use crate::conditions::Told;
use autoscaler::decide::{Change, Current, Decision};

/// What is, apart from the load.
pub(super) fn current(observed: &Observation, last_join: Option<Time>) -> Current {
    let active = observed.held.intent().filter(|intent| intent.active());
    Current {
        replicas: observed.target.replicas.max(1),
        members: observed.members(),
        change: active.map(change),
        conns_max: observed.listeners().conns_max(),
        last_join,
    }
}

fn change(intent: &Intent) -> Change {
    match intent.kind {
        Kind::Grow => Change::Growing,
        Kind::Shrink => Change::Shrinking { leaver: intent.node.clone(), to: intent.ordinal.0 },
    }
}

/// Everything that the lifecycle looks at. `blocks` are conditions that forbid any change.
pub(super) fn facts(
    observed: &Observation,
    decision: Option<&Decision>,
    blocks: &[Veto],
    raise: Option<Veto>,
) -> Facts {
    let vetoes = |own: Option<&BTreeSet<Veto>>| -> BTreeSet<Veto> {
        own.into_iter().flatten().chain(blocks).cloned().collect()
    };
    Facts {
        target: observed.target.clone(),
        pods: observed.pods.clone(),
        missing: observed.missing,
        unsettled: None,
        claims: observed.claims.clone(),
        nodes: observed.answered.iter().map(|(ordinal, one)| (*ordinal, one.node.clone())).collect(),
        wish: decision.map_or(observed.target.replicas, |decision| decision.wish),
        shrink_vetoes: vetoes(decision.map(|decision| &decision.shrink_vetoes)),
        grow_vetoes: vetoes(decision.map(|decision| &decision.grow_vetoes)),
        raise_vetoes: raise.into_iter().collect(),
        calls: observed.calls.clone(),
    }
}

/// The lifecycle's numbers for this resource.
pub(super) fn limits(spec: &VerneMQAutoscalerSpec, base: &Limits) -> Limits {
    let base = Limits {
        fence: spec.client_service.is_some(),
        drain: spec.drain.budget.0,
        drain_percent: spec.drain.percent_per_second,
        drain_rate_max: spec.drain.max_per_second,
        max_online_at_kill: spec.leave.max_online_at_kill,
        versions: spec.leave.versions.clone(),
        unrouted: spec.fence_wait.0,
        settle: spec.settle.0,
        dead: spec.dead_after.0,
        ..base.clone()
    };
    let most = base.drain_batch.1.max(spec.drain.batch);
    let base = Limits { drain_batch: (spec.drain.batch, most), ..base };
    match spec.leave.via {
        Via::ManagementApi => base,
        Via::Exec => base.for_exec(),
    }
}

/// Blocking conditions, as vetoes.
pub(super) fn blocks(told: &[Told]) -> Vec<Veto> {
    let blocking = told.iter().filter(|one| one.blocks);
    blocking.map(|one| Veto::forbids(one.name, one.message.as_str())).collect()
}

/// A newcomer that does not get on must not keep the resource from going: fenced, not there, or proven and only not
/// routed yet, it harms nobody.
pub(super) fn hopeless(observed: &Observation, out: &Output, now: Time) -> bool {
    let harmless = |intent: &Intent| match intent.step {
        Step::FenceNewcomer | Step::Join | Step::RoutingProbe => {
            observed.pods.get(&intent.ordinal).is_none_or(|pod| pod.serving == Some(false))
        }
        Step::Serve => true,
        _ => false,
    };
    let late = out.wait.as_ref().is_some_and(|wait| now > wait.until);
    let deleting = observed.resource.metadata.deletion_timestamp.is_some();
    deleting && late && out.intent.as_ref().is_some_and(harmless)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_fences_wait_is_that_of_the_spec() {
        let wait = |spec: serde_json::Value| {
            let mut all = json!({ "targetRef": { "name": "vmq" }, "maxReplicas": 3 });
            all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            limits(&serde_json::from_value(all).unwrap(), &Limits::default()).unrouted
        };
        assert_eq!(wait(json!({})), Limits::default().unrouted);
        assert_eq!(wait(json!({ "fenceWait": "4s" })), Duration::from_secs(4));
    }

    #[test]
    fn the_batch_of_the_spec_is_the_smallest() {
        let batches = |drain: serde_json::Value| {
            let spec = json!({ "targetRef": { "name": "vmq" }, "maxReplicas": 3, "drain": drain });
            limits(&serde_json::from_value(spec).unwrap(), &Limits::default()).drain_batch
        };
        assert_eq!([batches(json!({})), batches(json!({ "batch": 40 }))], [(10, 50), (40, 50)]);
    }
}
