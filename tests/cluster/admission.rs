//! What a real API server refuses of our kind, and what it says. The simulator knows the schema, and no rule in CEL.

use std::time::Duration;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use vernescale::api::VerneMQAutoscaler;

use crate::apply;
use crate::cluster::DEADLINE;
use crate::control_plane::ControlPlane;

const NAMESPACE: &str = "mqtt";

fn pods(metric: &str) -> Value {
    json!({ "type": "Pods", "pods": {
        "metric": { "name": metric }, "target": { "type": "AverageValue", "averageValue": "1k" },
    }})
}

/// A target as somebody has written it.
fn value_of(value: Value) -> Value {
    let mut metric = pods("mqtt_publish_received");
    metric["pods"]["target"]["averageValue"] = value;
    json!({ "metrics": [metric] })
}

/// What is merged into a good spec, and words of the refusal.
fn bad() -> Vec<(Value, &'static str)> {
    let external = |target: Value| {
        json!({ "metrics": [{ "type": "External", "external": {
            "metric": { "name": "mqtt_publish_received" }, "target": target,
        }}]})
    };
    let resource = json!({ "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } });
    let mut both = pods("mqtt_publish_received");
    both["external"] = json!({ "metric": { "name": "m" }, "target": { "type": "Value", "value": "1" } });
    let mut value = pods("mqtt_publish_received");
    value["pods"]["target"] = json!({ "type": "Value", "value": "1k" });
    let mut selected = pods("mqtt_publish_received");
    selected["pods"]["metric"]["selector"] = json!({ "matchLabels": { "topic": "a" } });
    vec![
        (json!({ "minReplicas": 5, "maxReplicas": 3 }), "minReplicas"),
        (json!({ "minReplicas": 0 }), "should be greater than or equal to 1"),
        (json!({ "metrics": [] }), "needs at least one metric: Pods with mqtt_publish_received"),
        (json!({ "wishFrom": "Scale", "metrics": [] }), "set replicas to the size of today"),
        (json!({ "metrics": [{ "type": "Resource", "resource": resource }] }), "mqtt_publish_received"),
        (json!({ "metrics": [{ "type": "Object", "object": {} }] }), "use type External with the metric"),
        (json!({ "metrics": [{ "type": "External" }] }), "type External takes the field external"),
        (json!({ "metrics": [both] }), "type Pods takes the field pods, and no other"),
        (json!({ "metrics": [value] }), "averageValue"),
        (json!({ "metrics": [pods("vm_memory_total")] }), "vm_memory_"),
        (external(json!({ "type": "Value", "averageValue": "1k" })), "value"),
        (external(json!({ "type": "Value", "averageValue": "1k", "value": "1k" })), "target"),
        (external(json!({ "type": "AverageValue" })), "averageValue"),
        (value_of(json!(0)), "averageValue"),
        (value_of(json!("0")), "averageValue"),
        (value_of(json!("0.0k")), "averageValue"),
        (value_of(json!(-0.5)), "averageValue"),
        (value_of(json!("-5")), "averageValue"),
        (value_of(json!(true)), "averageValue"),
        (value_of(json!({})), "averageValue"),
        (value_of(json!({ "a": 1 })), "averageValue"),
        (value_of(json!([])), "averageValue"),
        (value_of(json!(["1"])), "averageValue"),
        (value_of(json!(1e30)), "averageValue"),
        (json!({ "metrics": [selected] }), "metric.selector is not read"),
        (json!({ "wishFrom": "Scale", "replicas": 0 }), "set replicas to the size of today"),
        (json!({ "replicas": 2 }), "set wishFrom to Scale"),
        (json!({ "leave": { "maxOnlineAtKill": 5_000_000_000_u64 } }), "maxOnlineAtKill"),
        (json!({ "drain": { "maxPerSecond": 501 } }), "maxPerSecond"),
        (json!({ "mode": "On" }), "supported values"),
    ]
}

#[tokio::test]
async fn what_the_rules_refuse_and_what_they_say() {
    let Some(plane) = ControlPlane::start().await else { return };
    let admin = plane.admin().await;
    apply::namespace(&admin, NAMESPACE).await;
    apply::define(&admin, str::to_owned).await;
    let good = json!({
        "targetRef": { "name": "vmq" }, "minReplicas": 1, "maxReplicas": 3, "metrics": [pods("mqtt_publish_received")],
    });
    // Of any content: what is wrong must reach the server.
    let kind = ApiResource::erase::<VerneMQAutoscaler>(&());
    let resources: Api<DynamicObject> = Api::namespaced_with(admin.clone(), NAMESPACE, &kind);
    let create = async |name: &str, spec: &Value| {
        let object = DynamicObject::new(name, &kind).data(json!({ "spec": spec }));
        resources.create(&PostParams::default(), &object).await
    };
    // A kind that was just made is not served at once.
    let taken = async {
        while let Err(error) = create("good", &good).await {
            assert!(matches!(&error, kube::Error::Api(status) if status.code == 404), "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE, taken).await.expect("the kind is served");
    for (change, words) in bad() {
        let mut spec = good.clone();
        json_patch::merge(&mut spec, &change);
        let refused = create("bad", &spec).await.expect_err(&format!("it was taken: {change}")).to_string();
        assert!(refused.contains(words), "`{words}` is not in what is said of {change}: {refused}");
    }
    // As HPA takes them.
    let texts = ["+5", "60m", "0.85", ".05m", "10", "007.0", "1.", "1e3", "+.5k"].map(|text| json!(text));
    let numbers = [json!(0.85), json!(100.5), json!(60), json!(1e-7)];
    for (number, value) in texts.into_iter().chain(numbers).enumerate() {
        let mut spec = good.clone();
        json_patch::merge(&mut spec, &value_of(value.clone()));
        let taken = create(&format!("number-{number}"), &spec).await;
        let kept = taken.unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(kept.data.pointer("/spec/metrics/0/pods/target/averageValue"), Some(&value));
    }
    let typed: Api<VerneMQAutoscaler> = Api::namespaced(admin, NAMESPACE);
    // Whose size follows the metrics has a scale, too: one that says that nobody is heard there.
    let scale = typed.get_scale("good").await.expect("a scale of its own");
    assert_eq!(scale.spec.and_then(|spec| spec.replicas).unwrap_or_default(), 0, "autoscaling is disabled");
    let five = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
    let said = typed.patch_scale("good", &PatchParams::default(), &five).await.expect_err("nobody reads it");
    assert!(said.to_string().contains("set wishFrom to Scale"), "{said}");
    hpa_says_why(&typed.clone().into_client()).await;
    let patch = |spec: Value| Patch::Merge(json!({ "spec": spec }));
    let params = PatchParams::default();
    let moved = typed.patch("good", &params, &patch(json!({ "targetRef": { "name": "other" } }))).await;
    let said = moved.expect_err("the target was changed").to_string();
    assert!(said.contains("targetRef"), "{said}");
    // As `kubectl scale --replicas=0`, where the scale is heard.
    typed
        .patch("good", &params, &patch(json!({ "wishFrom": "Scale", "replicas": 2 })))
        .await
        .expect("it is taken");
    let none = typed.patch_scale("good", &params, &patch(json!({ "replicas": 0 }))).await;
    let said = none.expect_err("no node at all was wished").to_string();
    assert!(said.contains("1 or more"), "{said}");
}

/// An HPA that aims at a resource whose size follows the metrics says that it is not heard.
async fn hpa_says_why(client: &kube::Client) {
    // As it is written: the typed one has no numbers.
    let kind = ApiResource::erase::<HorizontalPodAutoscaler>(&());
    let autoscalers: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    let autoscaler = DynamicObject::new("good", &kind).data(json!({
        "spec": {
            "minReplicas": 1, "maxReplicas": 3,
            "scaleTargetRef": { "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler", "name": "good" },
            "metrics": [{ "type": "Pods", "pods": {
                "metric": { "name": "mqtt_publish_received" }, "target": { "type": "AverageValue", "averageValue": 0.85 },
            }}],
        },
    }));
    autoscalers.create(&PostParams::default(), &autoscaler).await.expect("HPA takes the same block");
    let disabled = async {
        loop {
            let seen = autoscalers.get("good").await.expect("it is there");
            let conditions = seen.data.pointer("/status/conditions").and_then(Value::as_array).cloned();
            if conditions.into_iter().flatten().any(|one| one["reason"] == "ScalingDisabled") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(DEADLINE, disabled).await.expect("HPA says that scaling is disabled");
}
