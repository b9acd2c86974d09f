//! The metrics of VerneMQ 2.1.2 by name: which of them count and which measure.
//!
//! `$SYS` carries no types, and a `_` of a name cannot be told from a `/`; the list answers both.
//! Source: `metrics_n1_after_load.prom`, less the prefix `vernemq_`.

/// Type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only rises, except for a reset.
    Counter,
    /// A level.
    Gauge,
    /// `_bucket`, `_sum` or `_count` of a histogram: rises as well.
    Histogram,
    /// Not known: shown without a type, used as a level.
    Untyped,
}

impl Kind {
    /// Only rises.
    pub fn counts(self) -> bool {
        matches!(self, Self::Counter | Self::Histogram)
    }
}

const COUNTERS: &[&str] = &[
    "bytes_received",
    "bytes_sent",
    "client_expired",
    "client_keepalive_expired",
    "cluster_bytes_dropped",
    "cluster_bytes_received",
    "cluster_bytes_sent",
    "mqtt_auth_received",
    "mqtt_auth_sent",
    "mqtt_connack_accepted_sent",
    "mqtt_connack_bad_credentials_sent",
    "mqtt_connack_identifier_rejected_sent",
    "mqtt_connack_not_authorized_sent",
    "mqtt_connack_sent",
    "mqtt_connack_server_unavailable_sent",
    "mqtt_connack_unacceptable_protocol_sent",
    "mqtt_connect_received",
    "mqtt_disconnect_received",
    "mqtt_disconnect_sent",
    "mqtt_invalid_msg_size_error",
    "mqtt_pingreq_received",
    "mqtt_pingresp_sent",
    "mqtt_puback_invalid_error",
    "mqtt_puback_received",
    "mqtt_puback_sent",
    "mqtt_pubcomp_invalid_error",
    "mqtt_pubcomp_received",
    "mqtt_pubcomp_sent",
    "mqtt_publish_auth_error",
    "mqtt_publish_error",
    "mqtt_publish_received",
    "mqtt_publish_sent",
    "mqtt_pubrec_invalid_error",
    "mqtt_pubrec_received",
    "mqtt_pubrec_sent",
    "mqtt_pubrel_received",
    "mqtt_pubrel_sent",
    "mqtt_suback_sent",
    "mqtt_subscribe_auth_error",
    "mqtt_subscribe_error",
    "mqtt_subscribe_received",
    "mqtt_unsuback_sent",
    "mqtt_unsubscribe_error",
    "mqtt_unsubscribe_received",
    "netsplit_detected",
    "netsplit_resolved",
    "queue_initialized_from_storage",
    "queue_message_drop",
    "queue_message_expired",
    "queue_message_in",
    "queue_message_out",
    "queue_message_unhandled",
    "queue_setup",
    "queue_teardown",
    "router_matches_local",
    "router_matches_remote",
    "socket_close",
    "socket_close_timeout",
    "socket_error",
    "socket_open",
    "system_context_switches",
    "system_exact_reductions",
    "system_gc_count",
    "system_io_in",
    "system_io_out",
    "system_reductions",
    "system_runtime",
    "system_wallclock",
    "system_words_reclaimed_by_gc",
];

const GAUGES: &[&str] = &[
    "active_mqtt_connections",
    "active_mqttws_connections",
    "queue_processes",
    "retain_memory",
    "retain_messages",
    "router_memory",
    "router_subscriptions",
    "swc_dotkeymap_memory",
    "swc_object_count",
    "swc_tombstone_count",
    "system_process_count",
    "system_run_queue",
    "system_utilization",
    "total_active_connections",
    "vm_memory_atom",
    "vm_memory_atom_used",
    "vm_memory_binary",
    "vm_memory_code",
    "vm_memory_ets",
    "vm_memory_processes",
    "vm_memory_processes_used",
    "vm_memory_system",
    "vm_memory_total",
];

const HISTOGRAMS: &[&str] = &[
    "metadata_delete_microseconds",
    "metadata_fold_microseconds",
    "metadata_get_microseconds",
    "metadata_put_microseconds",
    "storage_read_microseconds",
    "storage_scan_microseconds",
    "storage_write_microseconds",
];

/// One gauge a scheduler: as many as the node has cores.
const SCHEDULER: &str = "system_utilization_scheduler_";

/// Type of a metric by its plain name, and the base name where it is a part of a histogram.
pub fn kind_of(name: &str) -> Kind {
    if COUNTERS.binary_search(&name).is_ok() {
        Kind::Counter
    } else if GAUGES.binary_search(&name).is_ok() || is_scheduler(name) {
        Kind::Gauge
    } else if histogram_of(name).is_some_and(|base| HISTOGRAMS.binary_search(&base).is_ok()) {
        Kind::Histogram
    } else {
        Kind::Untyped
    }
}

/// The name of the histogram that `name` is a part of.
pub(crate) fn histogram_of(name: &str) -> Option<&str> {
    ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part))
}

/// Takes the bound out of a bucket's `$SYS` name: `x_bucket_10` is `x_bucket` with `le="10"`, `inf` is `+Inf`.
pub fn sys_name(name: &str) -> (&str, Option<&str>) {
    let Some((base, bound)) = name.rsplit_once('_') else { return (name, None) };
    let bucket = base.strip_suffix("_bucket").is_some_and(|base| HISTOGRAMS.binary_search(&base).is_ok());
    if !bucket {
        return (name, None);
    }
    match bound {
        "inf" => (base, Some("+Inf")),
        _ if !bound.is_empty() && bound.bytes().all(|byte| byte.is_ascii_digit()) => (base, Some(bound)),
        _ => (name, None),
    }
}

/// All names of families that the broker is known to have, schedulers left out: there are as many as cores.
pub fn known_families() -> impl Iterator<Item = &'static str> {
    COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS).copied()
}

/// The name is one that the broker is known to have.
pub fn is_known(sys: &str) -> bool {
    let (name, bound) = sys_name(sys);
    bound.is_some() || kind_of(name) != Kind::Untyped
}

fn is_scheduler(name: &str) -> bool {
    name.strip_prefix(SCHEDULER)
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_for_the_search() {
        for list in [COUNTERS, GAUGES, HISTOGRAMS] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn buckets_give_up_their_bound() {
        assert_eq!(
            sys_name("metadata_get_microseconds_bucket_10"),
            ("metadata_get_microseconds_bucket", Some("10"))
        );
        assert_eq!(
            sys_name("metadata_get_microseconds_bucket_inf"),
            ("metadata_get_microseconds_bucket", Some("+Inf"))
        );
        assert_eq!(sys_name("system_utilization_scheduler_1"), ("system_utilization_scheduler_1", None));
        assert_eq!(kind_of("system_utilization_scheduler_64"), Kind::Gauge);
        assert_eq!(kind_of("metadata_get_microseconds_sum"), Kind::Histogram);
        assert_eq!(kind_of("something_else"), Kind::Untyped);
    }
}
