//! A machine's clock is off: told, by the `Date` of its broker's answers, and nothing else changes.

use rstest::rstest;
use vernescale::api::Via;

use crate::one_leave::node;
use crate::steering::steered;
use crate::world::{World, minutes, seconds};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_is_ahead_is_told_and_holds_nothing(#[case] via: Via) {
    let mut world = steered(via, 2).clients(0).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    assert_eq!(world.condition("ClocksApart").map(|told| told.message), None);
    let ahead = node(&world, 1);
    world.fleet.set_clock_ahead(&ahead, 900);
    let told = |by: &str| {
        let part = format!("pod 1's is {by} s ahead of it");
        move |world: &World| world.condition("ClocksApart").is_some_and(|told| told.message.contains(&part))
    };
    world.until("it is told", seconds(10), told("900")).await;
    world.wish(3);
    world.until("a third is there", minutes(4), |world| world.settled(3)).await;
    world.fleet.set_clock_ahead(&ahead, 0);
    world.until("it is over", seconds(10), |world| world.condition("ClocksApart").is_none()).await;
    world.assert_bars().await;
}
