//! Three nodes of which two are wanted: the scenarios of one leave begin like this.

use lifecycle::{NodeName, Outcome};
use serde_json::json;
use simulator::model::{Connect, Filter, Goodbye, Protocol};
use vernescale::api::Via;

use crate::cluster::{Builder, Cluster, NAME, NAMESPACE, minutes, seconds};

/// Three nodes, and a wish from outside that needs no numbers. As the official chart sets it, a member that is down keeps no client out.
pub(crate) fn three(via: Via) -> Builder {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "metrics": [] });
    Cluster::builder(via).replicas(3).clients(3).spec(&spec).broker(|broker| {
        broker.allow_register_during_netsplit = true;
        broker.allow_publish_during_netsplit = true;
        broker.allow_subscribe_during_netsplit = true;
        broker.allow_unsubscribe_during_netsplit = true;
    })
}

/// A load that one node carries; two are wanted.
pub(crate) async fn begin(cluster: &mut Cluster) {
    cluster.load(0.4).await;
    cluster.start_controller("a");
}

/// Two nodes are left, by a leave that has ended well, and no bar is broken.
pub(crate) async fn ends_well(cluster: &mut Cluster) {
    cluster.until("two nodes are left", minutes(2), |cluster| cluster.settled(2)).await;
    assert_eq!(outcome(cluster), Some(Outcome::Completed), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// Persistent sessions at one node whose clients have gone: a leave has to move them.
pub(crate) async fn park(cluster: &mut Cluster, ordinal: u32, clients: usize) {
    let node = node(cluster, ordinal);
    let mut conns = Vec::new();
    for client in 0..clients {
        let connect = Connect::new(format!("parked-{client}"), Protocol::V4, false);
        conns.push(cluster.fleet.with_model(|model, now| model.connect(&node, connect, now)));
    }
    cluster.pass(seconds(2)).await;
    for conn in &conns {
        let filter = Filter::new("parked", 1);
        let _ = cluster.fleet.with_model(|model, now| model.subscribe(*conn, &[filter], now));
    }
    cluster.pass(seconds(1)).await;
    for conn in conns {
        cluster.fleet.with_model(|model, now| model.disconnect(conn, Goodbye::Clean, now));
    }
    assert!(queues(cluster, ordinal) >= i64::try_from(clients).expect("few"), "they are at {node}");
}

/// The broker's node in a pod that has run.
pub(crate) fn node(cluster: &Cluster, ordinal: u32) -> NodeName {
    cluster.node(ordinal).expect("the pod has run")
}

/// Queues of a node.
pub(crate) fn queues(cluster: &Cluster, ordinal: u32) -> i64 {
    let node = node(cluster, ordinal);
    let metrics = cluster.fleet.with_model(|model, _| model.metrics(&node));
    metrics.iter().find(|series| series.name == "queue_processes").map_or(0, |series| series.value)
}

/// How the last change ended, if it has.
pub(crate) fn outcome(cluster: &Cluster) -> Option<Outcome> {
    cluster.intent().and_then(|intent| intent.outcome)
}

/// Restarts of a pod's container, and whether it is ready.
pub(crate) fn restarted(cluster: &Cluster, ordinal: u32) -> (u64, bool) {
    let Some(pod) = cluster.kubernetes.object("pods", NAMESPACE, &format!("{NAME}-{ordinal}")) else {
        return (0, false);
    };
    let status = &pod["status"]["containerStatuses"][0];
    (status["restartCount"].as_u64().unwrap_or(0), status["ready"] == true)
}
