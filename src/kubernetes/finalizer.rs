//! A finalizer on our resource while a change is under way: a node that has
//! left must be shrunk away even if somebody deletes the resource meanwhile.
//! It goes with the StatefulSet, and with the namespace: there is nothing left
//! to protect then. Where no controller runs, only a person can take it away.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::VerneMQAutoscaler;
use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::ownership::OWNER;
use crate::kubernetes::resource::resources;
use crate::kubernetes::scale::{operations, pointer};

/// Stands on the resource only while a change is under way.
pub const FINALIZER: &str = "vernescale.dev/change-under-way";

/// It stands there.
pub fn held(resource: &impl ResourceExt) -> bool {
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
pub async fn release<K>(resources: &Api<K>, resource: &K) -> Result<K, Failure>
where
    K: ResourceExt + Clone + Debug + DeserializeOwned,
{
    let others = resource.finalizers().iter().filter(|one| *one != FINALIZER).cloned().collect();
    set(resources, resource, others).await
}

async fn set<K>(resources: &Api<K>, resource: &K, finalizers: Vec<String>) -> Result<K, Failure>
where
    K: ResourceExt + Clone + Debug + DeserializeOwned,
{
    let patch = Patch::Merge(json!({
        "metadata": {
            "uid": resource.uid(),
            "resourceVersion": resource.resource_version(),
            "finalizers": finalizers,
        },
    }));
    api("patch finalizers", resources.patch(&resource.name_any(), &PatchParams::default(), &patch)).await
}

/// Takes it off all our resources where the namespace is being deleted: that takes us along, perhaps before it
/// comes to them, and nobody else would ever do it. So many were freed.
pub async fn release_with(client: &Client, namespace: &str) -> Result<usize, Failure> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let going = api("get namespace", namespaces.get_opt(namespace)).await?;
    if going.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_none()) {
        return Ok(0);
    }
    // Of any content: one that this version cannot read is held like any other.
    let ours = resources(client, namespace);
    let mut freed = 0;
    for object in api("list vernemqautoscalers", ours.list(&ListParams::default())).await?.items {
        if held(&object) {
            release(&ours, &object).await?;
            freed += 1;
        }
    }
    Ok(freed)
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
