//! The loop of a controller around `step`, and the invariants that are checked on its way.

use std::collections::BTreeMap;

use lifecycle::{Calls, Effect, Facts, Intent, Kind, Limits, Output, Step, step};

use crate::brokers::ordinal;
use crate::cluster::{Cluster, Disk, PodListener, TICK};

/// The smallest and the largest size that a wish may have here.
pub(crate) const SIZES: std::ops::RangeInclusive<u32> = 1..=5;

/// How another hand takes a pod away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// `kubectl delete pod`, an eviction, a drained machine.
    Delete,
    /// The same, and the claim with it: what is made again is fresh.
    DeleteAll,
    /// The machine is lost, or `--force --grace-period=0`: pod and process are gone at once.
    Force,
    /// The same, and the StatefulSet has made it again before anybody looks.
    Swap,
    /// The same by a StatefulSet that has not heard of the smaller size: it condemns it a moment later.
    Stale,
}

/// A controller and its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    pub(crate) cluster: Cluster,
    /// The annotation on the StatefulSet.
    pub(crate) intent: Option<Intent>,
    pub(crate) limits: Limits,
    pub(crate) wish: u32,
    /// Points at which a controller can die: before each record and after each effect.
    pub(crate) points: usize,
    /// Die at this point.
    pub(crate) die_at: Option<usize>,
    /// Another hand takes the pod of this ordinal away at this point.
    pub(crate) strike: Option<(usize, u32, Hand)>,
    /// Points at which something of its kind is done for the first time: a record, an effect.
    pub(crate) firsts: BTreeMap<String, usize>,
    /// The cluster has changed since the reconcile of this turn.
    struck: bool,
    /// What was told, by reason.
    pub(crate) told: Vec<&'static str>,
    pub(crate) last: Output,
}

impl Drive {
    pub(crate) fn new(size: u32, wish: u32, volumes: bool, exec: bool) -> Self {
        let limits = if exec { Limits::default().for_exec() } else { Limits::default() };
        Self {
            cluster: Cluster::new(size, volumes, exec),
            intent: None,
            limits,
            wish,
            points: 0,
            die_at: None,
            strike: None,
            firsts: BTreeMap::new(),
            struck: false,
            told: Vec::new(),
            last: Output::default(),
        }
    }

    /// One reconcile and what follows from it; true unless the controller died in it.
    pub(crate) fn turn(&mut self) -> bool {
        let facts = self.cluster.facts(self.wish);
        let out = step(self.intent.as_ref(), &facts, &self.limits, self.cluster.time());
        self.check_output(&out);
        self.check_beginning(&out, &facts);
        self.told.extend(out.conditions.iter().map(|condition| condition.reason));
        self.last = out.clone();
        self.struck = false;
        if out.intent != self.intent {
            self.first(&out, "record");
        }
        if self.dies() {
            return false;
        }
        let epoch = |intent: &Option<Intent>| intent.as_ref().map(|intent| intent.epoch);
        if epoch(&self.intent) != epoch(&out.intent) {
            self.cluster.calls = Calls::default();
        }
        self.intent.clone_from(&out.intent);
        for effect in &out.effects {
            self.first(&out, &format!("{effect:?}"));
            if self.dies() {
                return false;
            }
            self.check_effect(effect);
            self.cluster.act(effect);
        }
        !self.dies()
    }

    fn first(&mut self, out: &Output, what: &str) {
        let step = out.intent.as_ref().map(|intent| intent.step);
        let kind = what.split([' ', '{']).next().unwrap_or_default();
        self.firsts.entry(format!("{step:?} {kind}")).or_insert(self.points);
    }

    fn dies(&mut self) -> bool {
        if let Some((at, ordinal, hand)) = self.strike
            && at == self.points
        {
            self.struck = true;
            self.cluster.take_away(ordinal, hand);
        }
        let dead = self.die_at == Some(self.points);
        self.points += 1;
        if dead {
            self.cluster.crash();
        }
        dead
    }

    /// A turn, then time until the next one is due.
    pub(crate) fn round(&mut self) {
        if self.cluster.now >= self.cluster.nobody_until {
            self.turn();
        }
        let pause = u64::try_from(self.last.again.as_millis()).unwrap().max(TICK);
        for _ in 0..pause.div_ceil(TICK) {
            self.cluster.tick();
            self.check_world();
        }
    }

    /// I5: the wished size, all of it members, served, and nothing left over.
    pub(crate) fn settled(&self) -> bool {
        let cluster = &self.cluster;
        let all: Vec<u32> = (0..self.wish).collect();
        cluster.replicas == self.wish
            && cluster.pods.keys().copied().eq(all.iter().copied())
            && cluster.members.keys().copied().eq(all.iter().copied())
            && (!cluster.volumes || cluster.claims.keys().copied().eq(all.iter().copied()))
            && cluster.all_running()
            && cluster.pods.values().all(|pod| pod.routed && pod.listener == PodListener::Running)
            && !self.intent.as_ref().is_some_and(Intent::active)
    }

    /// Runs until settled; says what it looks like if it never is.
    pub(crate) fn settle(&mut self, seconds: u64) {
        let end = self.cluster.now + seconds * 1_000;
        while self.cluster.now < end {
            self.round();
            if self.settled() {
                return;
            }
        }
        panic!(
            "I5: not settled after {seconds} s: wish {}, replicas {}, {:?}, intent {:?}, wait {:?}, {:?}",
            self.wish,
            self.cluster.replicas,
            self.cluster.summary(),
            self.intent,
            self.last.wait,
            self.last.conditions
        );
    }

    /// I11: what is under way waits for something by name, and being late is a condition.
    fn check_output(&self, out: &Output) {
        let active = out.intent.as_ref().is_some_and(Intent::active);
        if let (true, None) = (active, &out.wait) {
            assert!(!out.conditions.is_empty(), "I11: {:?} without wait or condition", out.intent);
        }
        if let Some(wait) = &out.wait {
            let late = self.cluster.time() > wait.until;
            assert!(!late || !out.conditions.is_empty(), "I11: {wait:?} is over and nothing is said");
        }
    }

    /// I2, I3, I6: a shrink begins only from a cluster that was seen whole and is wanted smaller.
    fn check_beginning(&self, out: &Output, facts: &Facts) {
        let was = self.intent.as_ref().map_or(0, |intent| intent.epoch);
        let Some(new) = out.intent.as_ref().filter(|intent| intent.epoch > was) else { return };
        assert_eq!(new.epoch, was + 1);
        let over = out.finished.as_ref().is_some_and(|finished| finished.epoch == was);
        assert!(over || !self.intent.as_ref().is_some_and(Intent::active), "I2: two intents at once");
        if new.kind == Kind::Shrink {
            assert!(facts.shrink_vetoes.is_empty() && facts.wish < facts.target.replicas, "I6");
            assert!(facts.nodes.values().all(|node| node.members.seen().is_some()), "I6: unknown views");
            assert!(self.cluster.all_running(), "I3: a member is down");
            assert_eq!(new.ordinal.0 + 1, self.cluster.replicas);
            assert!(self.cluster.replicas > 1, "the last node must stay");
        }
    }

    fn check_effect(&self, effect: &Effect) {
        let cluster = &self.cluster;
        // Of what has changed since the reconcile, only guards can know.
        if matches!(effect, Effect::Touch { .. })
            || self.struck && !matches!(effect, Effect::SetReplicas { .. })
        {
            return;
        }
        let intent = self.intent.as_ref().expect("an effect needs a recorded intent");
        match effect {
            Effect::SetReplicas { from, to, pod, .. } => {
                assert!(SIZES.contains(to) && from.abs_diff(*to) == 1, "I7: {from} to {to}");
                // By the guard, what is there now is what was seen.
                let there = cluster.pods.get(to).filter(|there| pod.as_ref() == Some(&there.uid));
                let left = intent.stranger || there.is_none_or(|pod| pod.disk == Disk::Left);
                let holds = cluster.pods.get(to).map(|pod| &pod.uid) == pod.as_ref();
                let gone = !cluster.members.contains_key(to) && left;
                assert!(to > from || !holds || gone, "I1: {to} has not left");
            }
            Effect::Leave { target, .. } => {
                let target = ordinal(target);
                assert!(cluster.all_running(), "I3: a leave while a member is down");
                assert_eq!(intent.ordinal.0, target);
                // One that joined again while its pod ends has nothing of the first left.
                let again = intent.step == Step::PodGone && cluster.replicas <= target;
                let first = intent.step == Step::Leave && cluster.pods[&target].restarts == intent.restarts;
                assert!(again || first, "I4: a restart led to a leave");
            }
            Effect::LabelServing { ordinal, serving: true, .. } => {
                assert!(cluster.members.contains_key(&ordinal.0), "I10: ordinal {ordinal} is no member");
            }
            Effect::DeleteClaim { uid, .. } => {
                let (ordinal, _) = cluster.claims.iter().find(|(_, claim)| claim.uid == *uid).unwrap();
                assert!(!cluster.members.contains_key(ordinal), "a member's data was to be deleted");
            }
            Effect::DeletePod { ordinal, .. } => {
                assert!(!cluster.members.contains_key(&ordinal.0), "a member's pod was to be deleted");
            }
            _ => {}
        }
    }

    /// I10: no node that has left is ever served. A pod that another hand made again while our
    /// writes were refused cannot be fenced by anybody but the start hook.
    fn check_world(&self) {
        let blind = self.cluster.kube_refuses_until.max(self.cluster.nobody_until);
        let refused = self.cluster.now < blind + 2_000;
        let ours = self.intent.as_ref().and_then(|intent| intent.pod_uid.as_ref());
        for (ordinal, pod) in &self.cluster.pods {
            let out_of_reach = refused && ours != Some(&pod.uid);
            let served = pod.disk == Disk::Left && pod.routed;
            assert!(out_of_reach || !served, "I10: the isolated node of ordinal {ordinal} is served");
        }
    }
}
