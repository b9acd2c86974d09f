//! What the controller sees of the cluster, and what its effects do to it.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{
    Call, Counts, Effect, Facts, Groups, Listener, ListenerState, Node, Objects, Observed, Ordinal, Reach,
    Target, Time, Veto,
};

use crate::brokers::{name, ordinal};
use crate::cluster::{Cluster, Disk, PodListener, Trouble};

impl Cluster {
    pub(crate) fn facts(&self, wish: u32) -> Facts {
        let stale = Veto::unknown("NumbersStale", "no numbers");
        let uid = "set".to_owned();
        let rollout = self.now < self.rollout_until;
        Facts {
            target: Target { uid, replicas: self.replicas, rollout, deleting: false, touched: self.touched },
            pods: self.pods.keys().map(|o| (Ordinal(*o), self.pod_facts(*o))).collect(),
            missing: (0..self.replicas)
                .find(|o| !self.pods.contains_key(o))
                .zip(self.missing)
                .map(|(o, since)| (Ordinal(o), Time(since))),
            unsettled: None,
            claims: self
                .claims
                .iter()
                .map(|(o, claim)| {
                    let (name, uid) = (format!("data-vmq-{o}"), claim.uid.clone());
                    (Ordinal(*o), vec![lifecycle::Claim { name, uid, deleting: claim.deleting }])
                })
                .collect(),
            nodes: self.pods.keys().map(|o| (Ordinal(*o), self.node_facts(*o))).collect(),
            wish,
            raise_vetoes: BTreeSet::new(),
            shrink_vetoes: if self.now < self.stale_until {
                BTreeSet::from([stale])
            } else {
                BTreeSet::new()
            },
            grow_vetoes: BTreeSet::new(),
            calls: self.calls.clone(),
        }
    }

    fn pod_facts(&self, ordinal: u32) -> lifecycle::Pod {
        let pod = &self.pods[&ordinal];
        lifecycle::Pod {
            uid: pod.uid.clone(),
            ready: self.ready(ordinal),
            ready_changed: Some(Time(self.now - self.up_for(ordinal).unwrap_or(0))),
            deleting: pod.deleting.is_some(),
            serving: pod.serving,
            routed: pod.routed,
            restarts: pod.restarts,
            running: self.up_for(ordinal).is_some(),
            image: "vernemq:2.1.2".into(),
        }
    }

    fn node_facts(&self, ordinal: u32) -> Node {
        let pod = &self.pods[&ordinal];
        let blind = self.blind.get(&ordinal).is_some_and(|until| self.now < *until);
        let (reach, why) = match self.up_for(ordinal) {
            _ if blind => (Reach::Silent, Some("no answer within 2 s")),
            None | Some(..300) => (Reach::Refused, Some("connection refused")),
            Some(300..700) => (Reach::Answers, Some("HTTP 400 while booting")),
            Some(_) => (Reach::Answers, None),
        };
        if let Some(why) = why {
            return Node {
                name: Some(name(ordinal)),
                reach,
                members: Observed::Unknown(why.into()),
                listeners: Observed::Unknown(why.into()),
                counts: Observed::Unknown(why.into()),
                objects: Observed::Unknown(why.into()),
                groups: None,
                version: Observed::Unknown(why.into()),
            };
        }
        let state = match pod.listener {
            PodListener::Running => Some(ListenerState::Running),
            PodListener::Suspended => Some(ListenerState::Suspended),
            PodListener::Deleted => None,
        };
        let listener = |state| Listener { kind: "mqtt".into(), address: "0.0.0.0".into(), port: 1883, state };
        let apart = ordinal == 2 && self.trouble == Some(Trouble::Behind);
        let synced = !apart
            && pod.disk == Disk::Member
            && self.members.get(&ordinal).is_some_and(|since| self.now >= since + 8_000);
        let sessions: i64 = self.pods.values().map(|pod| pod.queues + pod.online).sum();
        let counts = Counts {
            online: pod.online,
            offline: pod.queues,
            queues: pod.queues + pod.online,
            retained: if synced { 10 } else { 0 },
        };
        Node {
            name: Some(name(ordinal)),
            reach,
            members: Observed::Seen(self.view(ordinal)),
            listeners: Observed::Seen(state.map(listener).into_iter().collect()),
            counts: Observed::Seen(counts),
            objects: Observed::Seen(Objects {
                live: Some(if synced { 10 + sessions } else { 0 }),
                at: Time(self.now),
            }),
            groups: Some(Observed::Seen(Groups { synced: if synced { 10 } else { 0 }, all: 10 })),
            version: Observed::Seen("2.1.2".into()),
        }
    }

    /// Runs one effect.
    pub(crate) fn act(&mut self, effect: &Effect) {
        let kube = self.now >= self.kube_refuses_until;
        match effect {
            Effect::LabelServing { ordinal, pod_uid, serving } if kube => {
                if let Some(pod) = self.pods.get_mut(&ordinal.0).filter(|pod| pod.uid == *pod_uid) {
                    pod.serving = Some(*serving);
                }
            }
            Effect::Suspend { target, .. } => self.suspend(ordinal(target)),
            Effect::DrainBatch { target, ids, paid, .. } => self.kick(ordinal(target), *ids, *paid),
            Effect::Leave { target, .. } => self.ask_leave(ordinal(target)),
            Effect::RevokeLeave => {
                self.close();
                self.calls.leave = Call::Unknown("closed by us".into());
            }
            Effect::Reopen { ordinal, deleted, .. } => {
                let was = if *deleted { PodListener::Deleted } else { PodListener::Suspended };
                if let Some(pod) = self.pods.get_mut(&ordinal.0).filter(|pod| pod.listener == was) {
                    pod.listener = PodListener::Running;
                }
                self.calls.reopen = Call::Answered("Done".into());
            }
            Effect::SetReplicas { uid, from, to, pod } if kube => {
                assert_eq!(uid, "set");
                let there = self.pods.get(from.min(to)).map(|pod| &pod.uid);
                if *from == self.replicas && there == pod.as_ref() {
                    self.replicas = *to;
                }
            }
            Effect::Touch { .. } if kube => self.touched = Some(Time(self.now)),
            Effect::DeletePod { ordinal, uid } if kube => {
                let now = self.now;
                if let Some(pod) = self.pods.get_mut(&ordinal.0).filter(|pod| pod.uid == *uid) {
                    pod.deleting.get_or_insert(now);
                }
            }
            Effect::DeleteClaim { uid, .. } if kube => {
                for claim in self.claims.values_mut().filter(|claim| claim.uid == *uid) {
                    claim.deleting = true;
                }
            }
            Effect::RoutingProbe { newcomer, peer } => {
                let crossed = self.trouble != Some(Trouble::Unheard)
                    && self.running(newcomer.0)
                    && self.running(peer.0)
                    && self.now >= self.members[&newcomer.0] + 7_500;
                self.calls.routing_probe = Call::Answered(if crossed { "crossed" } else { "lost" }.into());
                self.calls.routing_probe_sent = Some(Time(self.now));
            }
            Effect::LabelServing { .. }
            | Effect::SetReplicas { .. }
            | Effect::DeletePod { .. }
            | Effect::Touch { .. }
            | Effect::DeleteClaim { .. } => {}
        }
    }

    fn suspend(&mut self, target: u32) {
        let up = self.up_for(target).is_some();
        if let Some(pod) = self.pods.get_mut(&target).filter(|pod| up && pod.listener == PodListener::Running)
        {
            pod.listener = PodListener::Suspended;
        }
        self.calls.suspend = Call::Answered("Done! Use -k to teardown and migrate existing sessions!".into());
    }

    fn kick(&mut self, target: u32, ids: u32, paid: Time) {
        let Some(pod) = self.pods.get_mut(&target) else { return };
        let kicked = pod.online.min(i64::from(ids));
        (pod.online, pod.queues) = (pod.online - kicked, pod.queues + kicked);
        self.calls.drain = Call::Answered(kicked.to_string());
        self.calls.drain_paid = Some(paid);
    }

    /// The sets of ordinals that exist, for messages.
    pub(crate) fn summary(&self) -> BTreeMap<&'static str, Vec<u32>> {
        BTreeMap::from([
            ("pods", self.pods.keys().copied().collect()),
            ("members", self.members.keys().copied().collect()),
            ("claims", self.claims.keys().copied().collect()),
        ])
    }
}
