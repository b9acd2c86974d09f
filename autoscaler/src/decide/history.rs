//! What the decision remembers between two reconciles. Serialized into our status,
//! so that a restart forgets nothing; every list here is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::Time;
use serde::{Deserialize, Serialize};

use super::policy::CHURN_PERIOD_MAX;

/// Wishes are remembered on this grid: a status that changes with every reconcile
/// would be written with every reconcile. Rounded up for lowering, so that a high
/// wish is never forgotten early; rounded down for raising, which is not to be late.
pub(super) const GRID: Duration = Duration::from_secs(10);

/// A pause between two reconciles that is longer counts as time in which nothing
/// was known: reconciles are seconds apart.
pub(super) const GAP_MAX: Duration = Duration::from_mins(1);

/// Leaves that are remembered: the largest budget (100) and some more.
const LEAVES_MAX: usize = 128;
/// Changes of size that are remembered: one in half a minute for half an hour,
/// the longest period of a policy.
const CHANGES_MAX: usize = 64;
/// Longest period of a policy (`autoscaling/v2`).
const CHANGES_FOR: Duration = Duration::from_mins(30);

/// Memory of the decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct History {
    /// Wishes that still count for lowering: falling in size, for a larger and
    /// later one outlives every smaller and earlier one. At most one a size.
    pub highest: Vec<Wish>,
    /// Wishes that still count for raising: rising in size, likewise.
    pub lowest: Vec<Wish>,
    /// Leaves and cancelled drains.
    pub leaves: Vec<Time>,
    /// Changes of `spec.replicas`.
    pub changes: Vec<Change>,
    /// `spec.replicas` of the last reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// The alarm, while it is counted or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
    /// The wish from outside, and the load that it was made for; none where metrics hold a fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<Stated>,
    /// Metric → since when one node is hot while the average is fine.
    pub skewed_since: BTreeMap<String, Time>,
    /// Metric → since when two sources are apart.
    pub apart_since: BTreeMap<String, Time>,
    /// Metric → since when no member that answers has a value of it.
    pub unmeasured_since: BTreeMap<String, Time>,
}

/// A wish of some reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Last time that it was wished, on the grid.
    pub at: Time,
    /// Nodes.
    pub size: u32,
}

/// A change of `spec.replicas`, whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it was seen.
    pub at: Time,
    /// New minus old number.
    pub by: i32,
}

/// A short window far above the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Rounds of samples in a row that were high.
    pub samples: u32,
    /// When the last of them was heard from the node that was heard longest ago.
    pub heard: Time,
    /// It is panic until then; none while it is only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Largest wish since it began.
    pub size: u32,
}

impl History {
    /// Notes a leave or a cancelled drain: they count against the
    /// churn budget. To be called by whoever saw it through.
    pub fn note_leave(&mut self, at: Time) {
        self.leaves.push(at);
        self.leaves.sort_unstable();
        let surplus = self.leaves.len().saturating_sub(LEAVES_MAX);
        self.leaves.drain(..surplus);
    }

    /// Leaves of the last `per`.
    pub fn leaves_within(&self, per: Duration, now: Time) -> usize {
        self.leaves.iter().filter(|at| now.since(**at) < per).count()
    }

    /// The time of the last reconcile, rounded up to the grid.
    pub fn last_reconcile(&self) -> Option<Time> {
        self.highest.last().map(|wish| wish.at)
    }

    /// Notes the wish of this reconcile.
    pub(super) fn note_wish(&mut self, size: u32, now: Time) {
        let grid = u64::try_from(GRID.as_millis()).unwrap_or(u64::MAX);
        self.highest.retain(|have| have.size > size);
        self.highest.push(Wish { at: Time(now.0.div_ceil(grid) * grid), size });
        self.lowest.retain(|have| have.size < size);
        self.lowest.push(Wish { at: Time(now.0 / grid * grid), size });
    }

    /// Notes the size of this reconcile and forgets what no rule can ask for any more.
    pub(super) fn note_size(&mut self, replicas: u32, keep_wishes: Duration, now: Time) {
        if let Some(before) = self.replicas.replace(replicas)
            && before != replicas
        {
            let by = i64::from(replicas) - i64::from(before);
            self.changes.push(Change { at: now, by: i32::try_from(by).unwrap_or_default() });
        }
        self.changes.retain(|change| now.since(change.at) <= CHANGES_FOR);
        let surplus = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..surplus);
        self.leaves.retain(|at| now.since(*at) <= CHURN_PERIOD_MAX);
        self.highest.retain(|wish| now.since(wish.at) <= keep_wishes);
        self.lowest.retain(|wish| now.since(wish.at) <= keep_wishes);
    }
}

/// Load of one node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Clients that are connected.
    pub connections: f64,
    /// Messages that come in a second.
    pub publishes: f64,
}

/// A wish from outside, and what it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stated {
    /// The wish, inside min and max.
    pub size: u32,
    /// When it was first seen.
    pub at: Time,
    /// When it was last seen to stand, within a minute.
    pub seen: Time,
    /// It was made while nobody looked.
    pub unseen: bool,
    /// What each of so many nodes would carry of the load that it was made for; of a load that nobody knows, what
    /// each node carries that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Load>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Time {
        Time(seconds * 1_000)
    }

    #[test]
    fn a_later_and_larger_wish_outlives_the_others() {
        let mut history = History::default();
        for (second, size) in [(0, 5), (10, 3), (20, 4), (30, 2)] {
            history.note_wish(size, at(second));
        }
        let sizes = |wishes: &[Wish]| wishes.iter().map(|w| (w.at.0 / 1_000, w.size)).collect::<Vec<_>>();
        assert_eq!(sizes(&history.highest), [(0, 5), (20, 4), (30, 2)]);
        assert_eq!(sizes(&history.lowest), [(30, 2)]);
    }

    #[test]
    fn the_same_wish_changes_nothing_within_the_grid() {
        let mut history = History::default();
        history.note_wish(3, at(11));
        let before = history.clone();
        history.note_wish(3, at(19));
        assert_eq!(history, before);
        assert_eq!(history.last_reconcile(), Some(at(20)));
    }

    #[test]
    fn wishes_that_no_window_asks_for_are_forgotten() {
        let mut history = History::default();
        history.note_wish(9, at(0));
        history.note_wish(3, at(300));
        history.note_size(3, Duration::from_mins(10), at(601));
        assert_eq!((history.highest.len(), history.highest[0].size), (1, 3));
    }

    #[test]
    fn leaves_are_bounded_and_the_newest_stay() {
        let mut history = History::default();
        (0..1_000).for_each(|n| history.note_leave(at(n)));
        assert_eq!(history.leaves.len(), LEAVES_MAX);
        assert_eq!(history.leaves.last(), Some(&at(999)));
        assert_eq!(history.leaves_within(Duration::from_secs(10), at(1_000)), 9);
    }

    #[test]
    fn changes_of_size_are_noted_whoever_made_them() {
        let mut history = History::default();
        for (second, replicas) in [(0, 3), (1, 3), (2, 5), (3, 4)] {
            history.note_size(replicas, Duration::ZERO, at(second));
        }
        assert_eq!(history.changes.iter().map(|c| c.by).collect::<Vec<_>>(), [2, -1]);
        history.note_size(4, Duration::ZERO, at(3_000));
        assert!(history.changes.is_empty());
    }
}
