//! `$SYS` trees of other brokers: recognised, so that none of them is taken for a VerneMQ node.
//!
//! `$SYS` is no standard. What is told apart here is what the brokers' own public documentation says of their topics
//! (read in November 2026); for the rest it is enough that no VerneMQ node is called so.

/// Whose tree it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `$SYS/brokers/NAME@HOST/…`: EMQX, whose nodes are named as VerneMQ's, one level further down.
    Emqx,
    /// `$SYS/brokers/NUMBER/…`: RMQTT.
    Rmqtt,
    /// `$SYS/brokers/connected` and `…/disconnected`: `NanoMQ`, which sends events and no metrics.
    NanoMq,
    /// Anything else below `$SYS/brokers`.
    Brokers,
    /// `$SYS/broker/messages/publish/…` and `$SYS/broker/load/bytes/received`: the draft of the MQTT wiki, which the
    /// extension of `HiveMQ` for `$SYS` follows. mosquitto's own names are the other way round (`publish/messages/…`).
    Draft,
    /// `$SYS/ID/heartbeat`, `$SYS/ID/new/clients`, …: Aedes.
    Aedes,
    /// Nothing that is known here.
    Unknown,
}

impl Tree {
    /// The tree in words, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Emqx => "the tree looks like EMQX' ($SYS/brokers/NAME@HOST/…)",
            Self::Rmqtt => "the tree looks like RMQTT's ($SYS/brokers/NUMBER/…)",
            Self::NanoMq => "the tree looks like NanoMQ's ($SYS/brokers/connected, …/disconnected)",
            Self::Brokers => "the tree looks like that of EMQX or a relative of it ($SYS/brokers/…)",
            Self::Draft => {
                "the tree looks like HiveMQ's, or that of another broker which follows the draft of the MQTT wiki \
                 ($SYS/broker/messages/publish/…)"
            }
            Self::Aedes => "the tree looks like Aedes' ($SYS/ID/heartbeat, …)",
            Self::Unknown => "the tree is that of no broker which is known here",
        }
    }
}

/// What Aedes sends below its id.
const AEDES: &[&str] = &[
    "disconnect/clients",
    "heartbeat",
    "new/clients",
    "new/subscribers",
    "new/unsubscribers",
    "new/unsubscribes",
];

/// What only the draft has below `$SYS/broker/`; with `/1min` and the like behind it, it is mosquitto's.
const DRAFT: &[&str] = &[
    "load/bytes/received",
    "load/bytes/sent",
    "messages/publish/dropped",
    "messages/publish/received",
    "messages/publish/sent",
];

/// Looks at what follows `$SYS/`; none where it can be VerneMQ's or mosquitto's.
///
/// A VerneMQ node is named NAME@HOST, and Erlang allows letters, digits, `_` and `-` in NAME: so the first level of its
/// topics has an `@` in it.
pub fn tree(rest: &str) -> Option<Tree> {
    let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
    match first {
        "" => None,
        "broker" => DRAFT.contains(&below).then_some(Tree::Draft),
        "brokers" => Some(of_brokers(below)),
        _ if first.contains('@') => None,
        _ if AEDES.contains(&below) => Some(Tree::Aedes),
        _ => Some(Tree::Unknown),
    }
}

fn of_brokers(below: &str) -> Tree {
    let node = below.split('/').next().unwrap_or_default();
    match node {
        "connected" | "disconnected" => Tree::NanoMq,
        _ if node.contains('@') => Tree::Emqx,
        _ if !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit()) => Tree::Rmqtt,
        _ => Tree::Brokers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Topics as the brokers' documentation has them.
    #[test]
    fn each_broker_is_known_by_its_topics() {
        for (rest, wanted) in [
            ("brokers/emqx@127.0.0.1/metrics/bytes/received", Tree::Emqx),
            ("brokers/emqx@127.0.0.1/stats/connections/count", Tree::Emqx),
            ("brokers/emqx@127.0.0.1/version", Tree::Emqx),
            ("brokers", Tree::Brokers),
            ("brokers/192.168.0.7/version", Tree::Brokers),
            ("brokers/1/metrics", Tree::Rmqtt),
            ("brokers/connected", Tree::NanoMq),
            ("brokers/disconnected", Tree::NanoMq),
            ("broker/messages/publish/received", Tree::Draft),
            ("broker/load/bytes/sent", Tree::Draft),
            ("7d3f3a1e-2f1e-4c55-9a3e-0f6c2a1b9d10/heartbeat", Tree::Aedes),
            ("Coreflux/Comms/Clients", Tree::Unknown),
            ("clients/connected", Tree::Unknown),
        ] {
            assert_eq!(tree(rest), Some(wanted), "{rest}");
            assert!(!wanted.words().is_empty());
        }
    }

    #[test]
    fn vernemq_and_mosquitto_are_no_strangers() {
        for rest in [
            "VerneMQ1@127.0.0.11/mqtt/publish/received",
            "VerneMQ@vernemq-0.vernemq-headless.mqtt.svc.cluster.local/queue/processes",
            "broker/publish/messages/received",
            "broker/load/bytes/received/1min",
            "broker/clients/connected",
            "broker/uptime",
            "",
            "/x",
        ] {
            assert_eq!(tree(rest), None, "{rest}");
        }
    }
}
