//! A newcomer that would begin with old data, or is not in step with the others: it is not made, or
//! not served.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::json;
use simulator::model::{Spread, Version};
use vernescale::api::Via;

use crate::steering::{claim, sizes_written, steered};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// Two nodes, and controller `a`.
async fn two(world: &mut World) {
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_left_over_is_told_and_waited_for(#[case] via: Via) {
    let mut world = steered(via, 2).start().await;
    two(&mut world).await;
    let old = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": format!("data-{NAME}-2"), "namespace": NAMESPACE },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    world.kubernetes.apply(&old).expect("it is made");
    let finalizers = |world: &World, finalizers: &[&str]| {
        let name = format!("data-{NAME}-2");
        world.kubernetes.edit("persistentvolumeclaims", NAMESPACE, &name, |claim| {
            claim["metadata"]["finalizers"] = json!(finalizers);
        });
    };
    finalizers(&world, &["example.org/backup"]);
    let old = claim(&world, 2).expect("it is there");
    world.wish(3);
    let told = |world: &World| world.condition("ClaimInTheWay").is_some();
    world.until("it is told", seconds(20), told).await;
    world.pass(seconds(20)).await;
    // One that is being deleted is still there, and a pod would wait for it or take it.
    let claims =
        Api::<PersistentVolumeClaim>::namespaced(world.kubernetes.client_named("somebody"), NAMESPACE);
    claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await.expect("the server takes it");
    world.pass(seconds(20)).await;
    assert_eq!(
        (sizes_written(&world), claim(&world, 2)),
        (Vec::new(), Some(old.clone())),
        "{}",
        world.dump()
    );
    assert!(told(&world), "{}", world.dump());
    finalizers(&world, &[]);
    world.until("three nodes", minutes(4), |world| world.settled(3)).await;
    assert_ne!(claim(&world, 2), Some(old));
    world.assert_bars().await;
}

/// As nearly everywhere: a filter that clients on every node have subscribed. The nodes then count subscriptions
/// differently for ever (`num_subscriptions_not_comparable.txt`).
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_third_is_served_though_two_share_a_filter(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Version::V2_1_2, Version::V2_2_0)] version: Version,
) {
    let mut world = steered(via, 2).version(version).start().await;
    two(&mut world).await;
    world.wish(3);
    world.until("three nodes", minutes(2), |world| world.settled(3)).await;
    let rows: std::collections::BTreeSet<i64> = (0..3)
        .map(|ordinal| {
            let node = world.node(ordinal).expect("it runs");
            let page = world.fleet.with_model(|model, _| model.status(&node));
            page.nodes.into_iter().find(|(name, _)| *name == node).expect("its own entry").1.num_subscriptions
        })
        .collect();
    assert!(rows.len() > 1, "the story is about nodes that differ: {rows:?}");
    world.assert_bars().await;
}

/// On 2.1.2 its groups tell; on 2.2.0 they are true from the start, and the objects do.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_slow_to_learn_the_subscriptions_is_served_after_that(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Version::V2_1_2, Version::V2_2_0)] version: Version,
) {
    let slow = steered(via, 2)
        .version(version)
        .broker(|broker| broker.timing.join_sync_end = Spread::exactly(60_000));
    let mut world = slow.start().await;
    two(&mut world).await;
    world.wish(3);
    let joined = |world: &World| {
        let first = world.node(0).expect("it runs");
        world.fleet.with_model(|model, _| model.members_seen_by(&first)).len() == 3
    };
    world.until("it has joined", minutes(1), joined).await;
    let since = world.clock.now();
    let behind = |world: &World| world.condition("NewcomerBehind").map(|told| told.message);
    world.until("it is told", seconds(40), |world| behind(world).is_some()).await;
    let told = behind(&world).expect("it stands");
    assert!(told.contains("pod 2 has") && told.contains("pod 0 has"), "which number, where: {told}");
    world.until("three serve", minutes(4), |world| world.serving() == 3).await;
    let took = world.clock.now().since(since);
    assert_eq!(behind(&world), None, "{}", world.dump());
    assert!(took >= seconds(45), "served {took:?} after its join\n{}", world.dump());
    world.until("three nodes", minutes(1), |world| world.settled(3)).await;
    world.assert_bars().await;
}

/// A boot that takes its time is no join that failed: nobody is told to delete anything.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_slow_boot_is_no_failed_join(#[case] via: Via) {
    let mut world = steered(via, 2).limits(|limits| limits.join = seconds(60)).start().await;
    two(&mut world).await;
    world.fleet.with_model(|model, _| model.settings_mut().timing.boot = Spread::exactly(150_000));
    world.wish(3);
    world
        .until("three nodes", minutes(4), |world| {
            assert!(world.condition("JoinFailed").is_none(), "{}", world.dump());
            world.settled(3)
        })
        .await;
    world.assert_bars().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_whose_messages_do_not_cross_is_told_and_not_served(#[case] via: Via) {
    let mut world = steered(via, 2).start().await;
    two(&mut world).await;
    world.wish(3);
    world.until("it is made", seconds(30), |world| world.pod_count() == 3).await;
    // As an ACL that knows nothing of us any more: any other way to lose a message shows the same.
    let denied = vec!["vernescale/".to_owned()];
    world.fleet.with_model(|model, _| model.settings_mut().denied_prefixes = denied);
    let told = |world: &World| world.condition("CanaryLost").is_some();
    world.until("it is told", minutes(4), told).await;
    assert_eq!((world.pod_count(), world.serving()), (3, 2), "{}", world.dump());
    let asked = world.hooks.times("Canary");
    world.pass(seconds(30)).await;
    assert!(world.hooks.times("Canary") - asked <= 30, "as fast as it is refused\n{}", world.dump());
    assert!(told(&world) && world.serving() == 2, "{}", world.dump());
    world.fleet.with_model(|model, _| model.settings_mut().denied_prefixes.clear());
    world.until("three nodes", minutes(2), |world| world.settled(3)).await;
    assert!(!told(&world), "{}", world.dump());
    world.assert_bars().await;
}
