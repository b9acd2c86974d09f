//! The `scale` subresource: `autoscaling/v1` `Scale` over an object's
//! `.spec.replicas`, `.status.replicas` and selector.

use serde_json::{Value, json};

use super::{
    object::{self, map, number, text},
    refusal::Refusal,
    resource::Resource,
    selector,
};

/// The scale of an object. A custom resource has its selector as text in its
/// status, a StatefulSet as a selector in its spec.
pub(super) fn of(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut kept = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            kept[field] = value.clone();
        }
    }
    let selector = match object.pointer("/spec/selector") {
        Some(selector) => selector::label_selector_text(selector),
        None => text(object, "/status/selector").to_owned(),
    };
    let mut spec = json!({});
    if let Some(replicas) = number(object, "/spec/replicas").filter(|replicas| *replicas != 0) {
        // `replicas` is left out where it is zero, as Go's `omitempty` does.
        spec["replicas"] = json!(replicas);
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept, "spec": spec,
        "status": {"replicas": number(object, "/status/replicas").unwrap_or(0), "selector": selector},
    })
}

/// The object with the scale's number. The scale's uid and version are
/// preconditions where they are named.
pub(super) fn write(kind: &Resource, old: &Value, scale: &Value) -> Result<Value, Refusal> {
    let name = object::name(old);
    let uid = object::uid(scale);
    if !uid.is_empty() && uid != object::uid(old) {
        return Err(Refusal::precondition(kind, name, "UID", uid, object::uid(old)));
    }
    let version = text(scale, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(old, "/metadata/resourceVersion") {
        return Err(Refusal::stale(kind, name));
    }
    let replicas = match scale.pointer("/spec/replicas") {
        None => 0,
        Some(value) => value.as_i64().ok_or_else(|| {
            Refusal::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is no number",
            )
        })?,
    };
    if replicas < 0 {
        let why = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        return Err(Refusal::invalid(kind, name, "spec.replicas", &why));
    }
    let mut object = old.clone();
    map(&mut object, "spec").insert("replicas".into(), json!(replicas));
    Ok(object)
}
