//! The controller is killed after each of the things that it does, one after the
//! other, on the way down and on the way up; whoever comes next goes on from
//! what is recorded.

use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;

use crate::one_leave::{begin, node, restarted, three};
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

/// The call has reached the broker, and nothing that the controller does after it is done. Whoever
/// comes next finds a container that has run again: that its node has left is known from the record.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_that_was_sent_is_known_to_whoever_comes_next(#[case] via: Via) {
    let mut world = three(via).start().await;
    let leaver = node(&world, 2);
    world.taps.after("Leave", std::future::pending);
    begin(&mut world).await;
    let members = |world: &World| {
        let survivor = node(world, 1);
        world.fleet.with_model(|model, _| model.members_seen_by(&survivor))
    };
    world.until("it has left", minutes(6), |world| !members(world).contains_key(&leaver)).await;
    world.kill_controller("a").await;
    world.until("its container runs again", seconds(20), |world| restarted(world, 2) == (1, true)).await;
    world.start_controller("a");
    world.until("two nodes are left", minutes(2), |world| world.settled(2)).await;
    assert_eq!(world.taps.times("Leave"), 1, "asked again\n{}", world.dump());
    world.assert_bars().await;
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
