//! Create, read, update, patch, delete, and what a server refuses.

use std::time::Duration;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        coordination::v1::Lease,
        core::v1::{ConfigMap, ObjectReference, Pod},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api,
    api::{AttachParams, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::events::{Event, EventType, Recorder},
};
use serde_json::json;
use simulator::kubernetes::{Storage, Verb, VernemqInstall};

use super::{Cluster, refused};

fn autoscaler(name: &str) -> DynamicObject {
    let kind = vmqa();
    let mut object = DynamicObject::new(name, &kind).within("mqtt");
    object.data = json!({"spec": {"replicas": 3, "maxReplicas": 5}});
    object
}

fn vmqa() -> ApiResource {
    let kind = GroupVersionKind::gvk("vernescale.dev", "v1alpha1", "VerneMQAutoscaler");
    ApiResource::from_gvk_with_plural(&kind, "vernemqautoscalers")
}

#[tokio::test(start_paused = true)]
async fn config_maps_are_created_read_replaced_and_deleted() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api: Api<ConfigMap> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"k": "1"}})).unwrap();
    let created = api.create(&PostParams::default(), &map).await.unwrap();
    assert!(created.metadata.uid.is_some() && created.metadata.creation_timestamp.is_some());
    let again = refused(api.create(&PostParams::default(), &map).await);
    assert_eq!(again, (409, "AlreadyExists".to_owned()));

    let mut edited = created.clone();
    edited.data.get_or_insert_default().insert("k".to_owned(), "2".to_owned());
    let replaced = api.replace("a", &PostParams::default(), &edited).await.unwrap();
    assert_ne!(replaced.metadata.resource_version, created.metadata.resource_version);
    assert_eq!(api.get("a").await.unwrap().data, edited.data);
    let stale = refused(api.replace("a", &PostParams::default(), &edited).await);
    assert_eq!(stale, (409, "Conflict".to_owned()));
    let mut other = replaced.clone();
    other.metadata.uid = Some("other".to_owned());
    let refusal = refused(api.replace("a", &PostParams::default(), &other).await);
    assert_eq!(refusal, (409, "Conflict".to_owned()));

    let other = Preconditions { uid: Some("other".to_owned()), resource_version: None };
    let kept = refused(api.delete("a", &DeleteParams::default().preconditions(other)).await);
    assert_eq!(kept, (409, "Conflict".to_owned()));
    let mine = Preconditions { uid: created.metadata.uid, resource_version: None };
    api.delete("a", &DeleteParams::default().preconditions(mine)).await.unwrap();
    assert_eq!(refused(api.get("a").await), (404, "NotFound".to_owned()));
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn lists_select_by_label_and_by_name() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let count = async |params: ListParams| api.list(&params).await.unwrap().items.len();
    assert_eq!(count(ListParams::default()).await, 2);
    assert_eq!(count(ListParams::default().labels("apps.kubernetes.io/pod-index=1")).await, 1);
    assert_eq!(count(ListParams::default().labels("vernescale.dev/serving in (true)")).await, 2);
    assert_eq!(count(ListParams::default().labels("vernescale.dev/serving!=true")).await, 0);
    assert_eq!(count(ListParams::default().fields("metadata.name=vmq-1")).await, 1);
    let everywhere: Api<Pod> = Api::all(cluster.kubernetes.client());
    assert_eq!(everywhere.list(&ListParams::default()).await.unwrap().items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_guarded_patch_of_the_scale_is_refused_by_its_tests() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    let api: Api<StatefulSet> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let uid = api.get("vmq").await.unwrap().metadata.uid.unwrap();
    let shrink = |uid: &str, from: i32, to: i32| {
        Patch::Json::<()>(
            serde_json::from_value(json!([
                {"op": "test", "path": "/metadata/uid", "value": uid},
                {"op": "test", "path": "/spec/replicas", "value": from},
                {"op": "replace", "path": "/spec/replicas", "value": to},
            ]))
            .unwrap(),
        )
    };
    let params = PatchParams::default();
    let invalid = (422, "Invalid".to_owned());
    assert_eq!(refused(api.patch_scale("vmq", &params, &shrink("other", 2, 1)).await), invalid);
    assert_eq!(refused(api.patch_scale("vmq", &params, &shrink(&uid, 3, 2)).await), invalid);
    assert_eq!(api.get("vmq").await.unwrap().spec.unwrap().replicas, Some(2));
    let scale = api.patch_scale("vmq", &params, &shrink(&uid, 2, 1)).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(1));
    assert_eq!(scale.metadata.uid, Some(uid.clone()));
    let status = scale.status.unwrap();
    let selector = "app.kubernetes.io/instance=vmq,app.kubernetes.io/name=vernemq";
    assert_eq!((status.replicas, status.selector.as_deref()), (2, Some(selector)));
    // A retry of an applied patch does not apply again.
    assert_eq!(refused(api.patch_scale("vmq", &params, &shrink(&uid, 2, 1)).await), invalid);
    let codes: Vec<u16> = cluster
        .kubernetes
        .log()
        .iter()
        .filter(|write| write.verb == Verb::Patch && write.resource == "statefulsets/scale")
        .map(|write| write.code)
        .collect();
    assert_eq!(codes, [422, 422, 200, 422]);
    assert_eq!(refused(api.get_scale("gone").await), (404, "NotFound".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn our_resource_has_status_and_scale_of_its_own() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.kubernetes.client(), "mqtt", &vmqa());
    let mut wrong = autoscaler("a");
    wrong.data["status"] = json!({"replicas": 99});
    let created = api.create(&PostParams::default(), &wrong).await.unwrap();
    assert_eq!(created.data.get("status"), None, "the main path cannot write the status");
    assert_eq!(created.metadata.generation, Some(1));

    let status = json!({"status": {"replicas": 2, "selector": "a=b"}, "spec": {"replicas": 9}});
    let written = api.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!((&written.data["spec"]["replicas"], written.metadata.generation), (&json!(3), Some(1)));
    let scale = api.get_scale("a").await.unwrap();
    let seen = scale.status.unwrap();
    assert_eq!((scale.spec.unwrap().replicas, seen.replicas), (Some(3), 2));
    assert_eq!(seen.selector.as_deref(), Some("a=b"));
    let mut none = autoscaler("b");
    none.data["spec"].as_object_mut().unwrap().remove("replicas");
    api.create(&PostParams::default(), &none).await.unwrap();
    assert_eq!(
        refused(api.get_scale("b").await),
        (500, "InternalError".to_owned()),
        "as the real one answers"
    );

    let wish = Patch::Merge(json!({"spec": {"replicas": 7}}));
    api.patch_scale("a", &PatchParams::default(), &wish).await.unwrap();
    let raised = api.get("a").await.unwrap();
    assert_eq!((&raised.data["spec"]["replicas"], raised.metadata.generation), (&json!(7), Some(2)));
    let mut unversioned = raised.clone();
    unversioned.metadata.resource_version = None;
    let refusal = refused(api.replace("a", &PostParams::default(), &unversioned).await);
    assert_eq!(refusal, (422, "Invalid".to_owned()));
    let strategic = api.patch("a", &PatchParams::default(), &Patch::Strategic(json!({}))).await;
    assert_eq!(refused(strategic).0, 415);
}

#[tokio::test(start_paused = true)]
async fn a_stateful_sets_fixed_fields_stay() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api: Api<StatefulSet> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    let patch = |body| {
        let api = &api;
        async move { api.patch("vmq", &PatchParams::default(), &Patch::Merge(body)).await }
    };
    let fixed = patch(json!({"spec": {"serviceName": "x"}})).await;
    assert_eq!(refused(fixed), (422, "Invalid".to_owned()));
    assert_eq!(refused(patch(json!({"spec": {"replicas": -1}})).await), (422, "Invalid".to_owned()));
    assert_eq!(refused(patch(json!({"spec": {"replicas": "two"}})).await), (400, "BadRequest".to_owned()));
    let unlabelled = json!({"spec": {"template": {"metadata": {"labels": null}}}});
    assert_eq!(refused(patch(unlabelled).await), (422, "Invalid".to_owned()));
    let annotated = patch(json!({"metadata": {"annotations": {"vernescale.dev/intent": "x"}}})).await;
    assert_eq!(annotated.unwrap().metadata.generation, Some(1));
}

#[tokio::test(start_paused = true)]
async fn leases_take_micro_times_and_guarded_replaces_only() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let client = cluster.kubernetes.client();
    let api: Api<Lease> = Api::namespaced(client.clone(), "mqtt");
    let mut lease: Lease =
        serde_json::from_value(json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})).unwrap();
    let time: MicroTime = serde_json::from_value(json!("2026-11-02T10:00:00.123456Z")).unwrap();
    lease.spec.as_mut().unwrap().renew_time = Some(time);
    let mine = api.create(&PostParams::default(), &lease).await.unwrap();
    api.replace("l", &PostParams::default(), &mine).await.unwrap();
    let mut theirs = mine.clone();
    theirs.spec.as_mut().unwrap().holder_identity = Some("b".to_owned());
    api.replace("l", &PostParams::default(), &theirs).await.unwrap();
    assert_eq!(refused(api.replace("l", &PostParams::default(), &mine).await).0, 409);
    let seconds = json!({"spec": {"renewTime": "2026-11-02T10:00:00Z"}});
    let refusal = api.patch("l", &PatchParams::default(), &Patch::Merge(seconds)).await;
    assert_eq!(refused(refusal), (400, "BadRequest".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_server_says_what_it_serves() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let client = cluster.kubernetes.client();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "35");
    let ours = kube::discovery::pinned_kind(
        &client,
        &GroupVersionKind::gvk("vernescale.dev", "v1alpha1", "VerneMQAutoscaler"),
    )
    .await
    .unwrap();
    assert_eq!(ours.0.plural, "vernemqautoscalers");
}

/// What is served over pipes is served over TCP too, as `kubectl` and the demo need it.
#[tokio::test]
async fn a_client_over_tcp_finds_the_same() {
    let cluster = Cluster::start().await;
    let install = VernemqInstall { probe_delay: Duration::ZERO, ..VernemqInstall::default() };
    cluster.kubernetes.install_vernemq(&install).unwrap();
    cluster.until(|cluster| cluster.status("readyReplicas") == 1).await;
    let client = kube::Client::try_from(cluster.kubernetes.config()).unwrap();
    let api: Api<Pod> = Api::namespaced(client, "mqtt");
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let mut process = api.exec("vmq-0", ["echo", "x"], &AttachParams::default()).await.unwrap();
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.status.as_deref(), Some("Success"));
}

/// Events as kube's own recorder writes them, a repeated one as a series.
#[tokio::test(start_paused = true)]
async fn the_runtimes_recorder_can_write_events() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let recorder = Recorder::new(cluster.kubernetes.client(), "vernescale".into());
    let about = ObjectReference { namespace: Some("mqtt".into()), ..ObjectReference::default() };
    let event = Event {
        type_: EventType::Warning,
        reason: "VerifyFailed".into(),
        note: Some("x".into()),
        action: "Verify".into(),
        secondary: None,
    };
    for _ in 0..2 {
        recorder.publish(&event, &about).await.unwrap();
    }
    let events = cluster.kubernetes.objects("events.events.k8s.io", "mqtt");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["reason"], "VerifyFailed");
    assert_eq!(events[0]["series"]["count"], 2);
}

#[tokio::test(start_paused = true)]
async fn an_installed_definition_is_held() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["maxReplicas"], "properties": {
            "replicas": {"type": "integer", "minimum": 1}, "maxReplicas": {"type": "integer"},
            "mode": {"type": "string", "default": "Shadow"}}},
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "vernemqautoscalers.vernescale.dev"},
        "spec": {"group": "vernescale.dev", "scope": "Namespaced",
            "names": {"kind": "VerneMQAutoscaler", "plural": "vernemqautoscalers"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                          "schema": {"openAPIV3Schema": schema}}]}});
    cluster.kubernetes.apply(&definition).unwrap();
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.kubernetes.client(), "mqtt", &vmqa());
    let mut ours = autoscaler("a");
    ours.data["spec"]["typo"] = json!(1);
    let created = api.create(&PostParams::default(), &ours).await.unwrap();
    assert_eq!(created.data["spec"], json!({"replicas": 3, "maxReplicas": 5, "mode": "Shadow"}));
    let status = Patch::Merge(json!({"status": {"replicas": 2, "unknown": true}}));
    let written = api.patch_status("a", &PatchParams::default(), &status).await.unwrap();
    assert_eq!(written.data["status"], json!({"replicas": 2}));
    let zero = Patch::Merge(json!({"spec": {"replicas": 0}}));
    assert_eq!(refused(api.patch_scale("a", &PatchParams::default(), &zero).await).0, 422);
    ours.metadata.name = Some("b".to_owned());
    ours.data = json!({"spec": {}});
    assert_eq!(refused(api.create(&PostParams::default(), &ours).await).0, 422);
}
