//! The controller is killed after each of the things that it does, one after the
//! other, on the way down and on the way up; whoever comes next goes on from
//! what is recorded.

use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;

use crate::world::{World, minutes, seconds};

/// More than the things that one change consists of: then it has not ended.
const POINTS_MAX: usize = 60;

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_shrink_goes_on_from_every_point(#[case] via: Via) {
    enumerate(via, 3, 2).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_growth_goes_on_from_every_point(#[case] via: Via) {
    enumerate(via, 2, 3).await;
}

/// From `from` to `to` again and again, killed one thing later each time.
async fn enumerate(via: Via, from: u64, to: u64) {
    let spec = json!({ "wishFrom": "Scale", "replicas": from, "window": "10s" });
    let first = u32::try_from(from).expect("a handful");
    let mut world = World::builder(via).replicas(first).spec(&spec).start().await;
    world.start_controller("a");
    world.load(0.8).await;
    for point in 1..POINTS_MAX {
        // The numbers of a node that has just come must be known before one may leave.
        world.pass(seconds(40)).await;
        world.wish(to);
        let Some(thing) = world.kill_after("a", point, minutes(3)).await else {
            world.until("the change is through", minutes(5), |world| world.settled(to)).await;
            assert!(point > 10, "only {point} points: {:?}", world.taps.names());
            world.assert_bars().await;
            return;
        };
        world.pass(seconds(3)).await;
        world.start_controller("a");
        let what = format!("resumed after point {point}, {thing}");
        world.until(&what, minutes(5), |world| world.settled(to) && world.dead_members().is_empty()).await;
        world.wish(from);
        let back = |world: &World| world.settled(from) && world.dead_members().is_empty();
        world.until(&format!("back after {what}"), minutes(5), back).await;
    }
    panic!("the change did not end within {POINTS_MAX} things");
}
