//! What a real API server refuses of our kind, and what it says. The stand-in knows the schema, and no rule in CEL.

use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use vernescale::crd::VerneMQAutoscaler;

use crate::apply;
use crate::control_plane::ControlPlane;
use crate::world::DEADLINE;

const NAMESPACE: &str = "mqtt";

fn pods(metric: &str) -> Value {
    json!({ "type": "Pods", "pods": {
        "metric": { "name": metric }, "target": { "type": "AverageValue", "averageValue": "1k" },
    }})
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
    let typed: Api<VerneMQAutoscaler> = Api::namespaced(admin, NAMESPACE);
    let patch = |spec: Value| Patch::Merge(json!({ "spec": spec }));
    let params = PatchParams::default();
    let moved = typed.patch("good", &params, &patch(json!({ "targetRef": { "name": "other" } }))).await;
    let said = moved.expect_err("the target was changed").to_string();
    assert!(said.contains("targetRef"), "{said}");
    // As `kubectl scale --replicas=0`.
    let none = typed.patch_scale("good", &params, &patch(json!({ "replicas": 0 }))).await;
    let said = none.expect_err("no node at all was wished").to_string();
    assert!(said.contains("should be greater than or equal to 1"), "{said}");
}
