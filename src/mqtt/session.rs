//! One MQTT session behind one face for both versions of the protocol. The only files that know the MQTT client.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{TlsConfiguration, Transport};

use crate::mqtt::connection_state::Ended;
use crate::mqtt::connection_state::Link;
use crate::mqtt::options::Options;

mod v4;
mod v5;

/// A ping every 5 s and no answer till the next: a dead peer is noticed after 10 s.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// For TCP, TLS and CONNACK together; VerneMQ leaves some connects unanswered for ever.
const CONNECT_SECONDS_MAX: u64 = 5;
/// A payload of 1 MB has to be seen to be counted and refused; what is larger ends the connection with a reason.
const PACKET_BYTES_MAX: u32 = 2 << 20;
/// Requests in the client's queue: one SUBSCRIBE, one DISCONNECT.
const REQUESTS_MAX: usize = 4;

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V4,
    /// MQTT 5.
    V5,
}

/// What one poll has brought.
pub(super) enum News {
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
pub(super) struct Grant {
    pub(super) refused: Option<u8>,
}

/// Why a session has ended.
pub(super) struct Failure {
    pub(super) ended: Ended,
    /// The broker does not take this version of the protocol.
    pub(super) version_refused: bool,
}

/// A session, connected at its first poll.
pub(super) struct Session {
    poll: Poll,
    subscriber: Subscriber,
}

/// The half that reads and writes the socket.
pub(super) enum Poll {
    V4(Box<v4::Poll>),
    V5(Box<v5::Poll>),
}

/// The half that takes what is to be sent; it is sent as the other half is polled.
pub(super) enum Subscriber {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

impl Session {
    pub(super) fn new(version: Version, options: &Options) -> Self {
        match version {
            Version::V4 => {
                let (client, poll) = v4::new(options);
                Self { poll: Poll::V4(Box::new(poll)), subscriber: Subscriber::V4(client) }
            }
            Version::V5 => {
                let (client, poll) = v5::new(options);
                Self { poll: Poll::V5(Box::new(poll)), subscriber: Subscriber::V5(client) }
            }
        }
    }

    /// Both halves.
    pub(super) fn poll(&mut self) -> (&mut Poll, &Subscriber) {
        (&mut self.poll, &self.subscriber)
    }
}

impl Poll {
    pub(super) async fn next(&mut self) -> Result<News, Failure> {
        match self {
            Self::V4(poll) => poll.next().await,
            Self::V5(poll) => poll.next().await,
        }
    }
}

impl Subscriber {
    /// SUBSCRIBE at `QoS` 0.
    pub(super) fn subscribe(&self, filters: &[String]) -> Result<(), String> {
        match self {
            Self::V4(client) => {
                client.try_subscribe_many(v4::filters(filters)).map_err(|error| error.to_string())
            }
            Self::V5(client) => {
                client.try_subscribe_many(v5::filters(filters)).map_err(|error| error.to_string())
            }
        }
    }

    /// DISCONNECT; false where it cannot be sent.
    pub(super) fn disconnect(&self) -> bool {
        match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        }
    }
}

fn transport(options: &Options) -> Transport {
    match &options.tls {
        Some(tls) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())),
        None => Transport::Tcp,
    }
}

fn failure(link: Link, cause: impl Into<String>) -> Failure {
    Failure { ended: Ended { link, cause: cause.into() }, version_refused: false }
}

/// While connecting.
fn not_connected(error: &io::Error) -> Failure {
    let refused = error.kind() == ErrorKind::ConnectionRefused;
    failure(if refused { Link::TcpRefused } else { Link::Unreachable }, error.to_string())
}

fn no_connack() -> Failure {
    failure(Link::Silent, format!("no answer to the connect within {CONNECT_SECONDS_MAX} s"))
}

fn no_pong() -> Failure {
    failure(Link::Silent, format!("no answer to a ping within {} s", KEEP_ALIVE.as_secs()))
}

fn closed() -> Failure {
    failure(Link::Closed, "the broker closed the connection")
}

fn too_large(bytes: usize) -> Failure {
    failure(
        Link::TooLarge,
        format!("a packet of {bytes} bytes came, more than the limit of {PACKET_BYTES_MAX}"),
    )
}

fn version_refused(code: u8) -> Failure {
    let cause = format!("CONNACK {}: protocol version refused", connack(code));
    Failure { version_refused: true, ..failure(Link::ConnectRefused, cause) }
}

/// Codes are written as their version of MQTT writes them: 3, 0x88.
fn connack(code: u8) -> String {
    if code < 0x80 { code.to_string() } else { format!("{code:#04x}") }
}
