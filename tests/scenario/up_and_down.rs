//! 1 → 10 → 1 at 400m a node: the load comes, the load goes.

use rstest::rstest;
use serde_json::json;
use simulator::model::Version;
use vernescale::api::Via;

use crate::steering::steered;
use crate::world::{World, minutes, seconds};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_to_ten_to_one(#[case] via: Via) {
    let metrics = json!([{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "400m" },
    }}]);
    let mut world =
        World::builder(via).replicas(1).clients(3).spec(&json!({ "metrics": metrics })).start().await;
    world.start_controller("a");
    world.load(4.4).await;
    world.until("ten nodes serve", minutes(25), |world| world.settled(10)).await;
    world.pass(seconds(30)).await;
    // A message a client in 100 s: with the six of the canary's next rehearsal they are not worth a second node.
    world.load(0.03).await;
    world.until("one node is left", minutes(40), |world| world.settled(1)).await;
    world.assert_bars().await;
}

/// What is known of a leave was tried with both versions, and neither has to be named in the spec.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_to_three_to_one_on_each_version(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Version::V2_1_2, Version::V2_2_0)] version: Version,
) {
    let mut world = steered(via, 1).version(version).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.wish(3);
    world.until("three nodes serve", minutes(5), |world| world.settled(3)).await;
    world.wish(1);
    world.until("one node is left", minutes(10), |world| world.settled(1)).await;
    world.assert_bars().await;
}
