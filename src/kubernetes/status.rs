//! The status of our resource: replaced whole, guarded by the version that was
//! read, so that two writers never mix their words.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::api::{VerneMQAutoscaler, VerneMQAutoscalerStatus};
use crate::kubernetes::call::{Failure, api};

/// Writes `status` onto the resource as it was read. A conflict is no fault:
/// the next reconcile writes again.
pub async fn write(
    resources: &Api<VerneMQAutoscaler>,
    read: &VerneMQAutoscaler,
    status: VerneMQAutoscalerStatus,
) -> Result<VerneMQAutoscaler, Failure> {
    let mut object = read.clone();
    object.status = Some(status);
    let name = read.metadata.name.as_deref().unwrap_or_default();
    api("replace status", resources.replace_status(name, &PostParams::default(), &object)).await
}

/// The conditions of an object that cannot be read as ours, as far as they can.
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let each = conditions.into_iter().flatten().cloned();
    each.filter_map(|one| serde_json::from_value(one).ok()).collect()
}

/// Writes them onto such an object; whatever else is in its status stays as it is.
pub async fn write_conditions(
    resources: &Api<DynamicObject>,
    read: &DynamicObject,
    conditions: &[Condition],
) -> Result<(), Failure> {
    let mut object = read.clone();
    json_patch::merge(&mut object.data, &json!({ "status": { "conditions": conditions } }));
    let (name, params) = (read.name_any(), PostParams::default());
    api("replace status", resources.replace_status(&name, &params, &object)).await.map(drop)
}
