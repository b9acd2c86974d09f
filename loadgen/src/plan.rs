//! What a run shall do.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Protocol;
use crate::ledger::{Audience, Ledger};
use crate::payload::Template;
use net::Login;
use rustls::ClientConfig;

/// Connections at most: beyond this one address runs out of ports.
const CONNECTIONS_MAX: usize = 28_000;
/// Subscribers at most: each costs up to two bits a message.
const SUBSCRIBERS_MAX: usize = 1_000;
/// Messages in flight on one connection at most.
const WINDOW_MAX: u16 = 10_000;
/// MQTT's limit for a topic.
const TOPIC_MAX: usize = 65_535;

/// How messages come about.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Open loop: so many messages a second over all connections together, each
    /// with its own intended time, whether the broker keeps up or not.
    Rate(f64),
    /// Closed loop: every connection keeps its window full.
    Flood,
    /// Each connection is a device: connect, publish one message, wait for its
    /// acknowledgement, disconnect, pause until its next cycle.
    Devices {
        /// From one start to the next. A device that is late skips the cycles it missed.
        cycle: Duration,
        /// One client id for all, so that the broker takes the session over
        /// whenever two are connected at once.
        fixed_client_id: Option<String>,
    },
}

/// When to stop sending by itself. Both: whichever comes first. None: when told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// After so many messages.
    pub count: Option<u64>,
    /// After so long.
    pub duration: Option<Duration>,
}

/// Deadlines. Each of them ends a wait that could otherwise last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP, TLS and CONNACK together.
    pub connect: Duration,
    /// From writing a message to its acknowledgement; then the connection is renewed.
    pub acknowledge: Duration,
    /// MQTT keep-alive; a broker that does not answer a ping within it is gone.
    pub keep_alive: Duration,
    /// For all subscribers and publishers to be connected.
    pub start: Duration,
    /// From the last SUBACK to the first message: a granted subscription does not
    /// route at once, not even on the node that granted it (docs/broker/practice.md, "Set-up").
    pub route: Duration,
    /// For open messages to be acknowledged after the last one was sent.
    pub drain: Duration,
    /// For subscribers to receive what was acknowledged, after that.
    pub settle: Duration,
    /// For subscribers to remove their sessions, at the very end. A leave refuses
    /// clients for about a second, a node that restarts for ten.
    pub cleanup: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            acknowledge: Duration::from_secs(20),
            keep_alive: Duration::from_secs(10),
            start: Duration::from_secs(30),
            route: Duration::from_millis(500),
            drain: Duration::from_secs(10),
            settle: Duration::from_secs(10),
            cleanup: Duration::from_secs(20),
        }
    }
}

/// A stranger who looks all the time whether the service works: CONNECT,
/// SUBSCRIBE, pause, PUBLISH, own message back, DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    /// From one probe's start to the next.
    pub interval: Duration,
    /// Between SUBACK and PUBLISH (0.1 s removed all false alarms: docs/broker/practice.md, "Set-up").
    pub pause: Duration,
    /// For the whole probe.
    pub deadline: Duration,
    /// Topic below which each probe uses one of its own.
    pub topic: String,
}

impl ProbePlan {
    /// The prober of the baseline: every 100 ms, 0.1 s of pause, 5 s of patience.
    pub fn new(topic: impl Into<String>) -> Self {
        Self {
            interval: Duration::from_millis(100),
            pause: Duration::from_millis(100),
            deadline: Duration::from_secs(5),
            topic: topic.into(),
        }
    }
}

/// What a run shall do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Topic of all messages; with [`Audience::Share`] the one above the shares.
    pub topic: String,
    /// Quality of service, 0 to 2, for publishing and subscribing.
    pub qos: u8,
    /// Protocol version.
    pub protocol: Protocol,
    /// How messages come about.
    pub load: Load,
    /// When to stop.
    pub until: Until,
    /// What the messages carry.
    pub template: Template,
    /// Publishing connections, or devices.
    pub connections: usize,
    /// Messages in flight on one connection at most.
    pub window: u16,
    /// Persistent subscribers that witness the deliveries.
    pub subscribers: usize,
    /// Which of them get a message.
    pub audience: Audience,
    /// User name and password.
    pub login: Option<Login>,
    /// Trust for targets with TLS.
    pub tls: Option<Arc<ClientConfig>>,
    /// Deadlines.
    pub limits: Limits,
    /// The prober, if any.
    pub probe: Option<ProbePlan>,
    /// Start of all client ids; must differ between runs on one broker.
    pub name: String,
    /// Seed of all random choices (which broker, how long a back-off).
    pub seed: u64,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Publishing needs a topic without wildcards.
    #[error("the topic `{0}` cannot be published to: it is empty, too long or has a wildcard (+ or #)")]
    Topic(String),
    /// No such quality of service.
    #[error("QoS {0} does not exist; it is 0, 1 or 2")]
    Qos(u8),
    /// A number is out of its bounds.
    #[error("{what} must be between {min} and {max}, not {got}")]
    OutOfBounds {
        /// Which number.
        what: &'static str,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// What was given.
        got: u64,
    },
    /// The rate is no positive number.
    #[error("the rate must be a number of messages a second above 0, at most 10 million")]
    Rate,
    /// A subscriber could not tell the messages apart.
    #[error(
        "a payload of {0} bytes cannot carry a number, so that subscribers could prove nothing; take at least 10"
    )]
    NoNumber(usize),
    /// A device waits for an acknowledgement.
    #[error("devices wait for an acknowledgement, which QoS 0 does not have; take 1 or 2")]
    DeviceQos,
    /// The keep-alive of rumqttc's v5 client starts at 5 s.
    #[error("the keep-alive must be between 5 s and 65,535 s")]
    KeepAlive,
}

impl Plan {
    /// The window to take if nobody says: 100, but 20 for QoS 2 with 3.1.1. A broker
    /// cannot tell a 3.1.1 client how many QoS 2 messages it takes at once; mosquitto
    /// 2.0.11 takes 20 by default and closes the connection at the next one.
    pub fn usual_window(qos: u8, protocol: Protocol) -> u16 {
        if qos == 2 && protocol == Protocol::V4 { 20 } else { 100 }
    }

    /// A plan with the defaults: QoS 1, 3.1.1, one connection, window 100, 64 bytes, no witness.
    pub fn new(topic: impl Into<String>, load: Load, name: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            qos: 1,
            protocol: Protocol::V4,
            load,
            until: Until::default(),
            template: Template::sized(64).expect("64 bytes are within the limit"),
            connections: 1,
            window: 100,
            subscribers: 0,
            audience: Audience::Everyone,
            login: None,
            tls: None,
            limits: Limits::default(),
            probe: None,
            name: name.into(),
            seed: 0,
        }
    }

    /// Whether the plan can be carried out.
    pub fn validate(&self) -> Result<(), PlanError> {
        let wild = self.topic.contains(['+', '#', '\0']);
        if self.topic.is_empty() || self.topic.len() > TOPIC_MAX || wild {
            return Err(PlanError::Topic(self.topic.clone()));
        }
        if self.qos > 2 {
            return Err(PlanError::Qos(self.qos));
        }
        bounded("the number of connections", self.connections as u64, 1, CONNECTIONS_MAX as u64)?;
        bounded("the number of subscribers", self.subscribers as u64, 0, SUBSCRIBERS_MAX as u64)?;
        bounded("the window", u64::from(self.window), 1, u64::from(WINDOW_MAX))?;
        bounded("the number of messages", self.until.count.unwrap_or(1), 1, Ledger::LIMIT)?;
        if !(5..=65_535).contains(&self.limits.keep_alive.as_secs()) {
            return Err(PlanError::KeepAlive);
        }
        if self.subscribers > 0 && !self.template.carries_number() {
            return Err(PlanError::NoNumber(self.template.len()));
        }
        match self.load {
            // A rate of zero is a pause, which a caller may end with `set_rate`.
            Load::Rate(rate) if !(0.0..=1e7).contains(&rate) => Err(PlanError::Rate),
            Load::Devices { .. } if self.qos == 0 => Err(PlanError::DeviceQos),
            Load::Devices { cycle, .. } => bounded(
                "the cycle in milliseconds",
                cycle.as_millis().try_into().unwrap_or(u64::MAX),
                1,
                86_400_000,
            ),
            _ => Ok(()),
        }
    }

    /// The topic of message `number`.
    pub(crate) fn topic_of(&self, number: u64) -> String {
        match self.audience {
            Audience::Share if self.subscribers > 0 => {
                format!("{}/{}", self.topic, number % self.subscribers as u64)
            }
            _ => self.topic.clone(),
        }
    }
}

fn bounded(what: &'static str, got: u64, min: u64, max: u64) -> Result<(), PlanError> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(PlanError::OutOfBounds { what, min, max, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_plans_are_refused() {
        let refused = |change: fn(&mut Plan)| {
            let mut plan = Plan::new("t", Load::Rate(1.0), "n");
            assert_eq!(plan.validate(), Ok(()));
            change(&mut plan);
            plan.validate().unwrap_err().to_string()
        };
        for (change, part) in [
            ((|plan| plan.topic = "a/#".to_owned()) as fn(&mut Plan), "wildcard"),
            (|plan| plan.qos = 3, "QoS 3"),
            (|plan| plan.connections = 0, "connections must be between 1"),
            (|plan| plan.load = Load::Rate(f64::NAN), "rate"),
            (|plan| plan.limits.keep_alive = Duration::from_secs(1), "keep-alive"),
            (|plan| (plan.subscribers, plan.template) = (1, Template::sized(9).unwrap()), "9 bytes"),
            (
                |plan| {
                    plan.qos = 0;
                    plan.load = Load::Devices { cycle: Duration::from_secs(1), fixed_client_id: None };
                },
                "acknowledgement",
            ),
        ] {
            let error = refused(change);
            assert!(error.contains(part), "{error}");
        }
    }
}
