//! What a connection is made with.

use std::sync::Arc;
use std::time::Duration;

use net::{BrokerUrl, Login};
use rustls::ClientConfig;

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
pub(super) const SESSION_EXPIRY_SECS: u32 = 3600;

/// What to connect with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) target: BrokerUrl,
    pub(crate) protocol: Protocol,
    pub(crate) client_id: String,
    /// Whether to start without a session and to leave none behind.
    pub(crate) clean: bool,
    pub(crate) login: Option<Login>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
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
    pub(super) fn identifiers(&self) -> u16 {
        self.window.max(1).saturating_mul(IDENTIFIERS_PER_SLOT)
    }

    /// Requests wait in the client's queue only within the window, plus one
    /// SUBSCRIBE and one DISCONNECT.
    pub(super) fn queue(&self) -> usize {
        usize::from(self.window) + 2
    }

    pub(super) fn packet_max(&self) -> usize {
        self.payload_max + PACKET_MARGIN
    }

    pub(super) fn transport(&self) -> rumqttc::Transport {
        match (&self.tls, self.target.tls) {
            (Some(tls), true) => {
                rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(tls.clone()))
            }
            _ => rumqttc::Transport::Tcp,
        }
    }
}
