//! The volume claims of a StatefulSet: made with the pods, and by default kept.

use serde_json::{Value, json};

use super::{
    super::{
        object::{self, list, map, text},
        rules,
        store::{Key, Store},
    },
    pods::{Pods, owner},
};

const KIND: &str = "persistentvolumeclaims";

fn name(set: &Value, template: &Value, ordinal: u32) -> String {
    format!("{}-{}-{ordinal}", object::name(template), object::name(set))
}

/// Makes the claims of an ordinal. False while one of them is being deleted:
/// the pod waits until it is gone.
pub(super) fn ensure(store: &mut Store, set: &Value, ordinal: u32) -> bool {
    let namespace = object::namespace(set).to_owned();
    for template in list(set, "/spec/volumeClaimTemplates") {
        let name = name(set, template, ordinal);
        match store.find(KIND, &namespace, &name) {
            Some(claim) if object::deleting(&claim) => return false,
            Some(_) => continue,
            None => {}
        }
        let mut claim = template.clone();
        claim["apiVersion"] = json!("v1");
        claim["kind"] = json!("PersistentVolumeClaim");
        let labels = set.pointer("/spec/selector/matchLabels").cloned().unwrap_or(json!({}));
        let metadata = map(&mut claim, "metadata");
        metadata.insert("name".into(), json!(name));
        metadata.insert("namespace".into(), json!(namespace));
        metadata.insert("labels".into(), labels);
        // No provisioner here: a claim is bound as it is made.
        claim["status"] = json!({"phase": "Bound"});
        if let Some(kind) = super::super::resource::by_id(KIND) {
            rules::default(kind, &mut claim);
        }
        if store.create(claim).is_err() {
            return false;
        }
    }
    true
}

/// Keeps the owners of the claims as the retention policy says: with
/// `whenScaled: Delete` a condemned pod takes its claims along, with
/// `whenDeleted: Delete` the StatefulSet does.
pub(super) fn follow_retention(store: &mut Store, set: &Value, pods: &Pods) {
    let policy =
        |field: &str| text(set, &format!("/spec/persistentVolumeClaimRetentionPolicy/{field}")) == "Delete";
    let (scaled, deleted) = (policy("whenScaled"), policy("whenDeleted"));
    for pod in pods.all() {
        let Some(ordinal) = object::ordinal(object::name(pod)) else { continue };
        let condemned = pods.condemned.iter().any(|other| object::name(other) == object::name(pod));
        let mut owners = Vec::new();
        if condemned && scaled {
            owners.push(json!({"apiVersion": "v1", "kind": "Pod", "name": object::name(pod),
                               "uid": object::uid(pod)}));
        } else if deleted {
            owners.push(owner(set));
        }
        for template in list(set, "/spec/volumeClaimTemplates") {
            let name = name(set, template, ordinal);
            let Some(claim) = store.find(KIND, object::namespace(set), &name) else { continue };
            if list(&claim, "/metadata/ownerReferences") == owners.as_slice() {
                continue;
            }
            if let Some(key) = Key::of(&claim) {
                store.change(&key, |claim| {
                    map(claim, "metadata").insert("ownerReferences".into(), json!(owners));
                });
            }
        }
    }
}
