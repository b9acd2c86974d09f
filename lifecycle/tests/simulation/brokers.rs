//! The brokers: joining, leaving, views that lag.

use std::collections::BTreeMap;

use lifecycle::{Call, NodeName};

use crate::cluster::{Cluster, Disk, PodListener, Process, Trouble};

/// A leave that somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct LeaveCall {
    pub(crate) target: u32,
    pub(crate) asked: u64,
    pub(crate) begun: bool,
    pub(crate) connected: bool,
}

pub(crate) fn name(ordinal: u32) -> NodeName {
    NodeName(format!("VerneMQ@vmq-{ordinal}"))
}

pub(crate) fn ordinal(name: &NodeName) -> u32 {
    name.0.rsplit('-').next().unwrap().parse().unwrap()
}

impl Cluster {
    /// A fresh node joins a second after its start, if a member runs.
    pub(crate) fn join(&mut self) {
        let fresh: Vec<u32> =
            self.pods.iter().filter(|(_, p)| p.disk == Disk::Fresh).map(|(o, _)| *o).collect();
        for ordinal in fresh {
            let up = self.up_for(ordinal).is_some_and(|time| time >= self.ways.join);
            let up = up && !(ordinal == 2 && self.trouble == Some(Trouble::Alone));
            let mut others = self.members.keys().filter(|m| **m != ordinal);
            let peer = others.clone().next().is_none() || others.any(|m| self.running(*m));
            if up && peer {
                // One that lost its data without leaving was listed all the while.
                self.members.entry(ordinal).or_insert(self.now);
                self.removed.remove(&ordinal);
                self.pods.get_mut(&ordinal).unwrap().disk = Disk::Member;
            }
        }
    }

    /// `cluster show` of a node: removals and joins reach each one in its own time.
    pub(crate) fn view(&self, viewer: u32) -> BTreeMap<NodeName, bool> {
        let own = BTreeMap::from([(name(viewer), true)]);
        if self.pods[&viewer].disk != Disk::Member {
            return own;
        }
        let lag = 300 * u64::from(viewer + 1);
        let listed = self.members.iter().filter(|(m, since)| viewer == **m || self.now >= **since + lag);
        let gone = self.removed.iter().filter(|(_, when)| self.now < **when + lag);
        let listed = listed.chain(gone).map(|(m, _)| (name(*m), self.running(*m)));
        own.into_iter().chain(listed).collect()
    }

    pub(crate) fn ask_leave(&mut self, target: u32) {
        if self.leave.as_ref().is_some_and(|leave| leave.target == target && leave.begun) {
            self.calls.leave = Call::Answered("Unknown error: noproc".into());
        } else if !self.members.contains_key(&target) {
            // The broker says so to any name that is no member (docs/broker/leave.md, "What Done means").
            self.calls.leave = Call::Answered("Done".into());
        } else {
            self.leave = Some(LeaveCall { target, asked: self.now, begun: false, connected: true });
            self.calls.leave = Call::InFlight;
        }
    }

    pub(crate) fn leaving(&mut self) {
        let Some(leave) = self.leave.clone() else { return };
        if leave.connected && self.now >= leave.asked + 60_000 {
            self.reply(Call::Unknown("end of file after 60 s".into()));
            self.close();
        }
        let Some(leave) = self.leave.clone() else { return };
        if self.up_for(leave.target).is_none() {
            self.reply(Call::Unknown("end of file".into()));
            self.leave = None;
            // As seen of one that was deleted in its leave (pods_delete_in_leave.txt).
            if leave.begun && self.ways.term_fires && self.members.remove(&leave.target).is_some() {
                self.removed.insert(leave.target, self.now);
                if let Some(pod) = self.pods.get_mut(&leave.target) {
                    pod.disk = Disk::Left;
                }
            }
        } else if !leave.begun {
            if self.all_running() {
                self.leave.as_mut().unwrap().begun = true;
                let pod = self.pods.get_mut(&leave.target).unwrap();
                pod.listener = PodListener::Deleted;
                (pod.queues, pod.online) = (pod.queues + pod.online, 0);
            }
        } else if self.now >= self.stuck_until {
            self.migrate(leave.target);
        }
    }

    fn migrate(&mut self, target: u32) {
        let pod = self.pods.get_mut(&target).unwrap();
        pod.queues = (pod.queues - 2).max(0);
        if pod.queues > 0 {
            return;
        }
        pod.disk = Disk::Left;
        // The process stops by itself; kubelet starts it again without back-off
        // (docs/broker/kubernetes.md, "Restarts by kubelet").
        pod.process = Process::Down { back: self.now + 1_000 };
        self.members.remove(&target);
        self.removed.insert(target, self.now);
        self.reply(Call::Answered("Migrated 1/1 queues\nDone\n".into()));
        self.leave = None;
    }
}
