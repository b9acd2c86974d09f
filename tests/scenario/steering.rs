//! Cluster whose size is said from outside (`wishFrom: Scale`): a scenario need not
//! wait for rates to fall, and the wish moves when the test says so.

use serde_json::{Value, json};
use simulator::model::Settings as Broker;
use vernescale::api::Via;

use crate::cluster::{Builder, Cluster, NAME, NAMESPACE, minutes, seconds};

/// `size` nodes; `size` of them are wished. As the official chart sets it, a member that is down
/// keeps no client out: else every restart that a scenario makes would.
pub(crate) fn steered(via: Via, size: u32) -> Builder {
    Cluster::builder(via)
        .replicas(size)
        .clients(4)
        .spec(&json!({ "wishFrom": "Scale", "replicas": size, "metrics": [] }))
        .broker(chart_defaults)
}

pub(crate) fn chart_defaults(broker: &mut Broker) {
    broker.allow_register_during_netsplit = true;
    broker.allow_publish_during_netsplit = true;
    broker.allow_subscribe_during_netsplit = true;
    broker.allow_unsubscribe_during_netsplit = true;
}

/// Edits the spec of our resource (RFC 7386).
pub(crate) fn edit(cluster: &Cluster, spec: &Value) {
    let edited = cluster.edit(|resource| json_patch::merge(&mut resource["spec"], spec));
    assert!(edited, "our resource is there");
}

/// Runs until a change is at this step.
pub(crate) async fn until_step(cluster: &mut Cluster, step: &str) {
    let at = |cluster: &Cluster| cluster.step().as_deref() == Some(step);
    cluster.until(&format!("step {step}"), minutes(3), at).await;
}

/// Three nodes serve a little load, controller `a` runs, two nodes are wished, and the third drains.
pub(crate) async fn draining(via: Via) -> Cluster {
    let mut cluster = steered(via, 3).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.wish(2);
    until_step(&mut cluster, "Drain").await;
    cluster
}

/// The record on the StatefulSet, with who wrote it.
pub(crate) fn annotation(cluster: &Cluster) -> Option<String> {
    let set = cluster.kubernetes.object("statefulsets", NAMESPACE, NAME)?;
    set.pointer("/metadata/annotations/vernescale.dev~1intent").and_then(Value::as_str).map(str::to_owned)
}

/// The point of no return was passed: a leave was asked for.
pub(crate) fn asked_to_leave(cluster: &Cluster) -> bool {
    cluster.hooks.names().iter().any(|name| name == "Leave")
}

/// Every size that was asked for, in order, refused ones too.
pub(crate) fn sizes_written(cluster: &Cluster) -> Vec<u64> {
    let scales = cluster.kubernetes.log().into_iter().filter(|write| write.resource == "statefulsets/scale");
    let sizes = scales.filter_map(|write| {
        let operations = write.body.as_array()?.clone();
        operations.iter().find(|one| one["op"] == "replace")?["value"].as_u64()
    });
    sizes.collect()
}

/// The uid of the claim of an ordinal.
pub(crate) fn claim(cluster: &Cluster, ordinal: u32) -> Option<String> {
    let name = format!("data-{NAME}-{ordinal}");
    let claim = cluster.kubernetes.object("persistentvolumeclaims", NAMESPACE, &name)?;
    claim.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned)
}

/// The serving label of a pod.
pub(crate) fn label(cluster: &Cluster, ordinal: u32) -> Option<String> {
    let pod = cluster.kubernetes.object("pods", NAMESPACE, &format!("{NAME}-{ordinal}"))?;
    pod.pointer("/metadata/labels/vernescale.dev~1serving").and_then(Value::as_str).map(str::to_owned)
}

/// The broker of this ordinal takes clients: listener open, label on, in the client Service.
pub(crate) fn serves(cluster: &Cluster, ordinal: u32) -> bool {
    let pod = format!("{NAME}-{ordinal}");
    let listening =
        cluster.node(ordinal).is_some_and(|node| cluster.fleet.with_model(|model, _| model.listening(&node)));
    let routed = cluster.kubernetes.endpoints(NAMESPACE, NAME).iter().any(|one| one.pod == pod && one.ready);
    listening && routed && label(cluster, ordinal).as_deref() == Some("true")
}

/// The change that was under way was taken back, for a reason that begins so.
pub(crate) async fn until_undone(cluster: &mut Cluster, reason: &str) {
    let undone = |cluster: &Cluster| {
        cluster.intent().is_some_and(|intent| intent.outcome == Some(lifecycle::Outcome::Cancelled))
    };
    cluster.until("the shrink is undone", minutes(3), undone).await;
    let said = cluster.intent().and_then(|intent| intent.reason).unwrap_or_default();
    assert!(said.starts_with(reason), "undone because of {reason}, not: {said}");
    assert!(!asked_to_leave(cluster), "no leave was asked for: {:?}", cluster.hooks.names());
    assert_eq!(sizes_written(cluster), Vec::<u64>::new(), "the size was let be");
}
