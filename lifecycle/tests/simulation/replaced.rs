//! The leaver's pod is taken away at every single point of a shrink, in every way, and made again soon or late; what
//! is made joins soon or late, or stands on old data; and the controller dies there as well. The end is a smaller,
//! whole cluster, or a person has been told what to type, and that is the end.

use std::collections::{BTreeMap, BTreeSet};

use rstest::rstest;

use crate::brokers::name;
use crate::cluster::{Cluster, Disk, Process, Ways};
use crate::drive::{Drive, Hand};

impl Cluster {
    pub(crate) fn take_away(&mut self, ordinal: u32, hand: Hand) {
        let now = self.now;
        if hand == Hand::DeleteAll
            && let Some(claim) = self.claims.get_mut(&ordinal)
        {
            claim.deleting = true;
        }
        if matches!(hand, Hand::Delete | Hand::DeleteAll) {
            if let Some(pod) = self.pods.get_mut(&ordinal) {
                pod.deleting.get_or_insert(now);
            }
            return;
        }
        if let Some(pod) = self.pods.get_mut(&ordinal) {
            pod.process = Process::Down { back: u64::MAX };
        }
        self.leaving();
        let there = self.remove(ordinal);
        if hand == Hand::Swap && self.replicas > ordinal || hand == Hand::Stale && there {
            self.create(ordinal);
        }
    }

    /// As the condition says: `vmq-admin cluster leave node=…` of a dead member, on another.
    fn remove_dead(&mut self, ordinal: u32) {
        assert!(!self.running(ordinal), "it is not dead");
        assert!(self.members.remove(&ordinal).is_some(), "it is no member");
        self.removed.insert(ordinal, self.now);
    }
}

/// Until the size is reached; types what is told where nothing else helps.
pub(crate) fn ends(drive: &mut Drive, case: &str) {
    let mut typed = false;
    let end = drive.cluster.now + 1_200_000;
    while drive.cluster.now < end {
        drive.round();
        if drive.settled() {
            return;
        }
        let dead = drive.cluster.members.contains_key(&2) && !drive.cluster.pods.contains_key(&2);
        if !typed && dead && drive.cluster.replicas == 2 && tells(drive) {
            drive.cluster.remove_dead(2);
            typed = true;
        }
    }
    panic!(
        "{case}: no end. replicas {}, {:?}, dead {:?}, {:?}, wait {:?}, {:?}",
        drive.cluster.replicas,
        drive.cluster.summary(),
        drive.cluster.pods.iter().filter(|(_, pod)| pod.disk != Disk::Member).collect::<BTreeMap<_, _>>(),
        drive.intent,
        drive.last.wait,
        drive.last.conditions
    );
}

/// What is to be typed is said.
fn tells(drive: &Drive) -> bool {
    let command = format!("vmq-admin cluster leave node={}", name(2));
    drive.last.conditions.iter().any(|told| told.reason == "VerifyFailed" && told.message.contains(&command))
}

/// When the pod is made again, when it joins (ms), and for how long nobody runs a controller that dies there.
const WORLDS: [(u64, u64, Option<u64>); 3] =
    [(0, 12_000, None), (15_000, 1_000, None), (0, 1_000, Some(70_000))];

/// Where something is done: right before it.
fn points(volumes: bool, exec: bool) -> BTreeSet<usize> {
    let mut whole = Drive::new(3, 2, volumes, exec);
    whole.settle(600);
    let points: BTreeSet<usize> = whole.firsts.values().copied().collect();
    assert!(points.len() > 12, "the change has few points: {:?}", whole.firsts);
    points
}

#[rstest]
fn a_leaver_that_is_taken_away_at_every_point(
    #[values((true, false), (false, false), (false, true))] (volumes, exec): (bool, bool),
    #[values(
        (Hand::Delete, true),
        (Hand::Delete, false),
        (Hand::DeleteAll, true),
        (Hand::Force, false),
        (Hand::Swap, false),
        (Hand::Stale, false)
    )]
    (hand, term_fires): (Hand, bool),
) {
    for point in points(volumes, exec) {
        for (remake, join, killed) in WORLDS {
            let case =
                format!("{hand:?} at {point}, made again after {remake}, joins {join}, killed {killed:?}");
            let mut drive = Drive::new(3, 2, volumes, exec);
            drive.cluster.ways = Ways { remake, join, term_fires };
            drive.strike = Some((point, 2, hand));
            if let Some(pause) = killed {
                drive.die_at = Some(point);
                while drive.points <= point {
                    drive.round();
                }
                drive.cluster.nobody_until = drive.cluster.now + pause;
            }
            ends(&mut drive, &case);
        }
    }
}
