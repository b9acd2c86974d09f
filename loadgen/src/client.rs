//! One MQTT connection: the seam behind which rumqttc stands.
//!
//! Nothing outside this folder knows rumqttc, nor which protocol version is
//! spoken, so that another engine can take its place. Rules of rumqttc 0.25 that
//! are kept here: nodelay, in-flight limit, packet size and queue length are set
//! explicitly; after any error client and event loop are dropped, never polled
//! on (it would reconnect by itself and send again behind our back); what it had
//! read before the error is handed out first, since it may be acknowledged.

mod code;
mod event;
mod options;
mod v4;
mod v5;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::{BrokerUrl, Login};
use rustls::ClientConfig;

use event::Accepted;

pub use code::Code;
pub use event::ConnectError;
pub(crate) use event::{Broken, Event};
pub(crate) use options::Options;
pub use options::Protocol;

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

/// Connects; `options.deadline` bounds it all.
pub(crate) async fn connect(options: &Options) -> Result<Connection, ConnectError> {
    let connected = async {
        match options.protocol {
            Protocol::V4 => {
                let (client, inbox, accepted) = v4::connect(options).await?;
                Ok(Connection::new(Outbox::V4(client), Inbox::V4(Box::new(inbox)), &accepted))
            }
            Protocol::V5 => {
                let (client, inbox, accepted) = v5::connect(options).await?;
                Ok(Connection::new(Outbox::V5(client), Inbox::V5(Box::new(inbox)), &accepted))
            }
        }
    };
    tokio::time::timeout(options.deadline, connected)
        .await
        .unwrap_or(Err(ConnectError::TimedOut(options.deadline)))
}

/// Connects once and leaves again: whether `target` takes clients at all.
pub async fn check(
    target: &BrokerUrl,
    protocol: Protocol,
    login: Option<&Login>,
    tls: Option<&Arc<ClientConfig>>,
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
    fn new(outbox: Outbox, inbox: Inbox, accepted: &Accepted) -> Self {
        let Accepted { session_present, window, identifiers } = *accepted;
        Self { outbox, inbox, session_present, window, identifiers }
    }

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
