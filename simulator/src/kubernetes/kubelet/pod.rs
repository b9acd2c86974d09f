//! The life of one pod on the node, from its creation until its object is gone.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use futures::FutureExt;
use lifecycle::Time;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    Node, probe,
    spec::{self, Disk},
    status::{self, Ended},
};
use crate::kubernetes::{
    Shared,
    object::{self, number, rfc3339},
    store::{Deletion, Key},
};

/// A kubelet gives at least so much after a preStop hook that used up the grace.
const GRACE_MIN: Duration = Duration::from_secs(2);

/// Longest back-off, and the time of running that forgets it, as a kubelet's.
const BACK_OFF_MAX: Duration = Duration::from_mins(5);
const BACK_OFF_FORGOTTEN: Duration = Duration::from_mins(10);

/// A pod that has a task.
pub(super) struct PodRun {
    pub(super) shared: Arc<Shared>,
    pub(super) key: Key,
    uid: String,
    node: Node,
}

/// What a pod runs on, once it has it.
struct Place {
    address: Ipv4Addr,
    disk: Disk,
}

impl PodRun {
    /// The whole life; answers the uid.
    pub(super) async fn live(shared: Arc<Shared>, node: Node, key: Key, uid: String) -> String {
        let name = node.name(&key);
        let _turn = name.lock().await;
        let pod = Self { shared, key, uid, node };
        if let Some(place) = pod.place().await {
            let running_since = pod.run(&place).await;
            pod.tear_down(&place, running_since).await;
        }
        pod.shared.addresses().release(&pod.uid);
        pod.remove();
        pod.uid
    }

    /// The pod's object, unless it is gone.
    pub(super) fn object(&self) -> Option<Arc<Value>> {
        self.shared.store().get(&self.key).filter(|pod| object::uid(pod) == self.uid)
    }

    /// Edits the object, unless it is gone.
    pub(super) fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut store = self.shared.store();
        if store.get(&self.key).is_some_and(|pod| object::uid(&pod) == self.uid) {
            store.change(&self.key, edit);
        }
    }

    fn disk(&self) -> Option<Disk> {
        let object = self.object()?;
        Disk::of(&self.shared.store(), &object)
    }

    fn alive(&self) -> bool {
        self.object().is_some_and(|pod| !object::deleting(&pod))
    }

    /// Resolves when the pod is deleted.
    async fn deleted(&self) {
        self.until(|pod| (!pod.alive()).then_some(())).await;
    }

    /// Looks after every change until there is something.
    async fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.shared.store().subscribe();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits, unless the pod is deleted first. True if it was not.
    async fn pass(&self, span: Duration) -> bool {
        tokio::select! {
            () = sleep(span) => self.alive(),
            () = self.deleted() => false,
        }
    }

    /// Node, disk and address; none where the pod was deleted before it had them.
    async fn place(&self) -> Option<Place> {
        let timing = self.shared.settings.timing;
        if !self.pass(timing.schedule).await {
            return None;
        }
        let now = self.shared.now();
        self.edit(|pod| status::scheduled(pod, now));
        let disk = tokio::select! {
            disk = self.until(Self::disk) => disk,
            () = self.deleted() => return None,
        };
        // From here on it starts, whatever becomes of the pod: one that was deleted 0.3 s after it was made ran
        // for its whole grace (`pods_delete_in_leave.txt`).
        sleep(timing.start).await;
        self.object()?;
        let address = tokio::select! {
            biased;
            address = self.until(|pod| pod.shared.addresses().take(&pod.uid)) => address,
            () = self.deleted() => return None,
        };
        self.node.mount(disk.volume());
        Some(Place { address, disk })
    }

    /// Runs the container, again and again, until the pod is deleted. Answers
    /// since when it runs, where it does.
    async fn run(&self, place: &Place) -> Option<Time> {
        let (mut restarts, mut back_off, mut last) = (0, Duration::ZERO, None);
        loop {
            let object = self.object()?;
            let container = spec::container(&object, place.address, &place.disk);
            self.shared.containers.start(container).await;
            let started = self.shared.now();
            self.edit(|pod| status::running(pod, place.address, restarts, last, started));
            let code = tokio::select! {
                code = self.shared.containers.exited(&self.key.name) => code,
                () = self.deleted() => return Some(started),
                never = probe::keep(self) => match never {},
            };
            let ended = Ended { code, started, finished: self.shared.now() };
            last = Some(ended);
            if ended.finished.since(started) >= BACK_OFF_FORGOTTEN {
                back_off = Duration::ZERO;
            }
            if !self.wait_to_restart(restarts, ended, back_off).await {
                return None;
            }
            restarts += 1;
            back_off = (back_off * 2).max(self.shared.settings.timing.back_off).min(BACK_OFF_MAX);
        }
    }

    /// The pause before a restart: a second at first, then a back-off that
    /// shows. False where the pod is deleted meanwhile, but for the second half of the first pause: kubelet is at it by
    /// then, and no deletion calls it off (restarted 0.41 s after one: `pods_killed_leaver.txt`).
    async fn wait_to_restart(&self, restarts: u32, ended: Ended, back_off: Duration) -> bool {
        let pause = self.shared.settings.timing.restart;
        let at_it = pause / 2;
        if !self.pass(pause.saturating_sub(at_it)).await {
            return false;
        }
        sleep(at_it).await;
        if back_off <= pause {
            return true;
        }
        let now = self.shared.now();
        self.edit(|pod| status::backing_off(pod, restarts, ended, now));
        self.pass(back_off.saturating_sub(pause)).await
    }

    /// Runs the hook, stops what runs, then gives back the disk.
    async fn tear_down(&self, place: &Place, running_since: Option<Time>) {
        if let Some(started) = running_since {
            let code = self.stop().await;
            let ended = Ended { code, started, finished: self.shared.now() };
            self.edit(|pod| {
                let restarts = number(pod, "/status/containerStatuses/0/restartCount").unwrap_or(0);
                status::ended(pod, u32::try_from(restarts).unwrap_or(0), ended, ended.finished);
            });
        }
        sleep(self.shared.settings.timing.remove).await;
        self.node.unmount(place.disk.volume());
        if let Disk::Own(volume) = &place.disk {
            self.shared.containers.delete_volume(volume);
        }
    }

    /// Hook, SIGTERM, SIGKILL; answers the exit code.
    async fn stop(&self) -> i32 {
        let began = self.shared.now();
        // Of a pod that was removed by force there is no grace left to read.
        let seconds = self.object().and_then(|pod| number(&pod, "/metadata/deletionGracePeriodSeconds"));
        let grace = Duration::from_secs(u64::try_from(seconds.unwrap_or(0)).unwrap_or(0));
        tokio::select! {
            () = self.pre_stop(grace) => {}
            _ = self.shared.containers.exited(&self.key.name) => {}
            // The probe goes on: a terminating pod may still be serving.
            never = probe::keep(self) => match never {},
        }
        let left = grace.saturating_sub(self.shared.now().since(began));
        let left = if grace.is_zero() { grace } else { left.max(GRACE_MIN) };
        self.shared.containers.stop(&self.key.name, left).await;
        self.shared.containers.exited(&self.key.name).now_or_never().unwrap_or(0)
    }

    /// Runs the preStop hook, no longer than the grace. Its failure is an event
    /// and nothing else.
    async fn pre_stop(&self, grace: Duration) {
        let Some(argv) = self.object().and_then(|pod| spec::pre_stop(&pod)) else { return };
        let run = self.shared.containers.exec(&self.key.name, argv);
        let message = match timeout(grace, run).await {
            Ok(output) if output.code == 0 => return,
            Ok(output) => {
                format!("PreStopHook failed: exit code {}: {}{}", output.code, output.stdout, output.stderr)
            }
            Err(_) => "PreStopHook not completed in grace period".to_owned(),
        };
        self.tell("FailedPreStopHook", &message);
    }

    /// A warning about the pod.
    fn tell(&self, reason: &str, message: &str) {
        let mut store = self.shared.store();
        let (now, name) = (rfc3339(store.now()), &self.key.name);
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": message,
            "metadata": {"name": format!("{name}.{:016x}", store.revision()), "namespace": self.key.namespace},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": self.uid,
                               "namespace": self.key.namespace},
            "source": {"component": "kubelet", "host": "simulator"},
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        drop(store.create(event));
    }

    /// Removes the object, if it is still there.
    fn remove(&self) {
        let how = Deletion { uid: Some(self.uid.clone()), grace: Some(0), ..Deletion::default() };
        drop(self.shared.store().delete(&self.key, &how));
    }
}
