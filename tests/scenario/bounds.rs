//! The live size is outside [min, max]: it moves towards it, one at a time (I7).

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::steering::{sizes_written, steered};
use crate::world::{minutes, seconds};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn below_min_it_grows_one_at_a_time(#[case] via: Via) {
    let spec = json!({ "minReplicas": 3, "maxReplicas": 5 });
    let mut world = steered(via, 1).spec(&spec).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.until("it is told", seconds(10), |world| world.condition("SizeBelowMin").is_some()).await;
    world.until("three nodes", minutes(5), |world| world.settled(3)).await;
    world.pass(seconds(10)).await;
    assert_eq!(sizes_written(&world), [2, 3]);
    assert!(world.condition("SizeBelowMin").is_none());
    world.assert_bars().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn above_max_it_shrinks_one_at_a_time(#[case] via: Via) {
    let spec = json!({ "minReplicas": 1, "maxReplicas": 1 });
    let mut world = steered(via, 3).spec(&spec).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.until("it is told", seconds(10), |world| world.condition("SizeAboveMax").is_some()).await;
    world.until("one node", minutes(5), |world| world.settled(1)).await;
    world.pass(seconds(10)).await;
    assert_eq!(sizes_written(&world), [2, 1]);
    assert!(world.condition("SizeAboveMax").is_none());
    world.assert_bars().await;
}
