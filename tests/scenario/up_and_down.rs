//! 1 → 10 → 1 at 60m a node: the load comes, the load goes.

use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;

use crate::world::{World, minutes, seconds};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_to_ten_to_one(#[case] via: Via) {
    let metrics = json!([{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "60m" },
    }}]);
    let mut world =
        World::builder(via).replicas(1).clients(3).spec(&json!({ "metrics": metrics })).start().await;
    world.start_controller("a");
    world.load(0.66).await;
    world.until("ten nodes serve", minutes(25), |world| world.settled(10)).await;
    world.pass(seconds(30)).await;
    // A message a client in 100 s: what the last minute holds is not worth a second node.
    world.load(0.03).await;
    world.until("one node is left", minutes(40), |world| world.settled(1)).await;
    world.assert_bars().await;
}
