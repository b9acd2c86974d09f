//! What people do to our resource in the middle of a shrink; and two resources
//! that want the same StatefulSet.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::{Value, json};
use vernescale::api::{VerneMQAutoscaler, Via};
use vernescale::kubernetes::finalizer::FINALIZER;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::metrics::gauges;
use crate::steering::{
    chart_defaults, claim, draining, edit, serves, sizes_written, steered, until_step, until_undone,
};

/// As `kubectl delete --wait=false`; what `kubectl apply` would make it anew from, with another wish.
pub(crate) async fn delete(cluster: &Cluster, replicas: u32) -> Value {
    let old = cluster.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("it is there");
    let mut spec = old["spec"].clone();
    spec["replicas"] = json!(replicas);
    let resources =
        Api::<VerneMQAutoscaler>::namespaced(cluster.kubernetes.client_named("somebody"), NAMESPACE);
    resources.delete(NAME, &DeleteParams::default()).await.expect("the server takes it");
    json!({ "apiVersion": old["apiVersion"], "kind": old["kind"],
            "metadata": { "name": NAME, "namespace": NAMESPACE }, "spec": spec })
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn deleted_before_the_leave_it_is_taken_back_and_made_anew_goes_on(#[case] via: Via) {
    let mut cluster = draining(via).await;
    let anew = delete(&cluster, 2).await;
    assert!(cluster.resource().is_some(), "it stays until the change is through");
    until_undone(&mut cluster, "ResourceDeleting").await;
    cluster.until("it is gone", seconds(10), |cluster| cluster.resource().is_none()).await;
    cluster.until("the leaver serves", seconds(3), |cluster| serves(cluster, 2)).await;
    cluster.pass(seconds(30)).await;
    assert!(cluster.settled(3), "nothing is changed without a resource\n{}", cluster.dump());
    assert_eq!(gauges(&cluster, "a"), Vec::<String>::new(), "nothing is shown of what is gone");
    cluster.kubernetes.apply(&anew).expect("it is taken");
    cluster.until("two nodes", minutes(4), |cluster| cluster.settled(2)).await;
    cluster.assert_invariants().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn deleted_after_the_leave_the_shrink_is_finished_first(#[case] via: Via) {
    let mut cluster = draining(via).await;
    until_step(&mut cluster, "PodGone").await;
    let anew = delete(&cluster, 3).await;
    cluster.until("it is gone", minutes(3), |cluster| cluster.resource().is_none()).await;
    assert_eq!((cluster.settled(2), claim(&cluster, 2)), (true, None), "{}", cluster.dump());
    cluster.pass(seconds(20)).await;
    assert!(cluster.settled(2), "{}", cluster.dump());
    cluster.kubernetes.apply(&anew).expect("it is taken");
    cluster.until("three nodes", minutes(4), |cluster| cluster.settled(3)).await;
    cluster.assert_invariants().await;
}

fn finalizers(cluster: &Cluster) -> Option<Vec<String>> {
    cluster.resource().map(|resource| resource.metadata.finalizers.unwrap_or_default())
}

/// What the change was about is gone: nobody could ever finish it, and whoever deletes our resource later may find
/// no controller any more.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_stateful_set_that_is_deleted_frees_it(#[case] via: Via) {
    let mut cluster = draining(via).await;
    assert_eq!(finalizers(&cluster), Some(vec![FINALIZER.to_owned()]));
    let sets = Api::<StatefulSet>::namespaced(cluster.kubernetes.client_named("somebody"), NAMESPACE);
    sets.delete(NAME, &DeleteParams::foreground()).await.expect("the server takes it");
    cluster.until("it is free", seconds(20), |cluster| finalizers(cluster) == Some(Vec::new())).await;
    cluster.until("the set is gone", minutes(3), |cluster| cluster.replicas() == 0).await;
    cluster.until("that is told", seconds(10), |cluster| cluster.condition("TargetMissing").is_some()).await;
    cluster.kill_controller("a").await;
    delete(&cluster, 2).await;
    assert!(cluster.resource().is_none(), "nothing holds it");
}

/// The namespace takes the controller along: at its SIGTERM it takes our finalizer away, or the namespace would hang.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_deleted_frees_it(#[case] via: Via) {
    let mut cluster = draining(via).await;
    cluster.kill_controller("a").await;
    let stop = cluster.start_controller_until("b");
    cluster
        .until("b leads", seconds(30), |cluster| cluster.metrics("b").contains("vernescale_leading 1"))
        .await;
    assert_eq!(finalizers(&cluster), Some(vec![FINALIZER.to_owned()]), "a change is under way");
    let namespaces = Api::<Namespace>::all(cluster.kubernetes.client_named("somebody"));
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.expect("the server takes it");
    stop.send(()).expect("it runs");
    let gone = |cluster: &Cluster| cluster.kubernetes.object("namespaces", "", NAMESPACE).is_none();
    let began = cluster.clock.now();
    while !gone(&cluster) {
        assert!(cluster.clock.now().since(began) < minutes(2), "the namespace hangs\n{}", cluster.dump());
        // Without the invariants: everything is deleted under its clients.
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
    let mut cluster = draining(via).await;
    edit(&cluster, &change);
    until_undone(&mut cluster, reason).await;
    cluster.until("the leaver serves", seconds(3), |cluster| serves(cluster, 2)).await;
    cluster.pass(seconds(20)).await;
    assert!(cluster.settled(3) && sizes_written(&cluster).is_empty(), "{}", cluster.dump());
    edit(&cluster, &back);
    cluster.until("two nodes", minutes(4), |cluster| cluster.settled(2)).await;
    cluster.assert_invariants().await;
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
    let mut cluster =
        Cluster::builder(via).replicas(3).clients(4).spec(&spec).broker(chart_defaults).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    until_step(&mut cluster, "Drain").await;
    edit(&cluster, &json!({ "metrics": target("100m") }));
    until_undone(&mut cluster, "WishRaised").await;
    cluster.until("the leaver serves", seconds(3), |cluster| serves(cluster, 2)).await;
    cluster.pass(seconds(10)).await;
    assert!(cluster.settled(3), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

pub(crate) fn told(cluster: &Cluster, resource: &str, condition: &str) -> Option<String> {
    let object = cluster.kubernetes.object("vernemqautoscalers", NAMESPACE, resource)?;
    let conditions = object["status"]["conditions"].as_array()?;
    let one = conditions.iter().find(|one| one["type"] == condition && one["status"] == "True")?;
    one["message"].as_str().map(str::to_owned)
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_second_resource_on_the_same_target_does_nothing(#[case] via: Via) {
    let mut cluster = steered(via, 2).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    let mut second =
        Value::clone(&cluster.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("the first"));
    second["metadata"] = json!({ "name": "second", "namespace": NAMESPACE });
    second["status"] = Value::Null;
    second["spec"]["replicas"] = json!(1);
    cluster.kubernetes.apply(&second).expect("it is taken");
    cluster
        .until("it is told", seconds(20), |cluster| told(cluster, "second", "TargetTaken").is_some())
        .await;
    let text = told(&cluster, "second", "TargetTaken").expect("it stands");
    assert!(text.contains(&format!("`{NAME}`")), "{text}");
    assert_eq!(told(&cluster, NAME, "TargetTaken"), None, "the first is well");
    cluster.pass(minutes(1)).await;
    assert!(cluster.settled(2) && sizes_written(&cluster).is_empty(), "{}", cluster.dump());
    // The first one still works.
    cluster.wish(3);
    cluster.until("three nodes", minutes(4), |cluster| cluster.settled(3)).await;
    // When it goes, the second one's turn has come.
    delete(&cluster, 3).await;
    cluster.until("one node", minutes(5), |cluster| cluster.settled(1)).await;
    assert_eq!(sizes_written(&cluster), [3, 2, 1]);
    assert_eq!(told(&cluster, "second", "TargetTaken"), None);
    cluster.assert_invariants().await;
}
