//! The half of an MQTT connection that the model's events reach: bytes that
//! wait for the socket, and the packet ids of the deliveries in flight.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::{
    model::{CloseReason, DeliveryId, Protocol, Refusal},
    node::wire::{self, Outgoing, Version},
};

/// Bytes that may wait for a client that does not read. Above it QoS 0 is
/// thrown away, as the broker's own queues do, and the client's packets stay
/// unread. QoS 1 and 2 are bounded by the 20 in flight.
const OUT_LIMIT: usize = 4 * 1024 * 1024;

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    version: Version,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    out: BytesMut,
    accepted: bool,
    closing: bool,
    last_pkid: u16,
    in_flight: HashMap<u16, DeliveryId>,
}

/// What the connection's task finds when it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// CONNACK with success is written.
    pub(crate) accepted: bool,
    /// No packet will follow: write what is there, then close.
    pub(crate) closing: bool,
    /// So much waits to be written that the client's own packets should wait too.
    pub(crate) clogged: bool,
}

impl Conn {
    pub(crate) fn new(version: Version) -> Self {
        Self { version, state: Mutex::default(), wake: Notify::new() }
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write or the connection is to close.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Moves what waits to `pending` once that is written: until then it stays
    /// here, where [`OUT_LIMIT`] sees it.
    pub(crate) fn take(&self, pending: &mut BytesMut) -> Look {
        let mut state = self.state();
        if pending.is_empty() {
            std::mem::swap(pending, &mut state.out);
        }
        Look { accepted: state.accepted, closing: state.closing, clogged: state.out.len() > OUT_LIMIT }
    }

    /// Moves all that waits behind `pending`: the last words of a connection.
    pub(crate) fn take_rest(&self, pending: &mut BytesMut) {
        pending.unsplit(self.state().out.split());
    }

    /// Writes an answer of the connection's own task, which looks afterwards anyway.
    pub(crate) fn answer(&self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.state().out);
    }

    /// The delivery that a PUBACK, a refusing PUBREC or a PUBCOMP ends.
    pub(crate) fn completed(&self, pkid: u16) -> Option<DeliveryId> {
        self.state().in_flight.remove(&pkid)
    }

    pub(crate) fn connack(&self, session_present: bool) {
        let mut state = self.state();
        wire::connack(self.version, session_present, 0, &mut state.out);
        state.accepted = true;
        self.wake.notify_one();
    }

    pub(crate) fn refuse(&self, reason: Refusal) {
        let protocol = match self.version {
            Version::V4 => Protocol::V4,
            Version::V5 => Protocol::V5,
        };
        let mut state = self.state();
        wire::connack(self.version, false, reason.code(protocol), &mut state.out);
        state.closing = true;
        self.wake.notify_one();
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        let mut state = self.state();
        let code = match reason {
            CloseReason::Plain => None,
            CloseReason::Administrative => Some(0x98),
            CloseReason::TakenOver => Some(0x8E),
            CloseReason::NodeStopped => Some(0),
        };
        if let Some(code) = code.filter(|_| self.version == Version::V5 && state.accepted) {
            wire::disconnect(code, &mut state.out);
        }
        state.closing = true;
        self.wake.notify_one();
    }

    /// Writes a delivery. False where it was thrown away.
    pub(crate) fn deliver(&self, delivery: DeliveryId, message: &Message<'_>) -> bool {
        let mut state = self.state();
        if message.qos == 0 && state.out.len() > OUT_LIMIT {
            return false;
        }
        let pkid = if message.qos == 0 { 0 } else { state.next_pkid(delivery) };
        let &Message { topic, payload, qos, retain, dup } = message;
        wire::publish(self.version, Outgoing { topic, payload, qos, retain, dup, pkid }, &mut state.out);
        self.wake.notify_one();
        true
    }
}

/// A message on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
}

impl State {
    /// The next packet id that is free. One is: the model keeps 20 in flight.
    fn next_pkid(&mut self, delivery: DeliveryId) -> u16 {
        loop {
            self.last_pkid = self.last_pkid.checked_add(1).unwrap_or(1);
            if let std::collections::hash_map::Entry::Vacant(free) = self.in_flight.entry(self.last_pkid) {
                free.insert(delivery);
                return self.last_pkid;
            }
        }
    }
}
