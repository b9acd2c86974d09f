//! What people do to our resource in the middle of a shrink; and two resources
//! that want the same StatefulSet.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::{Value, json};
use vernescale::api::{VerneMQAutoscaler, Via};
use vernescale::kubernetes::finalizer::FINALIZER;

use crate::metrics::gauges;
use crate::steering::{
    chart_defaults, claim, draining, edit, serves, sizes_written, steered, until_step, until_undone,
};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// As `kubectl delete --wait=false`; what `kubectl apply` would make it anew from, with another wish.
pub(crate) async fn delete(world: &World, replicas: u32) -> Value {
    let old = world.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("it is there");
    let mut spec = old["spec"].clone();
    spec["replicas"] = json!(replicas);
    let resources =
        Api::<VerneMQAutoscaler>::namespaced(world.kubernetes.client_named("somebody"), NAMESPACE);
    resources.delete(NAME, &DeleteParams::default()).await.expect("the server takes it");
    json!({ "apiVersion": old["apiVersion"], "kind": old["kind"],
            "metadata": { "name": NAME, "namespace": NAMESPACE }, "spec": spec })
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn deleted_before_the_leave_it_is_taken_back_and_made_anew_goes_on(#[case] via: Via) {
    let mut world = draining(via).await;
    let anew = delete(&world, 2).await;
    assert!(world.resource().is_some(), "it stays until the change is through");
    until_undone(&mut world, "ResourceDeleting").await;
    world.until("it is gone", seconds(10), |world| world.resource().is_none()).await;
    world.until("the leaver serves", seconds(3), |world| serves(world, 2)).await;
    world.pass(seconds(30)).await;
    assert!(world.settled(3), "nothing is changed without a resource\n{}", world.dump());
    assert_eq!(gauges(&world, "a"), Vec::<String>::new(), "nothing is shown of what is gone");
    world.kubernetes.apply(&anew).expect("it is taken");
    world.until("two nodes", minutes(4), |world| world.settled(2)).await;
    world.assert_bars().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn deleted_after_the_leave_the_shrink_is_finished_first(#[case] via: Via) {
    let mut world = draining(via).await;
    until_step(&mut world, "PodGone").await;
    let anew = delete(&world, 3).await;
    world.until("it is gone", minutes(3), |world| world.resource().is_none()).await;
    assert_eq!((world.settled(2), claim(&world, 2)), (true, None), "{}", world.dump());
    world.pass(seconds(20)).await;
    assert!(world.settled(2), "{}", world.dump());
    world.kubernetes.apply(&anew).expect("it is taken");
    world.until("three nodes", minutes(4), |world| world.settled(3)).await;
    world.assert_bars().await;
}

fn finalizers(world: &World) -> Option<Vec<String>> {
    world.resource().map(|resource| resource.metadata.finalizers.unwrap_or_default())
}

/// What the change was about is gone: nobody could ever finish it, and whoever deletes our resource later may find
/// no controller any more.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_stateful_set_that_is_deleted_frees_it(#[case] via: Via) {
    let mut world = draining(via).await;
    assert_eq!(finalizers(&world), Some(vec![FINALIZER.to_owned()]));
    let sets = Api::<StatefulSet>::namespaced(world.kubernetes.client_named("somebody"), NAMESPACE);
    sets.delete(NAME, &DeleteParams::foreground()).await.expect("the server takes it");
    world.until("it is free", seconds(20), |world| finalizers(world) == Some(Vec::new())).await;
    world.until("the set is gone", minutes(3), |world| world.replicas() == 0).await;
    world.until("that is told", seconds(10), |world| world.condition("TargetMissing").is_some()).await;
    world.kill_controller("a").await;
    delete(&world, 2).await;
    assert!(world.resource().is_none(), "nothing holds it");
}

/// The namespace takes the controller along: at its SIGTERM it takes our finalizer away, or the namespace would hang.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_deleted_frees_it(#[case] via: Via) {
    let mut world = draining(via).await;
    world.kill_controller("a").await;
    let stop = world.start_controller_until("b");
    world.until("b leads", seconds(30), |world| world.metrics("b").contains("vernescale_leading 1")).await;
    assert_eq!(finalizers(&world), Some(vec![FINALIZER.to_owned()]), "a change is under way");
    let namespaces = Api::<Namespace>::all(world.kubernetes.client_named("somebody"));
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.expect("the server takes it");
    stop.send(()).expect("it runs");
    let gone = |world: &World| world.kubernetes.object("namespaces", "", NAMESPACE).is_none();
    let began = world.clock.now();
    while !gone(&world) {
        assert!(world.clock.now().since(began) < minutes(2), "the namespace hangs\n{}", world.dump());
        // Without the bars: everything is deleted under its clients.
        tokio::time::sleep(seconds(1)).await;
    }
}

#[rstest]
#[case::paused(Via::ManagementApi, json!({ "mode": "Paused" }), "Paused", json!({ "mode": "Active" }))]
#[case::paused(Via::Exec, json!({ "mode": "Paused" }), "Paused", json!({ "mode": "Active" }))]
#[case::min(Via::ManagementApi, json!({ "minReplicas": 3 }), "WishRaised", json!({ "minReplicas": 1 }))]
#[case::min(Via::Exec, json!({ "minReplicas": 3 }), "WishRaised", json!({ "minReplicas": 1 }))]
#[tokio::test(start_paused = true)]
async fn edited_before_the_leave_it_is_taken_back(
    #[case] via: Via,
    #[case] change: Value,
    #[case] reason: &str,
    #[case] back: Value,
) {
    let mut world = draining(via).await;
    edit(&world, &change);
    until_undone(&mut world, reason).await;
    world.until("the leaver serves", seconds(3), |world| serves(world, 2)).await;
    world.pass(seconds(20)).await;
    assert!(world.settled(3) && sizes_written(&world).is_empty(), "{}", world.dump());
    edit(&world, &back);
    world.until("two nodes", minutes(4), |world| world.settled(2)).await;
    world.assert_bars().await;
}

/// What the metric's target makes of the same load.
fn target(average: &str) -> Value {
    json!([{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": average },
    }}])
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn another_target_during_the_drain_takes_it_back(#[case] via: Via) {
    let spec = json!({ "minReplicas": 2, "maxReplicas": 3, "metrics": target("6") });
    let mut world =
        World::builder(via).replicas(3).clients(4).spec(&spec).broker(chart_defaults).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    until_step(&mut world, "Drain").await;
    edit(&world, &json!({ "metrics": target("100m") }));
    until_undone(&mut world, "WishRaised").await;
    world.until("the leaver serves", seconds(3), |world| serves(world, 2)).await;
    world.pass(seconds(10)).await;
    assert!(world.settled(3), "{}", world.dump());
    world.assert_bars().await;
}

pub(crate) fn told(world: &World, resource: &str, condition: &str) -> Option<String> {
    let object = world.kubernetes.object("vernemqautoscalers", NAMESPACE, resource)?;
    let conditions = object["status"]["conditions"].as_array()?;
    let one = conditions.iter().find(|one| one["type"] == condition && one["status"] == "True")?;
    one["message"].as_str().map(str::to_owned)
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_second_resource_on_the_same_target_does_nothing(#[case] via: Via) {
    let mut world = steered(via, 2).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    let mut second =
        Value::clone(&world.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("the first"));
    second["metadata"] = json!({ "name": "second", "namespace": NAMESPACE });
    second["status"] = Value::Null;
    second["spec"]["replicas"] = json!(1);
    world.kubernetes.apply(&second).expect("it is taken");
    world.until("it is told", seconds(20), |world| told(world, "second", "TargetTaken").is_some()).await;
    let text = told(&world, "second", "TargetTaken").expect("it stands");
    assert!(text.contains(&format!("`{NAME}`")), "{text}");
    assert_eq!(told(&world, NAME, "TargetTaken"), None, "the first is well");
    world.pass(minutes(1)).await;
    assert!(world.settled(2) && sizes_written(&world).is_empty(), "{}", world.dump());
    // The first one still works.
    world.wish(3);
    world.until("three nodes", minutes(4), |world| world.settled(3)).await;
    // When it goes, the second one's turn has come.
    delete(&world, 3).await;
    world.until("one node", minutes(5), |world| world.settled(1)).await;
    assert_eq!(sizes_written(&world), [3, 2, 1]);
    assert_eq!(told(&world, "second", "TargetTaken"), None);
    world.assert_bars().await;
}
