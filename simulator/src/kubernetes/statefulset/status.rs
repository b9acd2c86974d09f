//! The status of a StatefulSet, counted after every reconcile.

use serde_json::{Value, json};

use super::{
    super::{
        object::{self, label, number, text},
        store::{Key, Store},
    },
    REVISION, available,
    pods::Pods,
    revisions::Revisions,
    running_and_ready,
};

/// Counts the pods and completes a rollout whose pods are all there.
pub(super) fn write(store: &mut Store, set: &Value, revisions: &Revisions) {
    let pods = Pods::of(store, set);
    let count = |matches: &dyn Fn(&Value) -> bool| pods.all().filter(|pod| matches(pod)).count();
    let of = |pod: &Value, name: &str| label(pod, REVISION) == Some(name) && !object::deleting(pod);
    let replicas = count(&|_| true);
    let ready = count(&running_and_ready);
    let updated = count(&|pod| of(pod, &revisions.update.name));
    let mut current_revision = revisions.current.name.as_str();
    // A rollout is over when every pod has the new revision and is ready.
    // Under `OnDelete` the current revision never moves: so it is on a real one.
    let rolling = text(set, "/spec/updateStrategy/type") != "OnDelete";
    if rolling && updated == replicas && ready == replicas {
        current_revision = &revisions.update.name;
    }
    let current = count(&|pod| of(pod, current_revision));
    let status = json!({
        "observedGeneration": number(set, "/metadata/generation").unwrap_or(1),
        "replicas": replicas,
        "readyReplicas": ready,
        "availableReplicas": count(&|pod| available(store, set, pod)),
        "currentReplicas": current,
        "updatedReplicas": updated,
        "currentRevision": current_revision,
        "updateRevision": revisions.update.name,
        "collisionCount": 0,
    });
    if let Some(key) = Key::of(set) {
        store.change(&key, |set| set["status"] = status);
    }
}
