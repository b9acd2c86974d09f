//! Another hand changes the size, or the cluster, in the middle of a change of ours.

use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams};
use lifecycle::{Kind, Ordinal};
use rstest::rstest;
use serde_json::json;
use simulator::model::{Command, Via as Door};
use tokio::time::sleep;
use vernescale::api::Via;
use vernescale::kubernetes::intent_record::INTENT;
use vernescale::kubernetes::ownership::OWNER;

use crate::one_leave::{begin, node, restarted, three};
use crate::steering::{draining, label, serves, sizes_written, until_undone};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// Another hand writes the size, right after a thing of ours.
fn scale_after(world: &World, thing: &str, size: u32) {
    let kubernetes = world.kubernetes.clone();
    world.hooks.after(thing, move || async move {
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
    let mut world = three(via).start().await;
    scale_after(&world, "record Shrink", 4);
    begin(&mut world).await;
    world.until("it is raised", minutes(6), |world| world.replicas() == 4).await;
    // Without the bars: what comes by that hand is served by its template at once, joined or not.
    sleep(seconds(2)).await;
    let patch = world.kubernetes.log().into_iter().find(|write| write.resource == "statefulsets/scale");
    assert!(patch.as_ref().is_some_and(|patch| [409, 422].contains(&patch.code)), "{patch:?}");
    assert_eq!(world.replicas(), 4, "{}", world.dump());
    // What is in the place of the node that has left is a newcomer.
    let next = world.intent().map(|intent| (intent.kind, intent.ordinal));
    assert_eq!(next, Some((Kind::Grow, Ordinal(2))), "{}", world.dump());
}

/// Somebody's leave that had waited: it takes a node that we serve again. Nobody knows of it before,
/// so that the first looks are without the bars.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_that_fires_after_our_undo_is_fenced_and_told(#[case] via: Via) {
    let mut world = draining(via).await;
    world.wish(3);
    until_undone(&mut world, "WishRaised").await;
    world.until("the leaver serves again", seconds(3), |world| serves(world, 2)).await;
    let (asker, leaver) = (node(&world, 0), node(&world, 2));
    let leave = Command::ClusterLeave { node: Some(leaver), kill: true, summary_interval: 1, timeout: 30 };
    world.fleet.with_model(|model, now| model.request(&asker, leave, Door::Admin, now));
    let began = world.clock.now();
    while restarted(&world, 2) != (1, true) {
        assert!(world.clock.now() < began + minutes(1), "no twin\n{}", world.dump());
        sleep(Duration::from_millis(100)).await;
    }
    sleep(seconds(4)).await;
    assert_eq!((label(&world, 2).as_deref(), world.serving()), (Some("false"), 2), "{}", world.dump());
    let told = |world: &World| world.condition("JoinFailed").is_some();
    world.until("a person is told", minutes(1), told).await;
    assert!(sizes_written(&world).is_empty() && world.serving() == 2, "{}", world.dump());

    // As the condition says.
    let somebody = world.kubernetes.client_named("somebody");
    let claims = Api::<PersistentVolumeClaim>::namespaced(somebody.clone(), NAMESPACE);
    claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    let pods = Api::<Pod>::namespaced(somebody, NAMESPACE);
    pods.delete(&format!("{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    let well = |world: &World| world.settled(3) && world.dead_members().is_empty();
    world.until("three nodes", minutes(5), well).await;
    assert!(!told(&world), "{}", world.dump());
}

/// Ours from three to two, another hand's to one while the pod goes. Pod 1 does not come back to agree.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_fall_below_ours_does_not_hold_up_its_end(#[case] via: Via) {
    let mut world = three(via).start().await;
    scale_after(&world, "record PodGone", 1);
    begin(&mut world).await;
    // Without the bars: what another hand takes away dies as a member.
    let began = world.clock.now();
    while world.step().as_deref() != Some("Done") {
        assert!(world.clock.now() < began + minutes(10), "it never ends\n{}", world.dump());
        sleep(seconds(1)).await;
    }
    sleep(seconds(10)).await;
    let told = |name: &str| world.condition(name).map(|told| told.message).unwrap_or_default();
    let (dead, claim) = (told("MemberDead"), told("ClaimInTheWay"));
    assert!(dead.contains(&node(&world, 1).0), "{dead}\n{}", world.dump());
    assert!(claim.contains("kubectl scale statefulset --replicas=2"), "as what holds its data: {claim}");
}

/// `kubectl replace`, a chart applied by force: nothing of ours is left on the StatefulSet.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_is_wiped_in_the_drain_is_told(#[case] via: Via) {
    let mut world = draining(via).await;
    world.wish(3);
    let ours = json!({ "metadata": { "annotations": { INTENT: null, OWNER: null } } });
    assert!(world.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| json_patch::merge(set, &ours)));
    let told = |world: &World| world.condition("PodUnserved").is_some();
    world.until("a person is told", seconds(30), told).await;
    let message = world.condition("PodUnserved").map(|told| told.message).unwrap_or_default();
    assert!(message.starts_with("pod 2 is fenced, and its listeners are suspended"), "{message}");
    assert!(!serves(&world, 2) && sizes_written(&world).is_empty(), "{}", world.dump());
}
