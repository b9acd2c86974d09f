//! The StatefulSet controller: one action a reconcile, in the order of the real one.

mod claims;
mod pods;
mod revisions;
mod status;
mod still;

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::task::JoinSet;

use self::{pods::Pods, revisions::Revisions, still::Still};
use super::{
    Shared,
    object::{self, condition, label, number, parse_time, ready, text},
    store::{Deletion, Key, Store},
};

/// Label of a pod's revision.
const REVISION: &str = "controller-revision-hash";

/// Runs the controller.
pub(super) fn spawn(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let delay = shared.settings.timing.stateful_set;
    let (looked, mut still) = (shared.clone(), Still::default());
    tasks.spawn(
        shared.clone().follow(delay, move |store| sync(store, &mut still, looked.faults.stands_still())),
    );
}

/// One look at every StatefulSet.
fn sync(store: &mut Store, still: &mut Still, fault: bool) {
    for set in store.list("statefulsets.apps", None) {
        if object::deleting(&set) {
            continue;
        }
        let revisions = revisions::ensure(store, &set);
        pods::adopt(store, &set);
        let pods = Pods::of(store, &set);
        claims::follow_retention(store, &set, &pods);
        let missing = pods.wanted.iter().any(|(_, pod)| pod.is_none());
        if !still.stands(fault, &set, missing, store.now()) {
            act(store, &set, &revisions, &pods);
        }
        status::write(store, &set, &revisions);
    }
}

fn running_and_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running" && ready(pod)
}

fn healthy(pod: &Value) -> bool {
    running_and_ready(pod) && !object::deleting(pod)
}

/// Ready for `minReadySeconds`.
fn available(store: &Store, set: &Value, pod: &Value) -> bool {
    let seconds = u64::try_from(number(set, "/spec/minReadySeconds").unwrap_or(0)).unwrap_or(0);
    let since = condition(pod, "Ready").and_then(|ready| parse_time(text(ready, "/lastTransitionTime")));
    running_and_ready(pod)
        && (seconds == 0
            || since.is_some_and(|since| store.now().since(since) >= Duration::from_secs(seconds)))
}

/// What one reconcile does, at most one of: create, wait, shrink, roll.
fn act(store: &mut Store, set: &Value, revisions: &Revisions, pods: &Pods) {
    let ordered = text(set, "/spec/podManagementPolicy") != "Parallel";
    for (ordinal, pod) in &pods.wanted {
        let Some(pod) = pod else {
            create(store, set, revisions, *ordinal);
            if ordered {
                return;
            }
            continue;
        };
        if matches!(text(pod, "/status/phase"), "Failed" | "Succeeded") {
            delete(store, pod);
            return;
        }
        // Ordered: nothing happens above a pod that is not as it should be,
        // neither a creation nor a deletion.
        if ordered && (object::deleting(pod) || !available(store, set, pod)) {
            return;
        }
    }
    if condemn(store, set, pods, ordered) {
        return;
    }
    roll(store, set, revisions, pods);
}

/// Deletes pods above the size, the highest first, one at a time. A condemned
/// pod that is not ready is deleted only where it is the first unhealthy one
/// of all. True where there was one to see to.
fn condemn(store: &mut Store, set: &Value, pods: &Pods, ordered: bool) -> bool {
    let first_unhealthy = pods.first_unhealthy();
    for pod in pods.condemned.iter().rev() {
        if object::deleting(pod) {
            if ordered {
                return true;
            }
            continue;
        }
        let first = first_unhealthy == Some(object::name(pod));
        if ordered && !first && !available(store, set, pod) {
            return true;
        }
        delete(store, pod);
        if ordered {
            return true;
        }
    }
    !pods.condemned.is_empty()
}

/// Replaces pods of another revision, the highest first, one at a time.
fn roll(store: &mut Store, set: &Value, revisions: &Revisions, pods: &Pods) {
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return;
    }
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    for (ordinal, pod) in pods.wanted.iter().rev() {
        let Some(pod) = pod else { return };
        if i64::from(*ordinal) < partition {
            return;
        }
        if label(pod, REVISION) != Some(revisions.update.name.as_str()) && !object::deleting(pod) {
            delete(store, pod);
            return;
        }
        if !healthy(pod) {
            return;
        }
    }
}

/// A missing pod: of the update revision, but below a partition of the current one.
fn create(store: &mut Store, set: &Value, revisions: &Revisions, ordinal: u32) {
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let revision = if i64::from(ordinal) < partition { &revisions.current } else { &revisions.update };
    if !claims::ensure(store, set, ordinal) {
        return;
    }
    if let Err(refusal) = store.create(pods::build(set, revision, ordinal)) {
        tracing::debug!(message = refusal.message, "a pod of a StatefulSet could not be created");
    }
}

fn delete(store: &mut Store, pod: &Value) {
    let Some(key) = Key::of(pod) else { return };
    let how = Deletion { uid: Some(object::uid(pod).to_owned()), ..Deletion::default() };
    // A pod that has gone in between is what was wanted.
    drop(store.delete(&key, &how));
}
