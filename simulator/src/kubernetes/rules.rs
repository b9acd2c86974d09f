//! What the API server fills in and what it refuses beyond types: only the
//! rules that VerneMQ's objects and their autoscaler meet.

use serde_json::{Value, json};

use super::{
    object::{self, map, number, text},
    refusal::Refusal,
    resource::Resource,
};

/// Fields of a StatefulSet's spec that may change.
const STATEFUL_SET_MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// Defaults of the fields that somebody here reads.
pub(super) fn default(kind: &Resource, object: &mut Value) {
    match kind.id {
        "statefulsets.apps" => stateful_set_defaults(object),
        "pods" => pod_defaults(object),
        "services" => service_defaults(object),
        "persistentvolumeclaims" => {
            // The claim outlives its use: it is held while a pod mounts it.
            object["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        }
        _ => {}
    }
}

fn missing(object: &mut Value, field: &str, value: Value) {
    if object.get(field).is_none_or(Value::is_null) {
        object[field] = value;
    }
}

fn stateful_set_defaults(object: &mut Value) {
    map(object, "spec");
    let spec = &mut object["spec"];
    missing(spec, "replicas", json!(1));
    missing(spec, "podManagementPolicy", json!("OrderedReady"));
    missing(spec, "revisionHistoryLimit", json!(10));
    missing(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
    if text(spec, "/updateStrategy/type") == "RollingUpdate" {
        missing(&mut spec["updateStrategy"], "rollingUpdate", json!({"partition": 0}));
    }
    let retain = json!({"whenDeleted": "Retain", "whenScaled": "Retain"});
    missing(spec, "persistentVolumeClaimRetentionPolicy", retain);
    map(spec, "template");
    pod_defaults(&mut spec["template"]);
}

/// Of a pod or a pod template.
fn pod_defaults(object: &mut Value) {
    map(object, "spec");
    missing(&mut object["spec"], "restartPolicy", json!("Always"));
    missing(&mut object["spec"], "terminationGracePeriodSeconds", json!(30));
    for container in
        object.pointer_mut("/spec/containers").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if let Some(probe) = container.get_mut("readinessProbe") {
            missing(probe, "periodSeconds", json!(10));
            missing(probe, "timeoutSeconds", json!(1));
            missing(probe, "failureThreshold", json!(3));
            missing(probe, "successThreshold", json!(1));
        }
    }
}

fn service_defaults(object: &mut Value) {
    // An address out of the usual range, by the name: nothing here routes it.
    let number = u16::from_str_radix(&object::hash(&object["metadata"]["name"])[..4], 16).unwrap_or(1);
    map(object, "spec");
    let spec = &mut object["spec"];
    missing(spec, "type", json!("ClusterIP"));
    let address = format!("10.96.{}.{}", number >> 8, number & 0xff);
    missing(spec, "clusterIP", json!(address));
}

/// Refuses what the rules of the kind forbid.
pub(super) fn admit(kind: &Resource, old: Option<&Value>, object: &Value) -> Result<(), Refusal> {
    let name = object::name(object);
    if let Some(replicas) = number(object, "/spec/replicas").filter(|replicas| *replicas < 0) {
        let why = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        return Err(Refusal::invalid(kind, name, "spec.replicas", &why));
    }
    match kind.id {
        "statefulsets.apps" => stateful_set(kind, old, object),
        "pods" => pod(kind, old, object),
        _ => Ok(()),
    }
}

fn stateful_set(kind: &Resource, old: Option<&Value>, object: &Value) -> Result<(), Refusal> {
    let name = object::name(object);
    if let Some(old) = old {
        let fixed = |object: &Value| {
            let mut spec = object["spec"].clone();
            for field in STATEFUL_SET_MUTABLE {
                spec.as_object_mut().map(|fields| fields.remove(field));
            }
            spec
        };
        if fixed(old) != fixed(object) {
            let why = format!(
                "Forbidden: updates to statefulset spec for fields other than {} are forbidden",
                STATEFUL_SET_MUTABLE.map(|field| format!("'{field}'")).join(", ")
            );
            return Err(Refusal::invalid(kind, name, "spec", &why));
        }
    }
    let selector = object.pointer("/spec/selector").cloned().unwrap_or_default();
    let template = object.pointer("/spec/template").cloned().unwrap_or_default();
    if !super::selector::label_selector_matches(&selector, &template) {
        let why = "Invalid value: `selector` does not match template `labels`";
        return Err(Refusal::invalid(kind, name, "spec.template.metadata.labels", why));
    }
    Ok(())
}

/// The spec of a pod is fixed, but for images and a few fields that nobody here uses.
fn pod(kind: &Resource, old: Option<&Value>, object: &Value) -> Result<(), Refusal> {
    let fixed = |object: &Value| {
        let mut spec = object["spec"].clone();
        for container in spec.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|fields| fields.remove("image"));
        }
        spec
    };
    if old.is_some_and(|old| fixed(old) != fixed(object)) {
        let why = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`";
        return Err(Refusal::invalid(kind, object::name(object), "spec", why));
    }
    Ok(())
}
