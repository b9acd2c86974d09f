//! Our resources, each read by itself: one that this version cannot read stops no other.

use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::api::VerneMQAutoscaler;

/// An object of our kind, as the API server has it.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// The whole of it.
    pub object: DynamicObject,
    /// Place and cause.
    pub why: String,
}

/// Our kind, for calls that take any content.
pub fn kind() -> ApiResource {
    ApiResource::erase::<VerneMQAutoscaler>(&())
}

/// Our resources of a namespace, whatever is in them.
pub fn resources(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind())
}

/// The StatefulSet that an object aims at, also where nothing else of it can be read.
pub(super) fn target(object: &DynamicObject) -> Option<&str> {
    object.data.pointer("/spec/targetRef/name").and_then(Value::as_str)
}

/// Reads one, or says place and cause. A status that cannot be read is none: it is written anew with every reconcile.
pub(super) fn parse(object: &DynamicObject) -> Result<VerneMQAutoscaler, String> {
    let mut value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    let read = match from(value.clone()) {
        Err(error) if error.path().iter().next().is_some_and(|first| first.to_string() == "status") => {
            tracing::warn!(resource = object.name_any(), %error, "the status cannot be read and counts as none");
            value.as_object_mut().map(|fields| fields.remove("status"));
            from(value)
        }
        read => read,
    };
    read.map_err(|error| error.to_string())
}

fn from(value: Value) -> Result<VerneMQAutoscaler, serde_path_to_error::Error<serde_json::Error>> {
    serde_path_to_error::deserialize(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value, status: &Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
            "metadata": { "name": "vmq", "namespace": "mqtt", "uid": "u" }, "spec": spec, "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_place() {
        let large = json!({ "targetRef": { "name": "vmq" }, "maxReplicas": 3, "leave": { "maxOnlineAtKill": 5_000_000_000_u64 } });
        let large = object(&large, &json!({}));
        let why = parse(&large).unwrap_err();
        assert!(why.starts_with("spec.leave.maxOnlineAtKill: ") && why.contains("5000000000"), "{why}");
        assert_eq!(target(&large), Some("vmq"), "whose it is, is known all the same");
    }

    #[test]
    fn a_status_that_cannot_be_read_is_none() {
        let spec = json!({ "targetRef": { "name": "vmq" }, "maxReplicas": 3 });
        let read = parse(&object(&spec, &json!({ "wanted": "three", "conditions": [] }))).unwrap();
        assert_eq!((read.status, read.metadata.uid.as_deref()), (None, Some("u")));
    }
}
