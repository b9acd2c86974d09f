//! What both versions of the protocol have in common: limits, what a poll brings, and how a session ends.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{TlsConfiguration, Transport};

use crate::mqtt::connection_state::{Ended, Link};
use crate::mqtt::options::Options;

/// A ping every 5 s and no answer till the next: a dead peer is noticed after 10 s.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// For TCP, TLS and CONNACK together; VerneMQ leaves some connects unanswered for ever.
pub(super) const CONNECT_SECONDS_MAX: u64 = 5;
/// A payload of 1 MB has to be seen to be counted and refused; what is larger ends the connection with a reason.
pub(super) const PACKET_BYTES_MAX: u32 = 2 << 20;
/// Requests in the client's queue: one SUBSCRIBE, one DISCONNECT.
pub(super) const REQUESTS_MAX: usize = 4;

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.
    V5,
}

/// What one poll has brought.
pub(in crate::mqtt) enum News {
    /// CONNACK, with success.
    Accepted,
    /// Our SUBSCRIBE was written, under this identifier.
    Subscribing(u16),
    /// SUBACK.
    Granted { id: u16, grants: Vec<Grant> },
    /// PUBLISH.
    Message { topic: String, payload: Bytes, retained: bool },
    /// Our DISCONNECT was written.
    Goodbye,
    /// Pings.
    Other,
}

/// The answer to one filter: the code of its refusal, none where it is granted.
pub(in crate::mqtt) struct Grant {
    pub(in crate::mqtt) refused: Option<u8>,
}

/// Why a session has ended.
pub(in crate::mqtt) struct Failure {
    pub(in crate::mqtt) ended: Ended,
    /// The broker does not take this version of the protocol.
    pub(in crate::mqtt) version_refused: bool,
}

pub(super) fn transport(options: &Options) -> Transport {
    match &options.tls {
        Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())),
        None => Transport::Tcp,
    }
}

pub(super) fn failure(link: Link, cause: impl Into<String>) -> Failure {
    Failure { ended: Ended { link, cause: cause.into() }, version_refused: false }
}

/// While connecting.
pub(super) fn not_connected(error: &io::Error) -> Failure {
    let refused = error.kind() == ErrorKind::ConnectionRefused;
    failure(if refused { Link::TcpRefused } else { Link::Unreachable }, error.to_string())
}

pub(super) fn no_connack() -> Failure {
    failure(Link::Silent, format!("no answer to the connect within {CONNECT_SECONDS_MAX} s"))
}

pub(super) fn no_pong() -> Failure {
    failure(Link::Silent, format!("no answer to a ping within {} s", KEEP_ALIVE.as_secs()))
}

pub(super) fn closed() -> Failure {
    failure(Link::Closed, "the broker closed the connection")
}

pub(super) fn too_large(bytes: usize) -> Failure {
    failure(
        Link::TooLarge,
        format!("a packet of {bytes} bytes came, more than the limit of {PACKET_BYTES_MAX}"),
    )
}

pub(super) fn version_refused(code: u8) -> Failure {
    let cause = format!("CONNACK {}: protocol version refused", connack(code));
    Failure { version_refused: true, ..failure(Link::ConnectRefused, cause) }
}

/// Codes are written as their version of MQTT writes them: 3, 0x88.
pub(super) fn connack(code: u8) -> String {
    if code < 0x80 { code.to_string() } else { format!("{code:#04x}") }
}
