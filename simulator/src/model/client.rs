//! What an MQTT client asks, and what it is told at once.

use std::net::SocketAddr;

use bytes::Bytes;

/// A connection of a client to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One sending of one message to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// MQTT version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// 3.1.1, `mqtt_version="4"` in the metrics.
    V4,
    /// 5.0.
    V5,
}

/// A CONNECT packet.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Client id; an empty one is the node's business.
    pub client_id: String,
    /// Port of the listener by which it comes; none for the first one.
    pub port: Option<u16>,
    /// Mountpoint of the listener by which it came.
    pub mountpoint: String,
    /// MQTT version.
    pub protocol: Protocol,
    /// v4: clean session. v5: clean start.
    pub clean: bool,
    /// v5: session expiry interval in seconds; a session with 0 ends with its connection. Ignored for v4.
    pub session_expiry: u32,
    /// Keep-alive in seconds, for `session show` only: expiry is the socket's business.
    pub keep_alive: u16,
    /// Last will.
    pub will: Option<Will>,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Where it comes from, for `session show`.
    pub peer: Option<SocketAddr>,
}

impl Connect {
    /// A CONNECT without user and will; a `clean` one ends with its connection,
    /// the other is kept for ever, in both versions.
    pub fn new(client_id: impl Into<String>, protocol: Protocol, clean: bool) -> Self {
        Self {
            client_id: client_id.into(),
            port: None,
            mountpoint: String::new(),
            protocol,
            clean,
            session_expiry: if clean { 0 } else { u32::MAX },
            keep_alive: 60,
            will: None,
            username: None,
            password: None,
            peer: None,
        }
    }

    /// Whether the session outlives its connection.
    pub fn persistent(&self) -> bool {
        match self.protocol {
            Protocol::V4 => !self.clean,
            Protocol::V5 => self.session_expiry > 0,
        }
    }
}

/// A last will.
#[derive(Clone, Debug)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS 0 to 2.
    pub qos: u8,
    /// Retained.
    pub retain: bool,
}

/// A filter of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Topic filter.
    pub filter: String,
    /// Highest QoS wanted.
    pub qos: u8,
}

impl Filter {
    /// A filter and its QoS.
    pub fn new(filter: impl Into<String>, qos: u8) -> Self {
        Self { filter: filter.into(), qos }
    }
}

/// A PUBLISH packet.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// QoS 0 to 2.
    pub qos: u8,
    /// Retained.
    pub retain: bool,
}

/// Answer to a SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeOutcome {
    /// SUBACK with a code for each filter. In a netsplit v5 is told "granted"
    /// though nothing is stored (`netsplit_raw_bytes.txt`).
    Codes(Vec<u8>),
    /// No answer.
    Silent,
}

/// Answer to an UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsubscribeOutcome {
    /// UNSUBACK; v5 with a code for each filter (0x00 or 0x11 no subscription existed).
    Codes(Vec<u8>),
    /// No answer.
    Silent,
}

/// Answer to a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Taken: PUBACK or the PUBREC exchange for QoS 1 and 2, nothing for QoS 0.
    Accepted,
    /// No answer: QoS 0, or v4 in a netsplit.
    Silent,
    /// v5: PUBACK (QoS 1) or PUBREC (QoS 2) with this reason code.
    Refused(u8),
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// DISCONNECT: no will.
    Clean,
    /// The connection broke or the keep-alive ran out: the will is published.
    Lost,
}

/// Why a CONNECT was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Netsplit or not ready: v4 code 3, v5 0x88 (`leave_edge_cases.txt`).
    ServerUnavailable,
    /// Wrong user or password.
    BadCredentials,
    /// Anonymous where that is not allowed.
    NotAuthorized,
}

impl Refusal {
    /// Code of the CONNACK.
    pub fn code(self, protocol: Protocol) -> u8 {
        match (self, protocol) {
            (Self::ServerUnavailable, Protocol::V4) => 3,
            (Self::ServerUnavailable, Protocol::V5) => 0x88,
            (Self::BadCredentials, Protocol::V4) => 4,
            (Self::BadCredentials, Protocol::V5) => 0x86,
            (Self::NotAuthorized, Protocol::V4) => 5,
            (Self::NotAuthorized, Protocol::V5) => 0x87,
        }
    }
}

/// Why the node closes a connection, and so what a v5 client reads before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// TCP close without a packet.
    Plain,
    /// `session disconnect`: v5 gets DISCONNECT 0x98 (`disconnect_semantics.txt`).
    Administrative,
    /// The same client id connected again: v5 gets DISCONNECT 0x8E.
    TakenOver,
    /// `node stop`: v5 gets DISCONNECT 0x00 (`netsplit_allow_on_systree_2000.txt`).
    NodeStopped,
}
