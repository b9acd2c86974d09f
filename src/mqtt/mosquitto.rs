//! mosquitto's `$SYS/broker/…` under VerneMQ's names, where the meaning is the same.
//!
//! mosquitto counts since its start as VerneMQ does, but sends a value only when it has changed, retained, once
//! per its `sys_interval` (10 s by default; with `sys_interval 1`, mosquitto 2.0.11 sends every 2 s). Each round
//! begins with `uptime`, which always changes: it stands for "the rest is as it was". mosquitto 2.0.11 leaves
//! publishes at `QoS` 2 and retained ones out of `publish/messages/received`; nothing else there counts them.
//!
//! Left out although it looks the same: `retained messages/count`. mosquitto keeps `$SYS` itself as retained messages and
//! counts them too (2.0.11: 53 to 55 on a broker to which nobody has published;
//! `findings/mosquitto-retained-count.sh`), where VerneMQ's `retain_messages` counts what clients have left there.

/// What a topic below `$SYS/broker/` means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The same as VerneMQ's metric of this name.
    Metric(&'static str),
    /// A new round begins.
    Round,
    /// Nothing that VerneMQ has, such as mosquitto's own moving averages.
    Other,
}

/// mosquitto's topic, VerneMQ's metric. The rest has no counterpart.
const SAME: &[(&str, &str)] = &[
    ("bytes/received", "bytes_received"),
    ("bytes/sent", "bytes_sent"),
    ("clients/connected", "active_mqtt_connections"),
    ("clients/expired", "client_expired"),
    // Sessions with and without a connection: VerneMQ has one queue process for each of them.
    ("clients/total", "queue_processes"),
    ("publish/messages/dropped", "queue_message_drop"),
    ("publish/messages/received", "mqtt_publish_received"),
    ("publish/messages/sent", "mqtt_publish_sent"),
    ("subscriptions/count", "router_subscriptions"),
];

/// Looks up what follows `$SYS/broker/`.
pub fn meaning(topic: &str) -> Meaning {
    if topic == "uptime" {
        return Meaning::Round;
    }
    match SAME.binary_search_by_key(&topic, |(theirs, _)| theirs) {
        Ok(index) => Meaning::Metric(SAME[index].1),
        Err(_) => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler::metrics::{Kind, kind_of};

    #[test]
    fn every_name_is_one_of_vernemqs_and_is_found() {
        for (theirs, ours) in SAME {
            assert_ne!(kind_of(ours), Kind::Untyped, "{ours}");
            assert_eq!(meaning(theirs), Meaning::Metric(ours));
        }
        assert_eq!(meaning("load/messages/received/1min"), Meaning::Other);
        assert_eq!(meaning("uptime"), Meaning::Round);
        assert_eq!(meaning("retained messages/count"), Meaning::Other);
    }
}
