//! The size of the StatefulSet: one guarded JSON patch on its scale subresource.

use json_patch::Patch as Operations;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use lifecycle::Ordinal;
use serde_json::{Value, json};

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::names::pod_name;

/// One change of the size, and what must stand for it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Uid of the StatefulSet.
    pub uid: &'a str,
    /// The number that must be there.
    pub from: u32,
    /// The new one.
    pub to: u32,
    /// Uid of the pod that must be in the place of the ordinal that comes or goes; none where there must be none.
    pub pod: Option<&'a str>,
}

/// Sets `spec.replicas`, only on the StatefulSet with this uid and only where `from` stands. A resourceVersion would
/// be a worse guard: it moves with every status change of a dying pod.
///
/// A patch cannot test for another object. The pod is read right before it: what is left of the race is the time of
/// one call, and the lifecycle sees to a pod that was made in that (`pods_delete_in_leave.txt`).
pub async fn set(
    statefulsets: &Api<StatefulSet>,
    pods: &Api<Pod>,
    name: &str,
    change: Change<'_>,
) -> Result<(), Failure> {
    let Change { uid, from, to, pod } = change;
    let place = pod_name(name, Ordinal(from.min(to)));
    let there = api("get pod", pods.get_opt(&place)).await?.and_then(|there| there.metadata.uid);
    if there.as_deref() != pod {
        let named = |uid: Option<&str>| uid.map_or("none".to_owned(), |uid| format!("that with uid {uid}"));
        let why = format!("of {place} there is {}, not {}", named(there.as_deref()), named(pod));
        return Err(Failure::Conflict { call: "patch statefulsets/scale", why });
    }
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
