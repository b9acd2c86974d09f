//! A newcomer that would begin with old data, or is not in step with the others: it is not made, or
//! not served.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::json;
use simulator::model::{Spread, Version};
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::steering::{claim, sizes_written, steered};

/// Two nodes, and controller `a`.
async fn two(cluster: &mut Cluster) {
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_left_over_is_told_and_waited_for(#[case] via: Via) {
    let mut cluster = steered(via, 2).start().await;
    two(&mut cluster).await;
    let old = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": format!("data-{NAME}-2"), "namespace": NAMESPACE },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    cluster.kubernetes.apply(&old).expect("it is made");
    let finalizers = |cluster: &Cluster, finalizers: &[&str]| {
        let name = format!("data-{NAME}-2");
        cluster.kubernetes.edit("persistentvolumeclaims", NAMESPACE, &name, |claim| {
            claim["metadata"]["finalizers"] = json!(finalizers);
        });
    };
    finalizers(&cluster, &["example.org/backup"]);
    let old = claim(&cluster, 2).expect("it is there");
    cluster.wish(3);
    let told = |cluster: &Cluster| cluster.condition("ClaimInTheWay").is_some();
    cluster.until("it is told", seconds(20), told).await;
    cluster.pass(seconds(20)).await;
    // One that is being deleted is still there, and a pod would wait for it or take it.
    let claims =
        Api::<PersistentVolumeClaim>::namespaced(cluster.kubernetes.client_named("somebody"), NAMESPACE);
    claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await.expect("the server takes it");
    cluster.pass(seconds(20)).await;
    assert_eq!(
        (sizes_written(&cluster), claim(&cluster, 2)),
        (Vec::new(), Some(old.clone())),
        "{}",
        cluster.dump()
    );
    assert!(told(&cluster), "{}", cluster.dump());
    finalizers(&cluster, &[]);
    cluster.until("three nodes", minutes(4), |cluster| cluster.settled(3)).await;
    assert_ne!(claim(&cluster, 2), Some(old));
    cluster.assert_invariants().await;
}

/// As nearly everywhere: a filter that clients on every node have subscribed. The nodes then count subscriptions
/// differently for ever (`num_subscriptions_not_comparable.txt`).
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_third_is_served_though_two_share_a_filter(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Version::V2_1_2, Version::V2_2_0)] version: Version,
) {
    let mut cluster = steered(via, 2).version(version).start().await;
    two(&mut cluster).await;
    cluster.wish(3);
    cluster.until("three nodes", minutes(2), |cluster| cluster.settled(3)).await;
    let rows: std::collections::BTreeSet<i64> = (0..3)
        .map(|ordinal| {
            let node = cluster.node(ordinal).expect("it runs");
            let page = cluster.fleet.with_model(|model, _| model.status(&node));
            page.nodes.into_iter().find(|(name, _)| *name == node).expect("its own entry").1.num_subscriptions
        })
        .collect();
    assert!(rows.len() > 1, "the scenario is about nodes that differ: {rows:?}");
    cluster.assert_invariants().await;
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
    let mut cluster = slow.start().await;
    two(&mut cluster).await;
    cluster.wish(3);
    let joined = |cluster: &Cluster| {
        let first = cluster.node(0).expect("it runs");
        cluster.fleet.with_model(|model, _| model.members_seen_by(&first)).len() == 3
    };
    cluster.until("it has joined", minutes(1), joined).await;
    let since = cluster.clock.now();
    let behind = |cluster: &Cluster| cluster.condition("NewcomerBehind").map(|told| told.message);
    cluster.until("it is told", seconds(40), |cluster| behind(cluster).is_some()).await;
    let told = behind(&cluster).expect("it stands");
    assert!(told.contains("pod 2 has") && told.contains("pod 0 has"), "which number, where: {told}");
    cluster.until("three serve", minutes(4), |cluster| cluster.serving() == 3).await;
    let took = cluster.clock.now().since(since);
    assert_eq!(behind(&cluster), None, "{}", cluster.dump());
    assert!(took >= seconds(45), "served {took:?} after its join\n{}", cluster.dump());
    cluster.until("three nodes", minutes(1), |cluster| cluster.settled(3)).await;
    cluster.assert_invariants().await;
}

/// A boot that takes its time is no join that failed: nobody is told to delete anything.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_slow_boot_is_no_failed_join(#[case] via: Via) {
    let mut cluster = steered(via, 2).limits(|limits| limits.join = seconds(60)).start().await;
    two(&mut cluster).await;
    cluster.fleet.with_model(|model, _| model.settings_mut().timing.boot = Spread::exactly(150_000));
    cluster.wish(3);
    cluster
        .until("three nodes", minutes(4), |cluster| {
            assert!(cluster.condition("JoinFailed").is_none(), "{}", cluster.dump());
            cluster.settled(3)
        })
        .await;
    cluster.assert_invariants().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_whose_messages_do_not_cross_is_told_and_not_served(#[case] via: Via) {
    let mut cluster = steered(via, 2).start().await;
    two(&mut cluster).await;
    cluster.wish(3);
    cluster.until("it is made", seconds(30), |cluster| cluster.pod_count() == 3).await;
    // As an ACL that knows nothing of us any more: any other way to lose a message shows the same.
    let denied = vec!["vernescale/".to_owned()];
    cluster.fleet.with_model(|model, _| model.settings_mut().denied_prefixes = denied);
    let told = |cluster: &Cluster| cluster.condition("RoutingProbeLost").is_some();
    cluster.until("it is told", minutes(4), told).await;
    assert_eq!((cluster.pod_count(), cluster.serving()), (3, 2), "{}", cluster.dump());
    let asked = cluster.hooks.times("RoutingProbe");
    cluster.pass(seconds(30)).await;
    assert!(
        cluster.hooks.times("RoutingProbe") - asked <= 30,
        "as fast as it is refused\n{}",
        cluster.dump()
    );
    assert!(told(&cluster) && cluster.serving() == 2, "{}", cluster.dump());
    cluster.fleet.with_model(|model, _| model.settings_mut().denied_prefixes.clear());
    cluster.until("three nodes", minutes(2), |cluster| cluster.settled(3)).await;
    assert!(!told(&cluster), "{}", cluster.dump());
    cluster.assert_invariants().await;
}
