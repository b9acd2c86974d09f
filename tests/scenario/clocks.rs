//! A machine's clock is off: told, by the `Date` of its broker's answers, and nothing else changes.

use rstest::rstest;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::one_leave::node;
use crate::steering::steered;

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_is_ahead_is_told_and_holds_nothing(#[case] via: Via) {
    let mut cluster = steered(via, 2).clients(0).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    assert_eq!(cluster.condition("ClocksApart").map(|told| told.message), None);
    let ahead = node(&cluster, 1);
    cluster.fleet.set_clock_ahead(&ahead, 900);
    let told = |by: &str| {
        let part = format!("pod 1's is {by} s ahead of it");
        move |cluster: &Cluster| {
            cluster.condition("ClocksApart").is_some_and(|told| told.message.contains(&part))
        }
    };
    cluster.until("it is told", seconds(10), told("900")).await;
    cluster.wish(3);
    cluster.until("a third is there", minutes(4), |cluster| cluster.settled(3)).await;
    cluster.fleet.set_clock_ahead(&ahead, 0);
    cluster.until("it is over", seconds(10), |cluster| cluster.condition("ClocksApart").is_none()).await;
    cluster.assert_invariants().await;
}
