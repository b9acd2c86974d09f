//! Which pods a Service sends clients to.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use simulator::kubernetes::{Endpoint, Storage};

use super::{Cluster, is_deleting};

fn of(cluster: &Cluster, service: &str) -> Vec<Endpoint> {
    cluster.kubernetes.endpoints("mqtt", service)
}

fn ready(cluster: &Cluster, service: &str) -> Vec<String> {
    of(cluster, service).into_iter().filter(|e| e.ready).map(|e| e.pod).collect()
}

#[tokio::test(start_paused = true)]
async fn the_serving_label_takes_a_pod_out_and_in() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.until(|cluster| ready(cluster, "vmq") == ["vmq-0", "vmq-1"]).await;
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let serve = async |serving: &str| {
        let body = json!({"metadata": {"labels": {"vernescale.dev/serving": serving}}});
        api.patch("vmq-1", &PatchParams::default(), &Patch::Merge(body)).await.unwrap();
    };
    serve("false").await;
    cluster.until(|cluster| of(cluster, "vmq").len() == 1).await;
    assert_eq!(of(&cluster, "vmq-headless").len(), 2);
    // The label outlives a restart of the container.
    cluster.fake.end("vmq-1", 0);
    tokio::time::sleep(Duration::from_mins(2)).await;
    cluster.ready(2).await;
    assert_eq!(ready(&cluster, "vmq"), ["vmq-0"]);
    serve("true").await;
    cluster.until(|cluster| ready(cluster, "vmq") == ["vmq-0", "vmq-1"]).await;
}

#[tokio::test(start_paused = true)]
async fn readiness_takes_a_pod_out_of_the_client_service_only() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.fake.set_ready("vmq-1", false);
    cluster.until(|cluster| ready(cluster, "vmq") == ["vmq-0"]).await;
    let unready = of(&cluster, "vmq").into_iter().find(|e| e.pod == "vmq-1").unwrap();
    assert!(!unready.ready && !unready.serving && !unready.terminating);
    assert_eq!(ready(&cluster, "vmq-headless"), ["vmq-0", "vmq-1"], "it publishes what is not ready");
}

#[tokio::test(start_paused = true)]
async fn a_terminating_pod_is_serving_but_not_ready() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.scale(1);
    cluster.until(|cluster| is_deleting(&cluster.pod("vmq-1").unwrap())).await;
    cluster.until(|cluster| of(cluster, "vmq").iter().any(|e| e.terminating)).await;
    let leaving = of(&cluster, "vmq").into_iter().find(|e| e.pod == "vmq-1").unwrap();
    assert!(!leaving.ready && leaving.serving);
    cluster.until(|cluster| of(cluster, "vmq").len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn slices_name_their_service_and_its_ports() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api: Api<EndpointSlice> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let params = ListParams::default().labels("kubernetes.io/service-name=vmq");
    let slices = api.list(&params).await.unwrap().items;
    assert_eq!(slices.len(), 1);
    let ports = slices[0].ports.clone().unwrap();
    let mqtt = ports.iter().find(|port| port.name.as_deref() == Some("mqtt")).unwrap();
    assert_eq!(mqtt.port, Some(1883));
    let target = slices[0].endpoints[0].target_ref.clone().unwrap();
    let uid = cluster.pod("vmq-0").unwrap()["metadata"]["uid"].as_str().map(str::to_owned);
    assert_eq!((target.name.as_deref(), target.uid), (Some("vmq-0"), uid));
}
