//! One MQTT connection: the seam behind which rumqttc stands.
//!
//! Nothing outside this folder knows rumqttc, nor which protocol version is
//! spoken, so that another engine can take its place. Rules of rumqttc 0.25 that
//! are kept here: nodelay, in-flight limit, packet size and queue length are set
//! explicitly; after any error client and event loop are dropped, never polled
//! on (it would reconnect by itself and send again behind our back); what it had
//! read before the error is handed out first, since it may be acknowledged.

mod code;
mod v4;
mod v5;

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::addresses::Target;
use crate::login::{Login, Tls};
pub use code::Code;

/// MQTT protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MQTT 3.1.1 (protocol level 4).
    V4,
    /// MQTT 5.
    V5,
}

/// Identifiers in the circle for each message in flight: acknowledgements out
/// of order then hold the next message back only when one is three windows late.
const IDENTIFIERS_PER_SLOT: u16 = 4;

/// Packets larger than the payload by this are still accepted (topic, properties).
const PACKET_MARGIN: usize = 128 << 10;

/// How long a persistent session of v5 is kept by the broker after a disconnect:
/// longer than any outage that a run survives, short enough to leave no garbage.
const SESSION_EXPIRY_SECS: u32 = 3600;

/// What to connect with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    pub(crate) client_id: String,
    /// Whether to start without a session and to leave none behind.
    pub(crate) clean: bool,
    pub(crate) login: Option<Login>,
    pub(crate) tls: Option<Tls>,
    pub(crate) keep_alive: Duration,
    /// Bounds TCP, TLS and MQTT together.
    pub(crate) deadline: Duration,
    /// Messages in flight at most.
    pub(crate) window: u16,
    pub(crate) payload_max: usize,
    /// Whether messages of QoS 2 will be received.
    pub(crate) exactly_once: bool,
}

impl Options {
    fn identifiers(&self) -> u16 {
        self.window.max(1).saturating_mul(IDENTIFIERS_PER_SLOT)
    }

    /// Requests wait in the client's queue only within the window, plus one
    /// SUBSCRIBE and one DISCONNECT.
    fn queue(&self) -> usize {
        usize::from(self.window) + 2
    }

    fn packet_max(&self) -> usize {
        self.payload_max + PACKET_MARGIN
    }

    fn transport(&self) -> rumqttc::Transport {
        match (&self.tls, self.target.tls) {
            (Some(tls), true) => {
                rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls.0.clone()))
            }
            _ => rumqttc::Transport::Tcp,
        }
    }
}

/// An accepted connection, in two halves.
pub(crate) struct Connection {
    pub(crate) outbox: Outbox,
    pub(crate) inbox: Inbox,
    pub(crate) session_present: bool,
    /// Messages in flight at most: ours, or the broker's receive maximum if lower.
    pub(crate) window: u16,
    /// Packet identifiers go round from 1 to this.
    pub(crate) identifiers: u16,
}

/// The half that gives packets to the client. They are written as the other half is polled.
pub(crate) enum Outbox {
    V4(rumqttc::AsyncClient),
    V5(rumqttc::v5::AsyncClient),
}

/// The half that reads and writes the socket.
pub(crate) enum Inbox {
    V4(Box<v4::Inbox>),
    V5(Box<v5::Inbox>),
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A PUBLISH of ours was handed to the kernel under this identifier (0 at QoS 0).
    Sent(u16),
    /// The broker finished a PUBLISH: PUBACK or PUBCOMP, or a refusal.
    Finished { identifier: u16, refused: Option<Code> },
    /// A PUBLISH arrived; at QoS 2 under this identifier.
    Message { payload: Bytes, redelivery: bool, retained: bool, held: Option<u16> },
    /// PUBREL: the broker will not send the QoS 2 message of this identifier again.
    Released(u16),
    /// SUBACK: the granted QoS, or why not.
    Subscribed(Result<u8, Code>),
    /// Our DISCONNECT was handed to the kernel.
    Goodbye,
}

/// Why a connect failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("the TCP connection was refused; is the broker running, and is this its MQTT port?")]
    TcpRefused,
    /// No CONNACK in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Closed or reset before a CONNACK.
    #[error(
        "the broker closed the connection before answering ({0}); is this an MQTT port of this protocol version, with TLS as in the URL?"
    )]
    Closed(String),
    /// The broker said no.
    #[error("the broker refused the client with {}", .0.in_words())]
    Refused(Code),
    /// The list of addresses is empty.
    #[error("no broker address is known at the moment")]
    NoAddress,
    /// TLS, name resolution or an answer that is not MQTT.
    #[error("{0}")]
    Other(String),
}

/// Why a connection ended without our wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Closed,
    Told(Code),
    NoPingAnswer,
    NoAcknowledgement,
    NoSubscribeAnswer,
    Refusal,
    Protocol(String),
}

impl Broken {
    /// A short name, the same for the same cause.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Closed => "closed by broker or network".to_owned(),
            Self::Told(code) => format!("told to leave with {code}"),
            Self::NoPingAnswer => "no answer to a ping".to_owned(),
            Self::NoAcknowledgement => "no acknowledgement in time".to_owned(),
            Self::NoSubscribeAnswer => "no answer to a subscribe in time".to_owned(),
            Self::Refusal => "renewed after a refused publish".to_owned(),
            Self::Protocol(text) => format!("protocol error: {text}"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind())
    }
}

/// Connects; `options.deadline` bounds it all.
pub(crate) async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    let connected = async {
        match options.protocol {
            Protocol::V4 => v4::connect(options).await,
            Protocol::V5 => v5::connect(options).await,
        }
    };
    tokio::time::timeout(options.deadline, connected)
        .await
        .unwrap_or(Err(ConnectError::TimedOut(options.deadline)))
}

/// Connects once and leaves again: whether `target` takes clients at all.
pub async fn check(
    target: &Target,
    protocol: Protocol,
    login: Option<&Login>,
    tls: Option<&Tls>,
    client_id: &str,
    deadline: Duration,
) -> Result<(), ConnectError> {
    let options = Options {
        target: target.clone(),
        protocol,
        client_id: client_id.to_owned(),
        clean: true,
        login: login.cloned(),
        tls: tls.cloned(),
        keep_alive: Duration::from_secs(10),
        deadline,
        window: 1,
        payload_max: 0,
        exactly_once: false,
    };
    connect(&options).await?.leave().await;
    Ok(())
}

/// A DISCONNECT that the kernel does not take within this is given up.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(1);

impl Connection {
    /// Says goodbye, dropping whatever else arrives.
    pub(crate) async fn leave(mut self) {
        self.outbox.disconnect();
        let goodbye = async { while !matches!(self.inbox.next().await, Ok(Event::Goodbye) | Err(_)) {} };
        // Too late or broken: the connection is closed by the drop just the same.
        let _ = tokio::time::timeout(GOODBYE_DEADLINE, goodbye).await;
    }
}

impl Outbox {
    /// Queues a PUBLISH; `false` if the queue is full or the topic is not allowed.
    pub(crate) fn publish(&self, topic: &str, qos: u8, payload: &Bytes) -> bool {
        match self {
            Self::V4(client) => client.try_publish(topic, v4::qos(qos), false, payload.as_ref()).is_ok(),
            Self::V5(client) => client.try_publish(topic, v5::qos(qos), false, payload.clone()).is_ok(),
        }
    }

    /// Queues a SUBSCRIBE; `false` as in [`Self::publish`].
    pub(crate) fn subscribe(&self, filter: &str, qos: u8) -> bool {
        match self {
            Self::V4(client) => client.try_subscribe(filter, v4::qos(qos)).is_ok(),
            Self::V5(client) => client.try_subscribe(filter, v5::qos(qos)).is_ok(),
        }
    }

    /// Queues a DISCONNECT, after everything queued before it.
    pub(crate) fn disconnect(&self) {
        // A full queue cannot be: there is a place for it. A closed one is as good.
        let _ = match self {
            Self::V4(client) => client.try_disconnect().is_ok(),
            Self::V5(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Inbox {
    /// The next event. Do not drop the future while packets are being written
    /// unless the connection is dropped with it: a flush that was cut short is
    /// taken up only with the next packet.
    pub(crate) async fn next(&mut self) -> Result<Event, Broken> {
        match self {
            Self::V4(inbox) => inbox.next().await,
            Self::V5(inbox) => inbox.next().await,
        }
    }
}

/// Sorts I/O errors of a connect: a refusal, a close, or something else.
fn connect_io(error: &io::Error) -> ConnectError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    match error.kind() {
        ConnectionRefused => ConnectError::TcpRefused,
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => {
            ConnectError::Closed(error.to_string())
        }
        _ => ConnectError::Other(error.to_string()),
    }
}
