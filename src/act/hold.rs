//! A finalizer on our resource while a change is under way: a node that has
//! left must be shrunk away even if somebody deletes the resource meanwhile.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::deadline::{Failure, api};
use super::owner::OWNER;
use super::scale::{operations, pointer};
use crate::crd::VerneMQAutoscaler;

/// Stands on the resource only while a change is under way.
pub const FINALIZER: &str = "vernescale.dev/change-under-way";

/// It stands there.
pub fn held(resource: &VerneMQAutoscaler) -> bool {
    resource.finalizers().iter().any(|one| one == FINALIZER)
}

/// Adds it, guarded by the version that was read.
pub async fn take(
    resources: &Api<VerneMQAutoscaler>,
    resource: &VerneMQAutoscaler,
) -> Result<VerneMQAutoscaler, Failure> {
    let mut finalizers = resource.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    set(resources, resource, finalizers).await
}

/// Takes it away, guarded by the version that was read.
pub async fn release(
    resources: &Api<VerneMQAutoscaler>,
    resource: &VerneMQAutoscaler,
) -> Result<VerneMQAutoscaler, Failure> {
    let others = resource.finalizers().iter().filter(|one| *one != FINALIZER).cloned().collect();
    set(resources, resource, others).await
}

async fn set(
    resources: &Api<VerneMQAutoscaler>,
    resource: &VerneMQAutoscaler,
    finalizers: Vec<String>,
) -> Result<VerneMQAutoscaler, Failure> {
    let patch = Patch::Merge(json!({
        "metadata": {
            "uid": resource.metadata.uid,
            "resourceVersion": resource.metadata.resource_version,
            "finalizers": finalizers,
        },
    }));
    api("patch finalizers", resources.patch(&resource.name_any(), &PatchParams::default(), &patch)).await
}

/// Takes our mark off the StatefulSet, where it still is ours.
pub async fn disown(
    statefulsets: &Api<StatefulSet>,
    owned: &StatefulSet,
    our_uid: &str,
) -> Result<(), Failure> {
    let mark = format!("/metadata/annotations/{}", pointer(OWNER));
    let patch = Patch::Json::<()>(operations(&json!([
        { "op": "test", "path": "/metadata/uid", "value": owned.metadata.uid },
        { "op": "test", "path": mark, "value": our_uid },
        { "op": "remove", "path": mark },
    ])));
    api("patch owner", statefulsets.patch(&owned.name_any(), &PatchParams::default(), &patch)).await.map(drop)
}
