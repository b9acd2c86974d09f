//! The size of the StatefulSet: one guarded JSON patch on its scale subresource.

use json_patch::Patch as Operations;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::deadline::{Failure, api};

/// Sets `spec.replicas` from `from` to `to`, only on the StatefulSet with this
/// uid and only where `from` stands. A resourceVersion would be a worse guard:
/// it moves with every status change of a dying pod (design.md §5.8).
pub async fn set(
    statefulsets: &Api<StatefulSet>,
    name: &str,
    uid: &str,
    from: u32,
    to: u32,
) -> Result<(), Failure> {
    let patch = Patch::Json::<()>(operations(&json!([
        { "op": "test", "path": "/metadata/uid", "value": uid },
        { "op": "test", "path": "/spec/replicas", "value": from },
        { "op": "replace", "path": "/spec/replicas", "value": to },
    ])));
    let params = PatchParams::default();
    api("patch statefulsets/scale", statefulsets.patch_scale(name, &params, &patch)).await.map(drop)
}

/// A JSON patch from its JSON text as one writes it.
pub(crate) fn operations(patch: &Value) -> Operations {
    serde_json::from_value(patch.clone()).expect("a literal JSON patch in this program is well-formed")
}

/// A key of labels or annotations as a part of a JSON pointer.
pub(crate) fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_a_slash_stay_one_step_of_the_pointer() {
        assert_eq!(pointer("vernescale.dev/serving"), "vernescale.dev~1serving");
        assert_eq!(pointer("a~b"), "a~0b");
    }
}
