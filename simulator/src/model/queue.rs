//! A client's queue on a node, online or not, and the messages in it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use lifecycle::Time;

use super::{ConnId, DeliveryId, Protocol};

/// A client: its id, and the mountpoint in which it is known by that, with its place in the broker's queue table,
/// whose order is that of a hash and always the same (`disconnect_semantics.txt`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientKey {
    hash: u64,
    /// Mountpoint; empty for the broker's own.
    pub(super) mountpoint: Arc<str>,
    /// Client id.
    pub(super) id: Arc<str>,
}

impl ClientKey {
    pub(super) fn new(mountpoint: &str, id: &str) -> Self {
        // FNV-1a and a last mix: the broker's own hash is not known here, and this beginning puts the ids of the
        // recording into rows that explain whom each `batch` met.
        let hash = mountpoint
            .bytes()
            .chain(id.bytes())
            .fold(0xcbf2_9ce4_8422_2884_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { hash, mountpoint: mountpoint.into(), id: id.into() }
    }
}

/// A published message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: Arc<str>,
    pub(super) payload: Bytes,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// A message for one client.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) message: Arc<Message>,
    /// The lower of the message's and the subscription's.
    pub(super) qos: u8,
    /// Retain flag of the delivery: set for those found at a SUBSCRIBE.
    pub(super) retain: bool,
    /// It was sent before.
    pub(super) dup: bool,
}

/// A queue process.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) protocol: Protocol,
    pub(super) persistent: bool,
    /// The connection that it feeds.
    pub(super) conn: Option<ConnId>,
    /// Behind those in flight; bounded by `max_online_messages` and `max_offline_messages`.
    pub(super) waiting: VecDeque<Stored>,
    /// Sent, not acknowledged; bounded by `max_inflight`.
    pub(super) inflight: VecDeque<(DeliveryId, Stored)>,
    /// State `drain`: pulled away by another node, until then still listed.
    pub(super) drain_until: Option<Time>,
    /// The next message of QoS 1 or 2 that comes while it is pulled away is lost.
    pub(super) losing: bool,
    /// A session process that survives its connection.
    pub(super) pinned: bool,
    /// Cannot be migrated.
    pub(super) stuck: bool,
    /// For `session show`.
    pub(super) started: Time,
}

impl Queue {
    pub(super) fn new(protocol: Protocol, persistent: bool, started: Time) -> Self {
        Self {
            protocol,
            persistent,
            conn: None,
            waiting: VecDeque::new(),
            inflight: VecDeque::new(),
            drain_until: None,
            losing: false,
            pinned: false,
            stuck: false,
            started,
        }
    }

    /// State name of `session show`.
    pub(super) fn state(&self) -> &'static str {
        match (self.conn, self.drain_until) {
            (_, Some(_)) => "drain",
            (Some(_), None) => "online",
            (None, None) => "offline",
        }
    }

    /// Messages in it, those in flight included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.inflight.len()
    }

    /// Puts what is in flight back to the front, to be sent again as duplicates.
    pub(super) fn take_back(&mut self) {
        while let Some((_, mut stored)) = self.inflight.pop_back() {
            stored.dup = true;
            self.waiting.push_front(stored);
        }
    }

    /// Appends all messages of `other`.
    pub(super) fn append(&mut self, mut other: Self) {
        other.take_back();
        self.waiting.append(&mut other.waiting);
    }
}
