//! Fold: what was gathered → what the decision and the lifecycle take. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{Facts, Intent, Kind, Limits, Ordinal, Severity, Time, Veto};

use super::gather::World;
use super::nodes::Answered;
use crate::conditions::Told;
use crate::crd::{VerneMQAutoscalerSpec, Via};
use crate::decide::{Change, Current, Decision};

/// A broker that boots answers 400 and 500 for half a second, and refuses for a few before
/// (vernemq.md §3). A ready pod that cannot be read for this long is told.
const UNREADABLE_FOR: Duration = Duration::from_secs(10);

/// What is, apart from the load.
pub(super) fn current(world: &World, last_join: Option<Time>) -> Current {
    let active = world.held.intent().filter(|intent| intent.active());
    Current {
        replicas: world.target.replicas.max(1),
        members: world.members(),
        change: active.map(change),
        conns_max: world.listeners().conns_max(),
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
pub(super) fn facts(world: &World, decision: Option<&Decision>, blocks: &[Veto]) -> Facts {
    let vetoes = |own: Option<&BTreeSet<Veto>>| -> BTreeSet<Veto> {
        own.into_iter().flatten().chain(blocks).cloned().collect()
    };
    Facts {
        target: world.target.clone(),
        pods: world.pods.clone(),
        missing: world.missing,
        claims: world.claims.clone(),
        nodes: world.answered.iter().map(|(ordinal, one)| (*ordinal, one.node.clone())).collect(),
        wish: decision.map_or(world.target.replicas, |decision| decision.wish),
        shrink_vetoes: vetoes(decision.map(|decision| &decision.shrink_vetoes)),
        grow_vetoes: vetoes(decision.map(|decision| &decision.grow_vetoes)),
        calls: world.calls.clone(),
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

/// Since when each ready pod's broker cannot be read, and why; told once it has lasted.
pub(super) fn unreadable(
    since: &mut BTreeMap<Ordinal, (&'static str, Time)>,
    world: &World,
    now: Time,
) -> Vec<Told> {
    let troubled = |ordinal: &Ordinal| {
        let ready = world.pods.get(ordinal).is_some_and(|pod| pod.ready && !pod.deleting);
        let trouble = world.answered.get(ordinal).and_then(|one: &Answered| one.trouble.as_ref());
        trouble.filter(|_| ready)
    };
    since.retain(|ordinal, (kind, _)| troubled(ordinal).is_some_and(|(now_kind, _)| now_kind == kind));
    let mut told = Vec::new();
    for ordinal in world.pods.keys() {
        let Some((kind, message)) = troubled(ordinal) else { continue };
        let (_, at) = since.entry(*ordinal).or_insert((kind, now));
        if now.since(*at) < UNREADABLE_FOR {
            continue;
        }
        let (name, cure) = cure(kind);
        let text = format!(
            "pod {ordinal} has been unreadable for {} s: {message}. {cure}",
            now.since(*at).as_secs()
        );
        told.push(Told { name, severity: Severity::Warning, message: text, blocks: false });
    }
    told
}

/// The condition for each kind of unreadable answer, and what to do.
fn cure(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "Unauthorized" => (
            "ManagementUnauthorized",
            "Put the key of spec.management.secretRef onto this very node (vmq-admin api-key add key=… scope=mgmt): keys do not spread between nodes",
        ),
        "NotUnderstood" => (
            "ManagementNotUnderstood",
            "The broker's command layer is not up; if it stays so, see the pod's log",
        ),
        "Crashed" => ("ManagementCrashed", "See the pod's log; restart the pod if it stays so"),
        "Html" => (
            "ManagementHtml",
            "Something else answers on spec.management.port: correct the port, or take away the proxy in between",
        ),
        "NotServed" => (
            "ManagementNotServed",
            "The listener on spec.management.port lacks this module: add vmq_mgmt_http and vmq_status_http to its http_modules, or set leave.via to Exec",
        ),
        "Empty" => {
            ("ManagementEmpty", "Something answers with nothing: see the pod's log and what stands between")
        }
        "Refused" => (
            "ManagementRefused",
            "Nobody listens on spec.management.port or metricsPort of the pod's address: correct the ports, or bind the listener to the pod's address",
        ),
        "Tls" => (
            "ManagementTls",
            "The certificate must bear the pod's name POD.SERVICE.NAMESPACE.svc (*.SERVICE.NAMESPACE.svc will do), and who signed it must be in the Secret of spec.management.caSecretRef. Where the listener is a plain one, set spec.management.scheme to Http",
        ),
        "Silent" => (
            "ManagementSilent",
            "No answer: see the pod's log, and whether a NetworkPolicy keeps us from its HTTP listener",
        ),
        _ => (
            "ManagementMalformed",
            "The answer is not understood: see whether spec.management.port is VerneMQ's",
        ),
    }
}

#[cfg(test)]
mod tests {
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
