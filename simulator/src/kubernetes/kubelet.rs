//! The kubelet of the one node: a task a pod, and the disks of deleted claims.

mod pod;
mod probe;
mod spec;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinSet;

use self::pod::PodRun;
use super::{
    Shared, object,
    store::{Key, Store},
};

/// Runs the kubelet.
pub(super) fn spawn(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let shared = shared.clone();
    tasks.spawn(async move { match run(shared).await {} });
}

/// What the pods' tasks share.
#[derive(Clone, Default)]
struct Node {
    /// One pod of a name at a time: its successor waits here until it is torn down.
    names: Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    /// Disks that some pod's task uses.
    mounted: Arc<Mutex<BTreeSet<String>>>,
}

impl Node {
    fn name(&self, pod: &Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept for the life of the simulator: as many as there were names of pods.
        names.entry(pod.name.clone()).or_default().clone()
    }

    fn mount(&self, volume: &str) {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner).insert(volume.to_owned());
    }

    fn unmount(&self, volume: &str) {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner).remove(volume);
    }

    fn is_mounted(&self, volume: &str) -> bool {
        self.mounted.lock().unwrap_or_else(PoisonError::into_inner).contains(volume)
    }
}

async fn run(shared: Arc<Shared>) -> Infallible {
    let node = Node::default();
    let mut changes = shared.store().subscribe();
    let mut pods = JoinSet::new();
    // Uids of the pods that have a task.
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut claims = BTreeSet::new();
    let mut doomed = BTreeSet::new();
    loop {
        let listed = shared.store().list("pods", None);
        for pod in listed {
            let Some(key) = Key::of(&pod) else { continue };
            let uid = object::uid(&pod).to_owned();
            if taken.insert(uid.clone()) {
                pods.spawn(PodRun::live(shared.clone(), node.clone(), key, uid));
            }
        }
        let now = volumes(&shared.store());
        doomed.extend(claims.difference(&now).cloned());
        claims = now;
        let free: Vec<String> = doomed.iter().filter(|volume| !node.is_mounted(volume)).cloned().collect();
        for volume in free {
            shared.containers.delete_volume(&volume);
            doomed.remove(&volume);
        }
        tokio::select! {
            _ = changes.changed() => {}
            Some(ended) = pods.join_next() => {
                if let Ok(uid) = ended {
                    taken.remove(&uid);
                }
            }
        }
    }
}

/// The disks of all claims.
fn volumes(store: &Store) -> BTreeSet<String> {
    let claims = store.list("persistentvolumeclaims", None);
    claims.iter().map(|claim| spec::claim_volume(claim)).collect()
}
