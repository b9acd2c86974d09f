//! A StatefulSet that stands still: a pod that it should make is never made, until somebody writes to it.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;
use vernescale::kubernetes::touch::TOUCHED;

use crate::steering::{edit, steered};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

fn touched(world: &World) -> Option<String> {
    let set = world.kubernetes.object("statefulsets", NAMESPACE, NAME)?;
    set["metadata"]["annotations"][TOUCHED].as_str().map(str::to_owned)
}

fn told(world: &World) -> bool {
    world.condition("StatefulSetStill").is_some()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_does_not_make_a_newcomer_is_touched(#[case] via: Via) {
    let mut world = steered(via, 2).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    world.kubernetes.faults().stand_still(true);
    world.wish(3);
    world.until("the size is raised", seconds(20), |world| world.replicas() == 3).await;
    world.pass(seconds(27)).await;
    assert_eq!((touched(&world), world.pod_count()), (None, 2), "too soon\n{}", world.dump());
    world.until("it is told", seconds(10), told).await;
    world.until("it is touched, and three serve", minutes(2), |world| world.settled(3)).await;
    assert_eq!(world.hooks.times("Touch"), 1, "{}", world.dump());
    assert!(touched(&world).is_some() && !told(&world), "{}", world.dump());
    world.assert_bars().await;
}

/// Somebody deletes a pod, and it is not made again: at any time, not only in a change of ours.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_does_not_make_a_pod_again_is_touched_where_we_may_write(#[values(true, false)] may: bool) {
    let mut world = steered(Via::ManagementApi, 3).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    if !may {
        edit(&world, &json!({ "mode": "Shadow" }));
    }
    world.kubernetes.faults().stand_still(true);
    let pods = Api::<Pod>::namespaced(world.kubernetes.client_named("somebody"), NAMESPACE);
    pods.delete(&format!("{NAME}-1"), &DeleteParams::default()).await.expect("it is taken");
    world.until("it is gone", minutes(1), |world| world.pod_count() == 2).await;
    world.until("it is told", minutes(1), told).await;
    if may {
        let whole = |world: &World| world.settled(3) && world.dead_members().is_empty();
        world.until("it is made again", minutes(2), whole).await;
    } else {
        world.pass(minutes(2)).await;
        assert_eq!((touched(&world), world.hooks.times("Touch"), world.pod_count()), (None, 0, 2));
        let message = world.condition("StatefulSetStill").map(|told| told.message).unwrap_or_default();
        assert!(message.contains("in this mode we do not"), "{message}");
    }
}
