//! The controller is killed after each of the things that it does, one after the
//! other, on the way down, on the way up and on the way back; whoever comes next
//! goes on from what is recorded.

use kube::ResourceExt as _;
use lifecycle::Outcome;
use rstest::rstest;
use serde_json::json;
use simulator::model::{Connect, Protocol};
use tokio::sync::oneshot;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::one_leave::{begin, node, restarted, three};
use crate::steering::{asked_to_leave, sizes_written};

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
    let mut cluster = three(via).start().await;
    let leaver = node(&cluster, 2);
    cluster.hooks.after("Leave", std::future::pending);
    begin(&mut cluster).await;
    let members = |cluster: &Cluster| {
        let survivor = node(cluster, 1);
        cluster.fleet.with_model(|model, _| model.members_seen_by(&survivor))
    };
    cluster.until("it has left", minutes(6), |cluster| !members(cluster).contains_key(&leaver)).await;
    cluster.kill_controller("a").await;
    cluster
        .until("its container runs again", seconds(20), |cluster| restarted(cluster, 2) == (1, true))
        .await;
    cluster.start_controller("a");
    cluster.until("two nodes are left", minutes(2), |cluster| cluster.settled(2)).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// A fresh process knows no load yet. What its predecessor has begun is held until it does, and not undone:
/// an upgrade of the controller must not cost a drain, which the churn budget counts.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_drain_is_held_until_the_numbers_are_known_again(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(3, 70)] nobody_for: u64,
) {
    let spec = json!({ "minReplicas": 2 });
    let mut cluster = Cluster::builder(via).replicas(3).spec(&spec).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    cluster.hooks.after("record Drain", std::future::pending);
    cluster.until("the drain begins", minutes(6), |cluster| cluster.hooks.times("record Drain") == 1).await;
    cluster.kill_controller("a").await;
    cluster.pass(seconds(nobody_for)).await;
    cluster.start_controller("a");
    let veto = |cluster: &Cluster| cluster.metrics("a").contains("NumbersUnknown");
    cluster.until("the numbers are unknown", seconds(5), veto).await;
    assert_eq!(
        (cluster.step().as_deref(), cluster.hooks.times("DrainBatch")),
        (Some("Drain"), 0),
        "{}",
        cluster.dump()
    );
    cluster.until("two nodes are left", minutes(4), |cluster| cluster.settled(2)).await;
    assert_eq!(cluster.intent().map(|intent| intent.epoch), Some(1), "begun again\n{}", cluster.dump());
    assert_eq!(cluster.hooks.times("record Cancel"), 0, "undone\n{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// The wish rises once the drain is recorded, and the controller is killed after each of the things
/// that it does to take the shrink back, one later each time.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn an_undo_goes_on_from_every_point(#[case] via: Via) {
    let spec = json!({ "wishFrom": "Scale", "replicas": 3, "window": "10s" });
    let mut cluster = Cluster::builder(via).replicas(3).spec(&spec).start().await;
    cluster.start_controller("a");
    cluster.load(0.8).await;
    let mut met = Vec::new();
    let mut point = 1;
    for round in 1..POINTS_MAX {
        // The others have moved away with the first drain.
        let (leaver, visitor) = (node(&cluster, 2), Connect::new("visitor", Protocol::V4, true));
        cluster.fleet.with_model(|model, now| model.connect(&leaver, visitor, now));
        let (go, held) = oneshot::channel::<()>();
        cluster.hooks.after("record Drain", || async { drop(held.await) });
        cluster.wish(2);
        let drains = |cluster: &Cluster| cluster.hooks.times("record Drain") == round;
        cluster.until("the drain is recorded", minutes(5), drains).await;
        cluster.wish(3);
        drop(go);
        let thing = cluster.kill_after("a", point, minutes(1)).await;
        if let Some(thing) = &thing {
            cluster.pass(seconds(3)).await;
            cluster.start_controller("a");
            met.push(thing.clone());
        }
        let what = format!("taken back after point {point}, {thing:?}");
        let undone = |cluster: &Cluster| {
            let outcome = cluster.intent().and_then(|intent| intent.outcome);
            let free = cluster.resource().is_some_and(|resource| resource.finalizers().is_empty());
            let back = cluster.settled(3) && cluster.dead_members().is_empty();
            outcome == Some(Outcome::Cancelled) && back && free
        };
        cluster.until(&what, minutes(3), undone).await;
        assert!(
            !asked_to_leave(&cluster) && sizes_written(&cluster).is_empty(),
            "{what}\n{}",
            cluster.dump()
        );
        // A drain does more things in one round than in another: what was stepped over so is tried again.
        let steps = ["record Cancel", "Reopen", "LabelServing", "record Done", "release"];
        let missed = steps.iter().any(|step| !met.iter().any(|thing| thing == step));
        match thing {
            Some(_) => point += 1,
            None if missed => point -= 1,
            None => {
                cluster.assert_invariants().await;
                return;
            }
        }
    }
    panic!("not killed after each thing in {POINTS_MAX} rounds: {met:?}");
}

/// From `from` to `to` again and again, killed one thing later each time.
async fn enumerate(via: Via, from: u64, to: u64) {
    let spec = json!({ "wishFrom": "Scale", "replicas": from, "window": "10s" });
    let first = u32::try_from(from).expect("a handful");
    let mut cluster = Cluster::builder(via).replicas(first).spec(&spec).start().await;
    cluster.start_controller("a");
    cluster.load(0.8).await;
    for point in 1..POINTS_MAX {
        cluster.wish(to);
        let Some(thing) = cluster.kill_after("a", point, minutes(3)).await else {
            cluster.until("the change is through", minutes(5), |cluster| cluster.settled(to)).await;
            assert!(point > 10, "only {point} points: {:?}", cluster.hooks.names());
            cluster.assert_invariants().await;
            return;
        };
        cluster.pass(seconds(3)).await;
        cluster.start_controller("a");
        let what = format!("resumed after point {point}, {thing}");
        cluster
            .until(&what, minutes(5), |cluster| cluster.settled(to) && cluster.dead_members().is_empty())
            .await;
        cluster.wish(from);
        let back = |cluster: &Cluster| cluster.settled(from) && cluster.dead_members().is_empty();
        cluster.until(&format!("back after {what}"), minutes(5), back).await;
    }
    panic!("the change did not end within {POINTS_MAX} things");
}
