//! Counters of one life of a node. They fall only when it restarts or on
//! `metrics reset` (docs/broker/status-and-metrics.md, "Counts and resets").

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Protocol;

macro_rules! counts {
    ($($name:ident => $family:literal $version:literal $code:literal,)*) => {
        /// A counter that the model moves.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Count {
            $($name,)*
        }

        /// Where each stands on `/metrics`: family, `mqtt_version`, code.
        pub(super) const PLACES: &[(&str, &str, &str)] = &[$(($family, $version, $code),)*];
    };
}

counts! {
    SocketOpen => "socket_open" "" "",
    SocketClose => "socket_close" "" "",
    BytesReceived => "bytes_received" "" "",
    BytesSent => "bytes_sent" "" "",
    ConnectReceived4 => "mqtt_connect_received" "4" "",
    ConnectReceived5 => "mqtt_connect_received" "5" "",
    PublishReceived4 => "mqtt_publish_received" "4" "",
    PublishReceived5 => "mqtt_publish_received" "5" "",
    PubackReceived4 => "mqtt_puback_received" "4" "",
    PubackReceived5 => "mqtt_puback_received" "5" "success",
    PubrecReceived4 => "mqtt_pubrec_received" "4" "",
    PubrecReceived5 => "mqtt_pubrec_received" "5" "success",
    PubrelReceived4 => "mqtt_pubrel_received" "4" "",
    PubrelReceived5 => "mqtt_pubrel_received" "5" "success",
    PubcompReceived4 => "mqtt_pubcomp_received" "4" "",
    PubcompReceived5 => "mqtt_pubcomp_received" "5" "success",
    SubscribeReceived4 => "mqtt_subscribe_received" "4" "",
    SubscribeReceived5 => "mqtt_subscribe_received" "5" "",
    UnsubscribeReceived4 => "mqtt_unsubscribe_received" "4" "",
    UnsubscribeReceived5 => "mqtt_unsubscribe_received" "5" "",
    PingreqReceived4 => "mqtt_pingreq_received" "4" "",
    PingreqReceived5 => "mqtt_pingreq_received" "5" "",
    DisconnectReceived4 => "mqtt_disconnect_received" "4" "",
    DisconnectReceived5 => "mqtt_disconnect_received" "5" "normal_disconnect",
    Connack4 => "mqtt_connack_sent" "4" "success",
    Connack5 => "mqtt_connack_sent" "5" "success",
    ConnackUnavailable4 => "mqtt_connack_sent" "4" "server_unavailable",
    ConnackUnavailable5 => "mqtt_connack_sent" "5" "server_unavailable",
    ConnackBadUser4 => "mqtt_connack_sent" "4" "bad_username_or_password",
    ConnackBadUser5 => "mqtt_connack_sent" "5" "bad_username_or_password",
    ConnackNotAuthorized4 => "mqtt_connack_sent" "4" "not_authorized",
    ConnackNotAuthorized5 => "mqtt_connack_sent" "5" "not_authorized",
    PublishSent4 => "mqtt_publish_sent" "4" "",
    PublishSent5 => "mqtt_publish_sent" "5" "",
    PubackSent4 => "mqtt_puback_sent" "4" "",
    PubackSent5 => "mqtt_puback_sent" "5" "success",
    PubackRefused5 => "mqtt_puback_sent" "5" "impl_specific_error",
    PubackNotAuthorized5 => "mqtt_puback_sent" "5" "not_authorized",
    PubrecSent4 => "mqtt_pubrec_sent" "4" "",
    PubrecSent5 => "mqtt_pubrec_sent" "5" "success",
    PubrecRefused5 => "mqtt_pubrec_sent" "5" "unspecified_error",
    PubrecNotAuthorized5 => "mqtt_pubrec_sent" "5" "not_authorized",
    PubrelSent4 => "mqtt_pubrel_sent" "4" "",
    PubrelSent5 => "mqtt_pubrel_sent" "5" "success",
    PubcompSent4 => "mqtt_pubcomp_sent" "4" "",
    PubcompSent5 => "mqtt_pubcomp_sent" "5" "success",
    SubackSent4 => "mqtt_suback_sent" "4" "",
    SubackSent5 => "mqtt_suback_sent" "5" "",
    UnsubackSent4 => "mqtt_unsuback_sent" "4" "",
    UnsubackSent5 => "mqtt_unsuback_sent" "5" "",
    PingrespSent4 => "mqtt_pingresp_sent" "4" "",
    PingrespSent5 => "mqtt_pingresp_sent" "5" "",
    DisconnectNormal5 => "mqtt_disconnect_sent" "5" "normal_disconnect",
    DisconnectAdministrative5 => "mqtt_disconnect_sent" "5" "administrative_action",
    DisconnectTakenOver5 => "mqtt_disconnect_sent" "5" "session_taken_over",
    PublishAuthError4 => "mqtt_publish_auth_error" "4" "",
    PublishAuthError5 => "mqtt_publish_auth_error" "5" "",
    SubscribeAuthError4 => "mqtt_subscribe_auth_error" "4" "",
    SubscribeAuthError5 => "mqtt_subscribe_auth_error" "5" "",
    PublishError4 => "mqtt_publish_error" "4" "",
    PublishError5 => "mqtt_publish_error" "5" "",
    SubscribeError4 => "mqtt_subscribe_error" "4" "",
    SubscribeError5 => "mqtt_subscribe_error" "5" "",
    UnsubscribeError4 => "mqtt_unsubscribe_error" "4" "",
    UnsubscribeError5 => "mqtt_unsubscribe_error" "5" "",
    QueueSetup => "queue_setup" "" "",
    QueueTeardown => "queue_teardown" "" "",
    QueueFromStorage => "queue_initialized_from_storage" "" "",
    QueueDrop => "queue_message_drop" "" "",
    QueueUnhandled => "queue_message_unhandled" "" "",
    QueueIn => "queue_message_in" "" "",
    QueueOut => "queue_message_out" "" "",
    ClusterReceived => "cluster_bytes_received" "" "",
    ClusterSent => "cluster_bytes_sent" "" "",
    ClusterDropped => "cluster_bytes_dropped" "" "",
    MatchesLocal => "router_matches_local" "" "",
    MatchesRemote => "router_matches_remote" "" "",
    NetsplitResolved => "netsplit_resolved" "" "",
    NetsplitDetected => "netsplit_detected" "" "",
}

/// The same for looking up: a page has some 400 lines.
static INDEX: LazyLock<BTreeMap<(&str, &str, &str), usize>> =
    LazyLock::new(|| PLACES.iter().enumerate().map(|(at, place)| (*place, at)).collect());

/// Upper bounds of the histograms, microseconds; one more bucket takes the rest.
pub(super) const BOUNDS: [u64; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// A histogram of microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Histogram {
    buckets: [i64; 7],
    pub(super) sum: i64,
}

impl Histogram {
    /// Adds one observation.
    pub(super) fn observe(&mut self, us: u64) {
        let at = BOUNDS.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at] += 1;
        self.sum = self.sum.saturating_add(i64::try_from(us).unwrap_or(i64::MAX));
    }

    /// Observations up to the bound at `index` of [`BOUNDS`]; beyond it: all.
    pub(super) fn up_to(&self, index: usize) -> i64 {
        self.buckets.iter().take(index + 1).sum()
    }

    /// All observations.
    pub(super) fn count(&self) -> i64 {
        self.buckets.iter().sum()
    }
}

/// All counters of a node.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    values: [i64; PLACES.len()],
    /// `storage_read_microseconds`, per message read from disk.
    pub(super) storage_read: Histogram,
    /// `storage_write_microseconds`.
    pub(super) storage_write: Histogram,
    /// `storage_scan_microseconds`.
    pub(super) storage_scan: Histogram,
    /// `metadata_get_microseconds`: its mean is the clearest sign of a storm
    /// (docs/broker/drain.md, "Signs of a storm").
    pub(super) metadata_get: Histogram,
    /// `metadata_put_microseconds`.
    pub(super) metadata_put: Histogram,
    /// `metadata_fold_microseconds`.
    pub(super) metadata_fold: Histogram,
    /// `metadata_delete_microseconds`; not on the page before its first use
    /// (docs/broker/status-and-metrics.md, "The $SYS tree").
    pub(super) metadata_delete: Histogram,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            values: [0; PLACES.len()],
            storage_read: Histogram::default(),
            storage_write: Histogram::default(),
            storage_scan: Histogram::default(),
            metadata_get: Histogram::default(),
            metadata_put: Histogram::default(),
            metadata_fold: Histogram::default(),
            metadata_delete: Histogram::default(),
        }
    }
}

impl Counts {
    /// Adds one.
    pub(super) fn add(&mut self, count: Count) {
        self.add_many(count, 1);
    }

    /// Adds `n`.
    pub(super) fn add_many(&mut self, count: Count, n: usize) {
        let value = &mut self.values[count as usize];
        *value = value.saturating_add(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// Adds one to the first for v4, to the second for v5.
    pub(super) fn add_for(&mut self, protocol: Protocol, v4: Count, v5: Count) {
        self.add(match protocol {
            Protocol::V4 => v4,
            Protocol::V5 => v5,
        });
    }

    /// Value of one.
    pub(super) fn get(&self, count: Count) -> i64 {
        self.values[count as usize]
    }

    /// Value at a place of the page; none for a line that the model never moves.
    pub(super) fn at(&self, family: &str, version: &str, code: &str) -> Option<i64> {
        INDEX.get(&(family, version, code)).map(|at| self.values[*at])
    }
}
