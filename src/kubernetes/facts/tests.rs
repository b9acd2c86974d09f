use serde_json::{Value, json};

use super::*;

fn statefulset() -> StatefulSet {
    serde_json::from_value(json!({
        "metadata": { "name": "vmq", "uid": "set", "generation": 4 },
        "spec": {
            "replicas": 3, "serviceName": "vmq-headless",
            "selector": {
                "matchLabels": { "app": "vmq" },
                "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["a", "b"] }],
            },
            "template": {},
            "volumeClaimTemplates": [{ "metadata": { "name": "data" } }],
        },
        "status": { "replicas": 3, "observedGeneration": 4, "currentRevision": "r1", "updateRevision": "r1" },
    }))
    .unwrap()
}

fn pod_object(name: &str, owner: &str, extra: &Value) -> PodObject {
    let mut object = json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "labels": { SERVING: "false" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "vmq", "uid": owner }],
        },
        "spec": { "containers": [{ "name": "proxy", "image": "p:1" }, { "name": "vernemq", "image": "v:2.1.2" }] },
        "status": {
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:02Z" }],
            "containerStatuses": [
                { "name": "proxy", "image": "", "imageID": "", "ready": true, "restartCount": 9, "state": {} },
                { "name": "vernemq", "image": "", "imageID": "sha:1", "ready": true, "restartCount": 2,
                  "state": { "running": {} } },
            ],
        },
    });
    json_patch::merge(&mut object, extra);
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_pod_is_read_by_its_brokers_container() {
    let all = [pod_object("vmq-2", "set", &json!({}))];
    let found = pods(&statefulset(), &all, &[], "vernemq");
    let pod = &found[&Ordinal(2)].1;
    assert!(pod.ready && pod.running && !pod.deleting && !pod.routed);
    assert_eq!((pod.restarts, pod.image.as_str(), pod.serving), (2, "sha:1", Some(false)));
    assert_eq!(pod.ready_changed, Some(Time(2_000)));
}

#[test]
fn pods_of_another_owner_do_not_count() {
    let all = [pod_object("vmq-0", "other", &json!({})), pod_object("vmq-x", "set", &json!({}))];
    assert!(pods(&statefulset(), &all, &[], "vernemq").is_empty());
}

#[test]
fn a_slice_routes_a_pod_while_it_is_ready_or_serving() {
    let routed_with = |conditions: Value| {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4", "metadata": {},
            "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": conditions,
                "targetRef": { "kind": "Pod", "name": "vmq-2", "uid": "uid-vmq-2" },
            }],
        }))
        .unwrap();
        routed(&pod_object("vmq-2", "set", &json!({})), &[slice])
    };
    assert!(routed_with(json!({ "ready": true })));
    assert!(routed_with(json!({ "ready": false, "serving": true, "terminating": true })));
    assert!(!routed_with(json!({ "ready": false, "serving": false })));
    assert!(routed_with(json!(null)), "absent conditions mean ready");
}

#[test]
fn a_rollout_is_seen_by_revisions_and_by_generation() {
    assert!(!rollout(&statefulset()));
    let mut revised = statefulset();
    revised.status.as_mut().unwrap().update_revision = Some("r2".into());
    assert!(rollout(&revised));
    let mut behind = statefulset();
    behind.metadata.generation = Some(5);
    assert!(rollout(&behind));
    let mut unknown = statefulset();
    unknown.status = None;
    assert!(rollout(&unknown), "no status is not yet no rollout");
}

#[test]
fn claims_and_selector_are_those_of_the_statefulset() {
    let all: Vec<PersistentVolumeClaim> = serde_json::from_value(json!([
        { "metadata": { "name": "data-vmq-2", "uid": "c2" } },
        { "metadata": { "name": "data-vmq-10", "uid": "c10", "deletionTimestamp": "1970-01-01T00:00:00Z" } },
        { "metadata": { "name": "data-other-1", "uid": "x" } },
    ]))
    .unwrap();
    let claims = claims(&statefulset(), &all);
    assert_eq!(claims.keys().copied().collect::<Vec<_>>(), [Ordinal(2), Ordinal(10)]);
    assert!(claims[&Ordinal(10)][0].deleting);
    assert_eq!(selector(&statefulset()), "app=vmq,tier in (a,b)");
}
