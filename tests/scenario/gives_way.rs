//! Something else begins while a shrink is under way: before the leave the
//! shrink gives way, after it the shrink is finished first (I2).

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::steering::{claim, draining, serves, sizes_written, until_step, until_undone};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// As `kubectl rollout restart`.
pub(crate) fn restart_all(world: &World) {
    let annotation = json!({ "kubectl.kubernetes.io/restartedAt": "2027-01-15T08:00:00Z" });
    world.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
        set["spec"]["template"]["metadata"]["annotations"] = annotation;
    });
}

/// Every pod was made from the template of now.
pub(crate) fn rolled_out(world: &World) -> bool {
    let pods = world.kubernetes.objects("pods", NAMESPACE);
    let new = |pod: &serde_json::Value| {
        pod.pointer("/metadata/annotations/kubectl.kubernetes.io~1restartedAt").is_some()
    };
    pods.iter().all(|pod| new(pod)) && world.serving() == pods.len()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_rollout_during_the_drain_takes_the_shrink_back(#[case] via: Via) {
    let mut world = draining(via).await;
    restart_all(&world);
    until_undone(&mut world, "RolloutUnderWay").await;
    // Nothing of ours begins before the rollout is through.
    while !rolled_out(&world) {
        assert_eq!((world.replicas(), sizes_written(&world)), (3, Vec::new()), "{}", world.dump());
        let active = world.intent().is_some_and(|intent| intent.active());
        assert!(!active || world.condition("RolloutUnderWay").is_none(), "{}", world.dump());
        world.pass(seconds(1)).await;
    }
    world.until("two nodes, after the rollout", minutes(5), |world| world.settled(2)).await;
    // The other bars do not apply: a rollout stops brokers under their clients, and loses as much
    // without any controller (8 messages of some 110 in this very world).
    assert_eq!(world.dead_members(), Vec::<String>::new());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_raised_wish_during_the_drain_takes_the_shrink_back(#[case] via: Via) {
    let mut world = draining(via).await;
    assert!(!serves(&world, 2), "the leaver is fenced");
    world.wish(3);
    until_undone(&mut world, "WishRaised").await;
    world.until("the leaver serves again", seconds(3), |world| serves(world, 2)).await;
    let members = world.dead_members();
    assert_eq!(members, Vec::<String>::new(), "it is a member as before");
    world.pass(seconds(10)).await;
    assert!(world.settled(3), "{}", world.dump());
    world.assert_bars().await;
}

#[rstest]
#[case::patch(Via::ManagementApi, "PodGone")]
#[case::patch(Via::Exec, "PodGone")]
#[case::volume(Via::ManagementApi, "Quiet")]
#[case::volume(Via::Exec, "Quiet")]
#[tokio::test(start_paused = true)]
async fn a_raised_wish_during_the_shrink_waits_for_its_end(#[case] via: Via, #[case] step: &str) {
    let mut world = draining(via).await;
    let old = claim(&world, 2).expect("the leaver has a volume");
    until_step(&mut world, step).await;
    world.wish(3);
    world.until("the shrink is through", minutes(3), |world| claim(world, 2).is_none()).await;
    assert_eq!(sizes_written(&world), [2], "nothing grows before");
    world.until("three nodes again", minutes(5), |world| world.settled(3)).await;
    assert_eq!(sizes_written(&world), [2, 3]);
    assert_ne!(claim(&world, 2).expect("a fresh volume"), old, "on the old data it could not join");
    world.assert_bars().await;
}
