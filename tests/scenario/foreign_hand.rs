//! Another hand changes the size, or the cluster, in the middle of a change of ours.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams};
use lifecycle::{Kind, Ordinal};
use rstest::rstest;
use serde_json::json;
use simulator::model::{Command, Via as Transport};
use tokio::time::sleep;
use vernescale::api::Via;
use vernescale::kubernetes::intent_record::INTENT;
use vernescale::kubernetes::ownership::OWNER;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, node, restarted, three};
use crate::steering::{draining, label, serves, sizes_written, until_undone};

/// Another hand writes the size, right after a thing of ours.
fn scale_after(cluster: &Cluster, thing: &str, size: u32) {
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after(thing, move || async move {
        kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| set["spec"]["replicas"] = json!(size));
    });
}

/// As `kubectl scale` on the StatefulSet, between our reconcile and our patch: by one less than what was
/// seen, the patch would take two.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_size_that_was_raised_before_the_patch_is_not_lowered_by_it(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    scale_after(&cluster, "record Shrink", 4);
    begin(&mut cluster).await;
    cluster.until("it is raised", minutes(6), |cluster| cluster.replicas() == 4).await;
    // Without the invariants: what comes by that hand is served by its template at once, joined or not.
    sleep(seconds(2)).await;
    let patch = cluster.kubernetes.log().into_iter().find(|write| write.resource == "statefulsets/scale");
    assert!(patch.as_ref().is_some_and(|patch| [409, 422].contains(&patch.code)), "{patch:?}");
    assert_eq!(cluster.replicas(), 4, "{}", cluster.dump());
    // What is in the place of the node that has left is a newcomer.
    let next = cluster.intent().map(|intent| (intent.kind, intent.ordinal));
    assert_eq!(next, Some((Kind::Grow, Ordinal(2))), "{}", cluster.dump());
}

/// Somebody's leave that had waited: it takes a node that we serve again. Nobody knows of it before,
/// so that the first looks are without the invariants.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_that_fires_after_our_undo_is_fenced_and_told(#[case] via: Via) {
    let mut cluster = draining(via).await;
    cluster.wish(3);
    until_undone(&mut cluster, "WishRaised").await;
    cluster.until("the leaver serves again", seconds(3), |cluster| serves(cluster, 2)).await;
    let (coordinator, leaver) = (node(&cluster, 0), node(&cluster, 2));
    let leave = Command::ClusterLeave { node: Some(leaver), kill: true, summary_interval: 1, timeout: 30 };
    cluster.fleet.with_model(|model, now| model.request(&coordinator, leave, Transport::Admin, now));
    let began = cluster.clock.now();
    while restarted(&cluster, 2) != (1, true) {
        assert!(cluster.clock.now() < began + minutes(1), "no isolated node\n{}", cluster.dump());
        sleep(Duration::from_millis(100)).await;
    }
    sleep(seconds(4)).await;
    assert_eq!((label(&cluster, 2).as_deref(), cluster.serving()), (Some("false"), 2), "{}", cluster.dump());
    let told = |cluster: &Cluster| cluster.condition("JoinFailed").is_some();
    cluster.until("a person is told", minutes(1), told).await;
    assert!(sizes_written(&cluster).is_empty() && cluster.serving() == 2, "{}", cluster.dump());

    // As the condition says.
    let somebody = cluster.kubernetes.client_named("somebody");
    let claims = Api::<PersistentVolumeClaim>::namespaced(somebody.clone(), NAMESPACE);
    claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    let pods = Api::<Pod>::namespaced(somebody, NAMESPACE);
    pods.delete(&format!("{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    let well = |cluster: &Cluster| cluster.settled(3) && cluster.dead_members().is_empty();
    cluster.until("three nodes", minutes(5), well).await;
    assert!(!told(&cluster), "{}", cluster.dump());
}

/// Ours from three to two, another hand's to one while the pod goes. Pod 1 does not come back to agree.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_fall_below_ours_does_not_hold_up_its_end(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    scale_after(&cluster, "record PodGone", 1);
    begin(&mut cluster).await;
    // Without the invariants: what another hand takes away dies as a member.
    let began = cluster.clock.now();
    while cluster.step().as_deref() != Some("Done") {
        assert!(cluster.clock.now() < began + minutes(10), "it never ends\n{}", cluster.dump());
        sleep(seconds(1)).await;
    }
    sleep(seconds(10)).await;
    let told = |name: &str| cluster.condition(name).map(|told| told.message).unwrap_or_default();
    let (dead, claim) = (told("MemberDead"), told("ClaimInTheWay"));
    assert!(dead.contains(&node(&cluster, 1).0), "{dead}\n{}", cluster.dump());
    assert!(claim.contains("kubectl scale statefulset --replicas=2"), "as what holds its data: {claim}");
}

/// `kubectl replace`, a chart applied by force: nothing of ours is left on the StatefulSet.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_is_wiped_in_the_drain_is_told(#[case] via: Via) {
    let mut cluster = draining(via).await;
    cluster.wish(3);
    let ours = json!({ "metadata": { "annotations": { INTENT: null, OWNER: null } } });
    assert!(cluster.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| json_patch::merge(set, &ours)));
    let told = |cluster: &Cluster| cluster.condition("PodUnroutable").is_some();
    cluster.until("a person is told", seconds(30), told).await;
    let message = cluster.condition("PodUnroutable").map(|told| told.message).unwrap_or_default();
    assert!(message.starts_with("pod 2 is fenced, and its listeners are suspended"), "{message}");
    assert!(!serves(&cluster, 2) && sizes_written(&cluster).is_empty(), "{}", cluster.dump());
}
