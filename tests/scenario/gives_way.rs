//! Something else begins while a shrink is under way: before the leave the
//! shrink gives way, after it the shrink is finished first (I2).

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::steering::{claim, draining, serves, sizes_written, until_step, until_undone};

/// As `kubectl rollout restart`.
pub(crate) fn restart_all(cluster: &Cluster) {
    let annotation = json!({ "kubectl.kubernetes.io/restartedAt": "2027-01-15T08:00:00Z" });
    cluster.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
        set["spec"]["template"]["metadata"]["annotations"] = annotation;
    });
}

/// Every pod was made from the template of now.
pub(crate) fn rolled_out(cluster: &Cluster) -> bool {
    let pods = cluster.kubernetes.objects("pods", NAMESPACE);
    let new = |pod: &serde_json::Value| {
        pod.pointer("/metadata/annotations/kubectl.kubernetes.io~1restartedAt").is_some()
    };
    pods.iter().all(|pod| new(pod)) && cluster.serving() == pods.len()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_rollout_during_the_drain_takes_the_shrink_back(#[case] via: Via) {
    let mut cluster = draining(via).await;
    restart_all(&cluster);
    until_undone(&mut cluster, "RolloutUnderWay").await;
    // Nothing of ours begins before the rollout is through.
    while !rolled_out(&cluster) {
        assert_eq!((cluster.replicas(), sizes_written(&cluster)), (3, Vec::new()), "{}", cluster.dump());
        let active = cluster.intent().is_some_and(|intent| intent.active());
        assert!(!active || cluster.condition("RolloutUnderWay").is_none(), "{}", cluster.dump());
        cluster.pass(seconds(1)).await;
    }
    cluster.until("two nodes, after the rollout", minutes(5), |cluster| cluster.settled(2)).await;
    // The other invariants do not apply: a rollout stops brokers under their clients, and loses as much
    // without any controller (8 messages of some 110 in this very cluster).
    assert_eq!(cluster.dead_members(), Vec::<String>::new());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_raised_wish_during_the_drain_takes_the_shrink_back(#[case] via: Via) {
    let mut cluster = draining(via).await;
    assert!(!serves(&cluster, 2), "the leaver is fenced");
    cluster.wish(3);
    until_undone(&mut cluster, "WishRaised").await;
    cluster.until("the leaver serves again", seconds(3), |cluster| serves(cluster, 2)).await;
    let members = cluster.dead_members();
    assert_eq!(members, Vec::<String>::new(), "it is a member as before");
    cluster.pass(seconds(10)).await;
    assert!(cluster.settled(3), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

#[rstest]
#[case::patch(Via::ManagementApi, "PodGone")]
#[case::patch(Via::Exec, "PodGone")]
#[case::volume(Via::ManagementApi, "Quiet")]
#[case::volume(Via::Exec, "Quiet")]
#[tokio::test(start_paused = true)]
async fn a_raised_wish_during_the_shrink_waits_for_its_end(#[case] via: Via, #[case] step: &str) {
    let mut cluster = draining(via).await;
    let old = claim(&cluster, 2).expect("the leaver has a volume");
    until_step(&mut cluster, step).await;
    cluster.wish(3);
    cluster.until("the shrink is through", minutes(3), |cluster| claim(cluster, 2).is_none()).await;
    assert_eq!(sizes_written(&cluster), [2], "nothing grows before");
    cluster.until("three nodes again", minutes(5), |cluster| cluster.settled(3)).await;
    assert_eq!(sizes_written(&cluster), [2, 3]);
    assert_ne!(claim(&cluster, 2).expect("a fresh volume"), old, "on the old data it could not join");
    cluster.assert_invariants().await;
}
