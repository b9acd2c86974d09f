//! The label that the client Service selects on.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::scale::{operations, pointer};

/// `"true"` in the pod template, `"false"` while we keep clients away.
pub const SERVING: &str = "vernescale.dev/serving";

/// Labels exactly the pod with this uid. The label outlives restarts of the
/// container: an isolated node on old data is never served.
pub async fn label(pods: &Api<Pod>, pod: &str, uid: &str, serving: bool) -> Result<(), Failure> {
    // `add` also replaces. Pods of a StatefulSet always have labels: its
    // selector demands them.
    let patch = Patch::Json::<()>(operations(&json!([
        { "op": "test", "path": "/metadata/uid", "value": uid },
        { "op": "add", "path": format!("/metadata/labels/{}", pointer(SERVING)), "value": serving.to_string() },
    ])));
    api("label pod", pods.patch(pod, &PatchParams::default(), &patch)).await.map(drop)
}
