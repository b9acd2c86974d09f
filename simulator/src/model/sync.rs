//! The replicated metadata (`vmq_swc`): ten groups that a newcomer gets one after the other, what each node counts
//! of them, and what it cannot route before it has them (`join_sync_2.1.2.txt`, `join_sync_2.2.0.txt`).

use std::time::Duration;

use lifecycle::Time;

use super::metric_table::GROUPS;
use super::node::{Groups, Ix, Joining};
use super::queue::ClientKey;
use super::store::StoreId;
use super::{Answer, ClusterModel};

/// Number of groups.
const ALL: usize = GROUPS.len();

/// The times of the groups, evenly from the first to the last (`join_under_load.txt`: 3,000 subscriptions come by
/// some 300 every 0.1 to 0.5 s).
pub(super) fn groups(first: Time, last: Time) -> Groups {
    let span = last.since(first);
    std::array::from_fn(|nth| {
        let part = u32::try_from(nth).unwrap_or(u32::MAX);
        first + span * part / u32::try_from(ALL - 1).unwrap_or(1)
    })
}

/// The group of an object, by its name (FNV-1a): as good as the broker's own hash, which no recording shows.
fn group_of(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % ALL as u64).unwrap_or(0)
}

/// A tenth of what there is; the last takes what is over.
fn share(all: i64, nth: usize) -> i64 {
    let part = all / 10;
    if nth + 1 == ALL { all - 9 * part } else { part }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl ClusterModel {
    fn joining(&self, ix: Ix) -> Option<&Joining> {
        self.nodes[ix.0].joining.as_ref()
    }

    /// A node has the group of this object.
    pub(super) fn has(&self, ix: Ix, object: &str) -> bool {
        self.has_group(ix, group_of(object))
    }

    fn has_group(&self, ix: Ix, nth: usize) -> bool {
        self.joining(ix).is_none_or(|joining| self.now >= joining.groups[nth])
    }

    /// A node knows where this client's messages go. Clients that came after it joined are told to it as events: a
    /// message that reaches one of them proves nothing about the others (docs/broker/join.md, "In step").
    pub(super) fn knows(&self, ix: Ix, key: &ClientKey) -> bool {
        let Some(joining) = self.joining(ix) else { return true };
        let record = self.store(self.nodes[ix.0].disk.store).clients.get(key);
        self.has(ix, &key.id) || record.is_some_and(|record| record.since >= joining.since)
    }

    /// `node swc_sync_status`.
    pub(super) fn swc_sync_status(&self, ix: Ix) -> Answer {
        let node = &self.nodes[ix.0];
        let row = |(nth, group): (usize, &&str)| {
            let exchanged = node.exchanged.is_some_and(|groups| self.now >= groups[nth]);
            let synced = exchanged || node.host.version.init_synced_always();
            vec![("SWC Partition".into(), (*group).into()), ("InitSynced".into(), synced.into())]
        };
        Answer::Table(GROUPS.iter().enumerate().map(row).collect())
    }

    /// Gauges that have a line a group. `swc_object_count` counts the deleted as well, as long as their tombstone is
    /// kept; what is left without them is equal on all nodes that are in step.
    pub(super) fn of_group(&self, ix: Ix, family: &str, nth: usize) -> i64 {
        let store = self.store(self.nodes[ix.0].disk.store);
        // All API keys together are one (`claims_2.1.2.txt`; vmq_config:set_global_env/4 writes the list).
        let keys = usize::from(!store.keys.is_empty());
        let objects = number(store.clients.len() + store.retained.len() + keys);
        let live = if self.has_group(ix, nth) { share(objects, nth) } else { 0 };
        let tombstones = share(self.tombstones(ix), nth);
        match family {
            "swc_object_count" => live + tombstones,
            "swc_tombstone_count" => tombstones,
            // `metrics_n1_after_load.prom`: 915 without an object.
            "swc_dotkeymap_memory" => 915 + 20 * live,
            _ => 0,
        }
    }

    /// Tombstones that a node keeps: each collects them in its own time, and a newcomer has no old ones.
    fn tombstones(&self, ix: Ix) -> i64 {
        let node = &self.nodes[ix.0];
        let since = node.joining.map_or(Time(0), |joining| joining.since);
        let kept = |at: &&Time| **at >= since && self.now < **at + self.keeps_tombstones(ix);
        number(self.store(node.disk.store).deleted.iter().filter(kept).count())
    }

    fn keeps_tombstones(&self, ix: Ix) -> Duration {
        let spread = self.settings.timing.tombstone;
        let width = spread.max.saturating_sub(spread.min).saturating_add(1);
        let own = self.settings.seed.wrapping_add(ix.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        Duration::from_millis(spread.min + own % width)
    }

    /// Forgets a client and its subscriptions.
    pub(super) fn forget_client(&mut self, store: StoreId, key: &ClientKey) {
        if self.store_mut(store).forget(key) {
            self.note_deletion(store);
        }
    }

    /// An object of a store was deleted.
    pub(super) fn note_deletion(&mut self, store: StoreId) {
        let (now, kept) = (self.now, Duration::from_millis(self.settings.timing.tombstone.max));
        let deleted = &mut self.store_mut(store).deleted;
        while deleted.front().is_some_and(|at| *at + kept <= now) {
            deleted.pop_front();
        }
        deleted.push_back(now);
    }

    /// `router_subscriptions` and `num_subscriptions`: rows of the node's own trie, as far as it has heard
    /// (`join_under_load.txt`). Nodes differ for ever where two of them share a filter
    /// (`num_subscriptions_not_comparable.txt`).
    pub(super) fn subscriptions_seen(&self, ix: Ix) -> i64 {
        let node = &self.nodes[ix.0];
        let filters = &self.store(node.disk.store).filters;
        let (local, foreign) = filters.subscriptions(ix);
        let mut foreign = self.synced(ix, foreign);
        for member in &node.disk.view {
            let late = self.joining(*member).is_some_and(|joining| self.now < joining.own_subs);
            if *member != ix && late {
                foreign -= filters.only_at(*member);
            }
        }
        local + foreign.max(0)
    }

    /// `retain_messages`, as far as the node has heard.
    pub(super) fn retained_seen(&self, ix: Ix) -> i64 {
        self.synced(ix, number(self.store(self.nodes[ix.0].disk.store).retained.len()))
    }

    /// What a node has of something that the groups share evenly.
    fn synced(&self, ix: Ix, all: i64) -> i64 {
        (0..ALL).filter(|nth| self.has_group(ix, *nth)).map(|nth| share(all, nth)).sum()
    }
}
