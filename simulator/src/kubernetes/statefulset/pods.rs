//! The pods of a StatefulSet: which there are, and what a new one looks like.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        object::{self, controller_uid, list, map, number, text},
        selector,
        store::{Key, Store},
    },
    REVISION, healthy,
    revisions::Revision,
};

/// The pods that a StatefulSet controls.
pub(super) struct Pods {
    /// Every ordinal inside the size, with its pod where it exists.
    pub(super) wanted: Vec<(u32, Option<Arc<Value>>)>,
    /// Pods outside the size, by ordinal.
    pub(super) condemned: Vec<Arc<Value>>,
}

/// First ordinal, and the one after the last.
fn range(set: &Value) -> (u32, u32) {
    let read =
        |pointer, otherwise| number(set, pointer).and_then(|n| u32::try_from(n).ok()).unwrap_or(otherwise);
    let start = read("/spec/ordinals/start", 0);
    (start, start.saturating_add(read("/spec/replicas", 1)))
}

/// The ordinal of a pod of this StatefulSet by its name.
fn ordinal_in(set: &Value, pod: &Value) -> Option<u32> {
    let (parent, ordinal) = object::name(pod).rsplit_once('-')?;
    (parent == object::name(set)).then(|| ordinal.parse().ok())?
}

fn owned(store: &Store, set: &Value) -> Vec<(u32, Arc<Value>)> {
    let mut pods: Vec<(u32, Arc<Value>)> = store
        .list("pods", Some(object::namespace(set)))
        .into_iter()
        .filter(|pod| controller_uid(pod) == Some(object::uid(set)))
        .filter_map(|pod| Some((ordinal_in(set, &pod)?, pod)))
        .collect();
    pods.sort_by_key(|(ordinal, _)| *ordinal);
    pods
}

impl Pods {
    pub(super) fn of(store: &Store, set: &Value) -> Self {
        let (start, end) = range(set);
        let (inside, outside): (Vec<_>, Vec<_>) =
            owned(store, set).into_iter().partition(|(ordinal, _)| (start..end).contains(ordinal));
        let find = |ordinal| inside.iter().find(|(o, _)| *o == ordinal).map(|(_, pod)| pod.clone());
        Self {
            wanted: (start..end).map(|ordinal| (ordinal, find(ordinal))).collect(),
            condemned: outside.into_iter().map(|(_, pod)| pod).collect(),
        }
    }

    /// Those that exist.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.wanted.iter().filter_map(|(_, pod)| pod.as_ref()).chain(&self.condemned)
    }

    /// Name of the first unhealthy pod: inside the size before outside it, then
    /// by ordinal.
    pub(super) fn first_unhealthy(&self) -> Option<&str> {
        self.all().find(|pod| !healthy(pod)).map(|pod| object::name(pod))
    }
}

/// Takes pods without a controller that match, as after a StatefulSet was
/// deleted with its pods orphaned, and made again.
pub(super) fn adopt(store: &mut Store, set: &Value) {
    let orphans: Vec<Key> = store
        .list("pods", Some(object::namespace(set)))
        .into_iter()
        .filter(|pod| controller_uid(pod).is_none() && ordinal_in(set, pod).is_some())
        .filter(|pod| !object::deleting(pod))
        .filter(|pod| selector::label_selector_matches(&set["spec"]["selector"], pod))
        .filter_map(|pod| Key::of(&pod))
        .collect();
    for key in orphans {
        store.change(&key, |pod| {
            map(pod, "metadata").insert("ownerReferences".into(), json!([owner(set)]));
        });
    }
}

/// The owner reference of what a StatefulSet controls.
pub(super) fn owner(set: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": object::name(set),
           "uid": object::uid(set), "controller": true, "blockOwnerDeletion": true})
}

/// A new pod of a revision.
pub(super) fn build(set: &Value, revision: &Revision, ordinal: u32) -> Value {
    let name = format!("{}-{ordinal}", object::name(set));
    let template = &revision.template;
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {
            "name": name, "namespace": object::namespace(set), "generateName": format!("{}-", object::name(set)),
            "labels": template.pointer("/metadata/labels").cloned().unwrap_or(json!({})),
            "ownerReferences": [owner(set)],
        },
    });
    if let Some(annotations) = template.pointer("/metadata/annotations") {
        pod["metadata"]["annotations"] = annotations.clone();
    }
    for (key, value) in [
        ("statefulset.kubernetes.io/pod-name", name.clone()),
        ("apps.kubernetes.io/pod-index", ordinal.to_string()),
        (REVISION, revision.name.clone()),
    ] {
        pod["metadata"]["labels"][key] = json!(value);
    }
    pod["spec"]["hostname"] = json!(name);
    pod["spec"]["subdomain"] = json!(text(set, "/spec/serviceName"));
    // A claim's volume takes the place of a template's volume of that name.
    let claimed: Vec<&str> = list(set, "/spec/volumeClaimTemplates").iter().map(object::name).collect();
    let mut volumes: Vec<Value> = list(template, "/spec/volumes")
        .iter()
        .filter(|volume| !claimed.contains(&text(volume, "/name")))
        .cloned()
        .collect();
    volumes.extend(claimed.iter().map(
        |claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": format!("{claim}-{name}")}}),
    ));
    pod["spec"]["volumes"] = json!(volumes);
    pod
}
