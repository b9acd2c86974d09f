//! What comes of a connection, and how it ends.

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::code::Code;

/// What a CONNACK has granted.
pub(super) struct Accepted {
    pub(super) session_present: bool,
    /// Messages in flight at most: ours, or the broker's receive maximum if lower.
    pub(super) window: u16,
    /// Packet identifiers go round from 1 to this.
    pub(super) identifiers: u16,
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

/// Sorts I/O errors of a connect: a refusal, a close, or something else.
pub(super) fn connect_io(error: &io::Error) -> ConnectError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    match error.kind() {
        ConnectionRefused => ConnectError::TcpRefused,
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => {
            ConnectError::Closed(error.to_string())
        }
        _ => ConnectError::Other(error.to_string()),
    }
}
