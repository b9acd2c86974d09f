//! One MQTT session behind one face for both versions of the protocol. The only files that know the MQTT client.

mod news;
mod v4;
mod v5;

use crate::mqtt::options::Options;

pub(super) use news::{Failure, Grant, News, Version};

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
