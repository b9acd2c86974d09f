//! A toy cluster: just enough of Kubernetes and of VerneMQ to break a careless lifecycle.

use std::collections::BTreeMap;

use lifecycle::{Call, Calls, Time};

use crate::brokers::LeaveCall;

/// Length of a tick of the cluster, ms.
pub(crate) const TICK: u64 = 100;

/// What a broker's data directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Fresh,
    Member,
    /// Data of a node that has left: starts as a healthy cluster of one
    /// (docs/broker/join.md, "A node that has left").
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Down { back: u64 },
    Up { since: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodListener {
    Running,
    Suspended,
    Deleted,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) serving: Option<bool>,
    pub(crate) routed: bool,
    pub(crate) reroute: u64,
    pub(crate) deleting: Option<u64>,
    pub(crate) restarts: u32,
    pub(crate) process: Process,
    pub(crate) unready_until: u64,
    pub(crate) listener: PodListener,
    pub(crate) online: i64,
    pub(crate) queues: i64,
    pub(crate) disk: Disk,
    /// Its SIGTERM came while its container was being started, and was lost: it runs to the end of its grace.
    pub(crate) deaf: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) uid: String,
    pub(crate) deleting: bool,
    pub(crate) disk: Disk,
}

/// The truth.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: u64,
    pub(crate) uids: u32,
    pub(crate) replicas: u32,
    pub(crate) pods: BTreeMap<u32, Pod>,
    pub(crate) claims: BTreeMap<u32, Claim>,
    /// Members, and since when.
    pub(crate) members: BTreeMap<u32, u64>,
    /// Nodes that have left, and when.
    pub(crate) removed: BTreeMap<u32, u64>,
    pub(crate) leave: Option<LeaveCall>,
    pub(crate) calls: Calls,
    pub(crate) volumes: bool,
    pub(crate) exec: bool,
    // Faults.
    pub(crate) blind: BTreeMap<u32, u64>,
    pub(crate) rollout_until: u64,
    pub(crate) kube_refuses_until: u64,
    pub(crate) stale_until: u64,
    pub(crate) lose_reply: bool,
    pub(crate) stuck_until: u64,
    pub(crate) pod_end: u64,
    /// Since when a wanted pod is missing.
    pub(crate) missing: Option<u64>,
    pub(crate) touched: Option<Time>,
    /// Nobody runs the controller.
    pub(crate) nobody_until: u64,
    /// Of the pod of ordinal 2.
    pub(crate) trouble: Option<Trouble>,
    /// How the cluster answers where a pod is taken away in the middle.
    pub(crate) ways: Ways,
}

/// What differs from cluster to cluster where a pod is taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    /// A missing pod is made so long after it is gone.
    pub(crate) remake: u64,
    /// From the start of a fresh node to its join.
    pub(crate) join: u64,
    /// A leave that has begun is ended by the leaver's SIGTERM, as seen; else the end of its process undoes it.
    pub(crate) term_fires: bool,
}

/// What keeps a newcomer from coming to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its pod is never made: a quota, a StatefulSet that stands still.
    Unmade,
    /// A member whose probe never says yes.
    Unready,
    /// A cluster of one: a client reached it first (`join_refused_after_client_on_newcomer.txt`).
    Alone,
    /// Its counts never agree.
    Behind,
    /// No message crosses.
    Unheard,
}

/// Grace of a pod, ms.
pub(crate) const GRACE: u64 = 60_000;

impl Cluster {
    /// A quiet cluster of `size` nodes with 30 sessions each.
    pub(crate) fn new(size: u32, volumes: bool, exec: bool) -> Self {
        let mut cluster = Self {
            now: 1_000_000,
            uids: 0,
            replicas: size,
            pods: BTreeMap::new(),
            claims: BTreeMap::new(),
            members: BTreeMap::new(),
            removed: BTreeMap::new(),
            leave: None,
            calls: Calls::default(),
            volumes,
            exec,
            blind: BTreeMap::new(),
            rollout_until: 0,
            kube_refuses_until: 0,
            stale_until: 0,
            lose_reply: false,
            stuck_until: 0,
            pod_end: 3_000,
            missing: None,
            touched: None,
            nobody_until: 0,
            trouble: None,
            ways: Ways { remake: 0, join: 1_000, term_fires: false },
        };
        for ordinal in 0..size {
            cluster.create(ordinal);
            cluster.members.insert(ordinal, 0);
            let pod = cluster.pods.get_mut(&ordinal).unwrap();
            (pod.disk, pod.process) = (Disk::Member, Process::Up { since: 0 });
            (pod.routed, pod.online) = (true, 30);
        }
        cluster
    }

    pub(crate) fn time(&self) -> Time {
        Time(self.now)
    }

    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{}", self.uids)
    }

    pub(crate) fn up_for(&self, ordinal: u32) -> Option<u64> {
        match self.pods.get(&ordinal)?.process {
            Process::Up { since } => Some(self.now - since),
            Process::Down { .. } => None,
        }
    }

    /// A member that the others list as running.
    pub(crate) fn running(&self, ordinal: u32) -> bool {
        self.members.contains_key(&ordinal)
            && self.pods.get(&ordinal).is_some_and(|pod| pod.disk == Disk::Member)
            && self.up_for(ordinal).is_some_and(|time| time >= 500)
    }

    pub(crate) fn all_running(&self) -> bool {
        self.members.keys().all(|ordinal| self.running(*ordinal))
    }

    pub(crate) fn ready(&self, ordinal: u32) -> bool {
        let calm = self.pods.get(&ordinal).is_some_and(|pod| pod.unready_until <= self.now);
        let well = ordinal != 2 || self.trouble != Some(Trouble::Unready);
        calm && well && self.up_for(ordinal).is_some_and(|time| time >= 2_000)
    }

    /// The controller dies and comes back: it knows of no call, and its connections are closed.
    pub(crate) fn crash(&mut self) {
        self.calls = Calls::default();
        self.close();
    }

    /// Closing the connection revokes a leave over HTTP that has not begun; with exec it stays armed.
    pub(crate) fn close(&mut self) {
        if let Some(leave) = &mut self.leave {
            leave.connected = false;
            if !leave.begun && !self.exec {
                self.leave = None;
            }
        }
    }

    pub(crate) fn reply(&mut self, call: Call) {
        if self.leave.as_ref().is_some_and(|leave| leave.connected) {
            let lost = std::mem::take(&mut self.lose_reply);
            self.calls.leave = if lost { Call::Unknown("connection reset".into()) } else { call };
        }
    }

    /// One tick of everything.
    pub(crate) fn tick(&mut self) {
        self.now += TICK;
        self.statefulset();
        self.kubelet();
        self.join();
        self.endpoints();
        self.leaving();
    }
}
