//! What happens, in order, for the sockets to carry out.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use lifecycle::NodeName;

use super::{Answer, CallId, CloseReason, ConnId, DeliveryId, Refusal};

/// Something that the node on the model carries out. Events come in the order
/// in which they happened; those of a connection that is closed come no more.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// CONNACK with success.
    Connack {
        /// Connection.
        conn: ConnId,
        /// Session present flag.
        session_present: bool,
    },
    /// CONNACK with an error, then close.
    ConnackRefused {
        /// Connection; gone with this event.
        conn: ConnId,
        /// Why; [`Refusal::code`] is the byte.
        reason: Refusal,
    },
    /// The node closes a connection, accepted or not.
    Close {
        /// Connection; gone with this event.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// PUBLISH to a client.
    Deliver {
        /// Connection.
        conn: ConnId,
        /// For [`super::ClusterModel::acknowledged`]; QoS 0 needs none.
        delivery: DeliveryId,
        /// Topic.
        topic: Arc<str>,
        /// Payload.
        payload: Bytes,
        /// QoS 0 to 2.
        qos: u8,
        /// Retain flag.
        retain: bool,
        /// DUP flag: it was sent before.
        dup: bool,
    },
    /// A plain MQTT listener of a node opened or closed.
    Listening {
        /// Node.
        node: NodeName,
        /// Its address and port.
        at: SocketAddr,
        /// Opened.
        on: bool,
    },
    /// The HTTP listener of a node opened or closed.
    Http {
        /// Node.
        node: NodeName,
        /// Opened.
        on: bool,
    },
    /// A command is answered.
    Answer {
        /// Call; gone with this event.
        call: CallId,
        /// Answer.
        answer: Answer,
    },
    /// The connection of an HTTP call ends without a byte (`q1_leave_22000.txt`).
    CallCut {
        /// Call; gone with this event.
        call: CallId,
    },
    /// The process of a node has ended.
    Exited {
        /// Node.
        node: NodeName,
        /// Exit code.
        code: i32,
    },
}
