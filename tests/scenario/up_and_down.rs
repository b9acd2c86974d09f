//! 1 → 10 → 1 at 400m a node: the load comes, the load goes.

use rstest::rstest;
use serde_json::json;
use simulator::model::Version;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::steering::steered;

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_to_ten_to_one(#[case] via: Via) {
    let metrics = json!([{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "400m" },
    }}]);
    let mut cluster =
        Cluster::builder(via).replicas(1).clients(3).spec(&json!({ "metrics": metrics })).start().await;
    cluster.start_controller("a");
    cluster.load(4.4).await;
    cluster.until("ten nodes serve", minutes(25), |cluster| cluster.settled(10)).await;
    cluster.pass(seconds(30)).await;
    // A message a client in 100 s: with the six of the routing probe's next rehearsal they are not worth a second node.
    cluster.load(0.03).await;
    cluster.until("one node is left", minutes(40), |cluster| cluster.settled(1)).await;
    cluster.assert_invariants().await;
}

/// What is known of a leave was tried with both versions, and neither has to be named in the spec.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_to_three_to_one_on_each_version(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Version::V2_1_2, Version::V2_2_0)] version: Version,
) {
    let mut cluster = steered(via, 1).version(version).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.wish(3);
    cluster.until("three nodes serve", minutes(5), |cluster| cluster.settled(3)).await;
    cluster.wish(1);
    cluster.until("one node is left", minutes(10), |cluster| cluster.settled(1)).await;
    cluster.assert_invariants().await;
}
