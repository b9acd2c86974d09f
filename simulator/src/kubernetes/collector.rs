//! The garbage collector, the end of namespaces, and the protection of claims that are in use.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Shared,
    object::{self, list, map, text},
    store::{Deletion, Key, Store},
};

/// Runs all three.
pub(super) fn spawn(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let delay = shared.settings.timing.collector;
    tasks.spawn(shared.clone().follow(delay, |store| {
        end_namespaces(store);
        collect(store);
        release_claims(store);
    }));
}

/// Deletes what has owners of which none exists any more, and lets owners go
/// that waited for their dependents.
fn collect(store: &mut Store) {
    for (key, object) in store.owned() {
        let owners = list(&object, "/metadata/ownerReferences");
        let orphaned = owners.iter().all(|owner| !store.uid_exists(text(owner, "/uid")));
        let doomed = owners.iter().any(|owner| waits_for_dependents(store, owner, &object));
        if (orphaned || doomed) && !object::deleting(&object) {
            drop(store.delete(&key, &Deletion::default()));
        }
    }
    for kind in ["statefulsets.apps", "vernemqautoscalers.vernescale.dev"] {
        for owner in store.list(kind, None) {
            let waits = list(&owner, "/metadata/finalizers").contains(&json!("foregroundDeletion"));
            if waits && store.dependents(object::uid(&owner)).is_empty() {
                drop_finalizer(store, &owner, "foregroundDeletion");
            }
        }
    }
}

fn waits_for_dependents(store: &Store, owner: &Value, dependent: &Value) -> bool {
    let key = Key::of(&json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "metadata": {"name": owner["name"], "namespace": object::namespace(dependent)}}));
    let found = key.and_then(|key| store.get(&key));
    found.is_some_and(|found| {
        object::uid(&found) == text(owner, "/uid")
            && object::deleting(&found)
            && list(&found, "/metadata/finalizers").contains(&json!("foregroundDeletion"))
    })
}

/// What is in a namespace that is being deleted is deleted as well; the namespace goes with the last of it.
fn end_namespaces(store: &mut Store) {
    for namespace in store.list("namespaces", None) {
        if !object::deleting(&namespace) {
            continue;
        }
        for (key, object) in store.within(object::name(&namespace)) {
            if !object::deleting(&object) {
                drop(store.delete(&key, &Deletion::default()));
            }
        }
        if let Some(key) = Key::of(&namespace) {
            drop(store.delete(&key, &Deletion::default()));
        }
    }
}

/// A deleted claim goes when no pod names it.
fn release_claims(store: &mut Store) {
    for claim in store.list("persistentvolumeclaims", None) {
        let used = store.list("pods", Some(object::namespace(&claim))).iter().any(|pod| {
            list(pod, "/spec/volumes")
                .iter()
                .any(|v| text(v, "/persistentVolumeClaim/claimName") == object::name(&claim))
        });
        if object::deleting(&claim) && !used {
            drop_finalizer(store, &claim, "kubernetes.io/pvc-protection");
        }
    }
}

fn drop_finalizer(store: &mut Store, object: &Value, finalizer: &str) {
    let left: Vec<Value> =
        list(object, "/metadata/finalizers").iter().filter(|f| **f != finalizer).cloned().collect();
    if let Some(key) = Key::of(object) {
        store.change(&key, |object| {
            map(object, "metadata").insert("finalizers".into(), json!(left));
        });
    }
}
