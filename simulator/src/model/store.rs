//! The metadata that the members of a cluster share: who is subscribed where,
//! retained messages, API keys. A node that has left or was removed keeps a
//! copy of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lifecycle::Time;

use super::filter_tree::{FilterTree, Subscriber};
use super::node::Ix;
use super::queue::{ClientKey, Message};

/// Which store a node's disk belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreId(pub(super) u64);

/// What the cluster knows of a client.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Node that holds its queue.
    pub(super) home: Ix,
    /// It outlives its connection.
    pub(super) persistent: bool,
    /// Filters and granted QoS.
    pub(super) filters: BTreeMap<Arc<str>, u8>,
    /// When it was made.
    pub(super) since: Time,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key: String,
    pub(super) scope: String,
}

/// Shared metadata.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) clients: BTreeMap<ClientKey, Record>,
    pub(super) filters: FilterTree,
    pub(super) retained: BTreeMap<Arc<str>, Arc<Message>>,
    pub(super) keys: Vec<Key>,
    /// When objects were deleted, as long as any node may keep the tombstone ([`super::Timing::tombstone`]): bounded by
    /// what is deleted in that time.
    pub(super) deleted: VecDeque<Time>,
    /// Microseconds until which the pulling of queues is busy
    /// (docs/broker/drain.md, "Queues that clients pull").
    pub(super) pull_free_us: u64,
}

impl Store {
    /// Moves a client's queue to `home`, and with it the routing of its messages.
    pub(super) fn rehome(&mut self, key: &ClientKey, home: Ix) {
        self.reroute(key, home);
        if let Some(record) = self.clients.get_mut(key) {
            record.home = home;
        }
    }

    /// Routes a client's messages to `home`, wherever its queue is said to be.
    pub(super) fn reroute(&mut self, key: &ClientKey, home: Ix) {
        if let Some(record) = self.clients.get(key) {
            for (filter, qos) in &record.filters {
                self.filters.insert(filter, key, Subscriber { qos: *qos, home });
            }
        }
    }

    /// Forgets a client and its subscriptions; true where there was one.
    pub(super) fn forget(&mut self, key: &ClientKey) -> bool {
        let record = self.clients.remove(key);
        if let Some(record) = &record {
            for filter in record.filters.keys() {
                self.filters.remove(filter, key);
            }
        }
        record.is_some()
    }

    /// Clients whose queue is at `home`, in table order.
    pub(super) fn clients_at(&self, home: Ix) -> Vec<ClientKey> {
        self.clients.iter().filter(|(_, r)| r.home == home).map(|(key, _)| key.clone()).collect()
    }
}
