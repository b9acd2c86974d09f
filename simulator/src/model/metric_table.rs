//! The metrics of VerneMQ 2.1.2: names, kinds, labels and order, generated from
//! `metrics_n1_after_load.prom`. `# HELP` and `# TYPE` come where a family is
//! first seen; lines of one family are not always together on the real page.

use super::page::Kind;

/// Labels beside `node`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Labels {
    /// None.
    Plain,
    /// `mqtt_version="4"`.
    V4,
    /// `mqtt_version="4"` and a second line with `"5"`.
    V4AndV5,
    /// `mqtt_version="4",return_code="…"`, a line for each.
    Returns(&'static [&'static str]),
    /// `mqtt_version="5",reason_code="…"`, a line for each.
    Reasons(&'static [&'static str]),
    /// `le="…"`, then `_count` and `_sum`.
    Histogram,
    /// `group="meta1"`, …, in the order of the text.
    Groups,
}

/// Lines of one family that stand together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Name without the prefix.
    pub(super) family: &'static str,
    /// Kind.
    pub(super) kind: Kind,
    /// Labels.
    pub(super) labels: Labels,
    /// Help text.
    pub(super) help: &'static str,
}

/// Upper bounds of histograms in the order of the page.
pub(super) const BOUNDS: [&str; 7] = ["+Inf", "1000000", "100000", "10000", "1000", "100", "10"];

/// Values of `group`, in the order of the page.
pub(super) const GROUPS: [&str; 10] =
    ["meta1", "meta10", "meta2", "meta3", "meta4", "meta5", "meta6", "meta7", "meta8", "meta9"];

mod codes {
    pub(super) const CONNACK_SENT_V4: &[&str] = &[
        "success",
        "unsupported_protocol_version",
        "client_identifier_not_valid",
        "server_unavailable",
        "bad_username_or_password",
        "not_authorized",
    ];
    pub(super) const DISCONNECT_RECEIVED_V5: &[&str] = &[
        "normal_disconnect",
        "disconnect_with_will_msg",
        "unspecified_error",
        "malformed_packet",
        "protocol_error",
        "impl_specific_error",
        "topic_name_invalid",
        "receive_max_exceeded",
        "topic_alias_invalid",
        "packet_too_large",
        "message_rate_too_high",
        "quota_exceeded",
        "administrative_action",
        "payload_format_invalid",
    ];
    pub(super) const DISCONNECT_SENT_V5: &[&str] = &[
        "normal_disconnect",
        "unspecified_error",
        "malformed_packet",
        "protocol_error",
        "impl_specific_error",
        "not_authorized",
        "server_busy",
        "server_shutting_down",
        "keep_alive_timeout",
        "session_taken_over",
        "topic_filter_invalid",
        "topic_name_invalid",
        "receive_max_exceeded",
        "topic_alias_invalid",
        "packet_too_large",
        "message_rate_too_high",
        "quota_exceeded",
        "administrative_action",
        "payload_format_invalid",
        "retain_not_supported",
        "qos_not_supported",
        "use_another_server",
        "server_moved",
        "shared_subs_not_supported",
        "connection_rate_exceeded",
        "max_connect_time",
        "subscription_ids_not_supported",
        "wildcard_subs_not_supported",
    ];
    pub(super) const CONNACK_SENT_V5: &[&str] = &[
        "success",
        "unspecified_error",
        "malformed_packet",
        "protocol_error",
        "impl_specific_error",
        "unsupported_protocol_version",
        "client_identifier_not_valid",
        "bad_username_or_password",
        "not_authorized",
        "server_unavailable",
        "server_busy",
        "banned",
        "bad_authentication_method",
        "topic_name_invalid",
        "packet_too_large",
        "quota_exceeded",
        "payload_format_invalid",
        "retain_not_supported",
        "qos_not_supported",
        "use_another_server",
        "server_moved",
        "connection_rate_exceeded",
    ];
    pub(super) const PUBACK_SENT_V5: &[&str] = &[
        "success",
        "no_matching_subscribers",
        "unspecified_error",
        "impl_specific_error",
        "not_authorized",
        "topic_name_invalid",
        "packet_id_in_use",
        "quota_exceeded",
        "payload_format_invalid",
    ];
    pub(super) const PUBREL_SENT_V5: &[&str] = &["success", "packet_id_not_found"];
    pub(super) const AUTH_SENT_V5: &[&str] = &["success", "continue_authentication", "reauthenticate"];
}

const fn run(family: &'static str, kind: Kind, labels: Labels, help: &'static str) -> Run {
    Run { family, kind, labels, help }
}

/// The page, run by run.
#[rustfmt::skip]
pub(super) const RUNS: &[Run] = &[
    run("socket_open", Kind::Counter, Labels::Plain, "The number of times an MQTT socket has been opened."),
    run("socket_close", Kind::Counter, Labels::Plain, "The number of times an MQTT socket has been closed."),
    run("socket_close_timeout", Kind::Counter, Labels::Plain, "The number of times VerneMQ closed an MQTT socket due to no CONNECT frame has been received on time."),
    run("socket_error", Kind::Counter, Labels::Plain, "The total number of socket errors that have occurred."),
    run("bytes_received", Kind::Counter, Labels::Plain, "The total number of bytes received."),
    run("bytes_sent", Kind::Counter, Labels::Plain, "The total number of bytes sent."),
    run("mqtt_connect_received", Kind::Counter, Labels::V4AndV5, "The number of CONNECT packets received."),
    run("mqtt_publish_received", Kind::Counter, Labels::V4AndV5, "The number of PUBLISH packets received."),
    run("mqtt_puback_received", Kind::Counter, Labels::V4, "The number of PUBACK packets received."),
    run("mqtt_pubrec_received", Kind::Counter, Labels::V4, "The number of PUBREC packets received."),
    run("mqtt_pubrel_received", Kind::Counter, Labels::V4, "The number of PUBREL packets received."),
    run("mqtt_pubcomp_received", Kind::Counter, Labels::V4, "The number of PUBCOMP packets received."),
    run("mqtt_subscribe_received", Kind::Counter, Labels::V4AndV5, "The number of SUBSCRIBE packets received."),
    run("mqtt_unsubscribe_received", Kind::Counter, Labels::V4AndV5, "The number of UNSUBSCRIBE packets received."),
    run("mqtt_pingreq_received", Kind::Counter, Labels::V4AndV5, "The number of PINGREQ packets received."),
    run("mqtt_disconnect_received", Kind::Counter, Labels::V4, "The number of DISCONNECT packets received."),
    run("mqtt_connack_accepted_sent", Kind::Counter, Labels::V4, "The number of times a connection has been accepted."),
    run("mqtt_connack_unacceptable_protocol_sent", Kind::Counter, Labels::V4, "The number of times the broker is not able to support the requested protocol."),
    run("mqtt_connack_identifier_rejected_sent", Kind::Counter, Labels::V4, "The number of times a client was rejected due to a unacceptable identifier."),
    run("mqtt_connack_server_unavailable_sent", Kind::Counter, Labels::V4, "The number of times a client was rejected due the the broker being unavailable."),
    run("mqtt_connack_bad_credentials_sent", Kind::Counter, Labels::V4, "The number of times a client sent bad credentials."),
    run("mqtt_connack_not_authorized_sent", Kind::Counter, Labels::V4, "The number of times a client was rejected due to insufficient authorization."),
    run("mqtt_publish_sent", Kind::Counter, Labels::V4AndV5, "The number of PUBLISH packets sent."),
    run("mqtt_puback_sent", Kind::Counter, Labels::V4, "The number of PUBACK packets sent."),
    run("mqtt_pubrec_sent", Kind::Counter, Labels::V4, "The number of PUBREC packets sent."),
    run("mqtt_pubrel_sent", Kind::Counter, Labels::V4, "The number of PUBREL packets sent."),
    run("mqtt_pubcomp_sent", Kind::Counter, Labels::V4, "The number of PUBCOMP packets sent."),
    run("mqtt_suback_sent", Kind::Counter, Labels::V4AndV5, "The number of SUBACK packets sent."),
    run("mqtt_unsuback_sent", Kind::Counter, Labels::V4AndV5, "The number of UNSUBACK packets sent."),
    run("mqtt_pingresp_sent", Kind::Counter, Labels::V4AndV5, "The number of PINGRESP packets sent."),
    run("mqtt_publish_auth_error", Kind::Counter, Labels::V4AndV5, "The number of unauthorized publish attempts."),
    run("mqtt_subscribe_auth_error", Kind::Counter, Labels::V4AndV5, "The number of unauthorized subscription attempts."),
    run("mqtt_invalid_msg_size_error", Kind::Counter, Labels::V4AndV5, "The number of packages exceeding the maximum allowed size."),
    run("mqtt_puback_invalid_error", Kind::Counter, Labels::V4AndV5, "The number of unexpected PUBACK messages received."),
    run("mqtt_pubrec_invalid_error", Kind::Counter, Labels::V4, "The number of unexpected PUBREC messages received."),
    run("mqtt_pubcomp_invalid_error", Kind::Counter, Labels::V4AndV5, "The number of unexpected PUBCOMP messages received."),
    run("mqtt_publish_error", Kind::Counter, Labels::V4AndV5, "The number of times a PUBLISH operation failed due to a netsplit."),
    run("mqtt_subscribe_error", Kind::Counter, Labels::V4AndV5, "The number of times a SUBSCRIBE operation failed due to a netsplit."),
    run("mqtt_unsubscribe_error", Kind::Counter, Labels::V4AndV5, "The number of times an UNSUBSCRIBE operation failed due to a netsplit."),
    run("client_keepalive_expired", Kind::Counter, Labels::V4AndV5, "The number of clients which failed to communicate within the keepalive time period."),
    run("queue_setup", Kind::Counter, Labels::Plain, "The number of times a MQTT queue process has been started."),
    run("queue_initialized_from_storage", Kind::Counter, Labels::Plain, "The number of times a MQTT queue process has been initialized from offline storage."),
    run("queue_teardown", Kind::Counter, Labels::Plain, "The number of times a MQTT queue process has been terminated."),
    run("queue_message_drop", Kind::Counter, Labels::Plain, "The number of messages dropped due to full queues."),
    run("queue_message_expired", Kind::Counter, Labels::Plain, "The number of messages which expired before delivery."),
    run("queue_message_unhandled", Kind::Counter, Labels::Plain, "The number of unhandled messages when connecting with clean session=true or QoS0 for offline sessions."),
    run("queue_message_in", Kind::Counter, Labels::Plain, "The number of PUBLISH packets received by MQTT queue processes."),
    run("queue_message_out", Kind::Counter, Labels::Plain, "The number of PUBLISH packets sent from MQTT queue processes."),
    run("client_expired", Kind::Counter, Labels::Plain, "Not in use (deprecated)"),
    run("cluster_bytes_received", Kind::Counter, Labels::Plain, "The number of bytes received from other cluster nodes."),
    run("cluster_bytes_sent", Kind::Counter, Labels::Plain, "The number of bytes send to other cluster nodes."),
    run("cluster_bytes_dropped", Kind::Counter, Labels::Plain, "The number of bytes dropped while sending data to other cluster nodes."),
    run("router_matches_local", Kind::Counter, Labels::Plain, "The number of matched local subscriptions."),
    run("router_matches_remote", Kind::Counter, Labels::Plain, "The number of matched remote subscriptions."),
    run("mqtt_connack_sent", Kind::Counter, Labels::Returns(codes::CONNACK_SENT_V4), "The number of CONNACK packets sent."),
    run("mqtt_disconnect_received", Kind::Counter, Labels::Reasons(codes::DISCONNECT_RECEIVED_V5), "The number of DISCONNECT packets received."),
    run("mqtt_disconnect_sent", Kind::Counter, Labels::Reasons(codes::DISCONNECT_SENT_V5), "The number of DISCONNECT packets sent."),
    run("mqtt_connack_sent", Kind::Counter, Labels::Reasons(codes::CONNACK_SENT_V5), "The number of CONNACK packets sent."),
    run("mqtt_puback_sent", Kind::Counter, Labels::Reasons(codes::PUBACK_SENT_V5), "The number of PUBACK packets sent."),
    run("mqtt_puback_received", Kind::Counter, Labels::Reasons(codes::PUBACK_SENT_V5), "The number of PUBACK packets received."),
    run("mqtt_pubrec_sent", Kind::Counter, Labels::Reasons(codes::PUBACK_SENT_V5), "The number of PUBREC packets sent."),
    run("mqtt_pubrec_received", Kind::Counter, Labels::Reasons(codes::PUBACK_SENT_V5), "The number of PUBREC packets received."),
    run("mqtt_pubrel_sent", Kind::Counter, Labels::Reasons(codes::PUBREL_SENT_V5), "The number of PUBREL packets sent."),
    run("mqtt_pubrel_received", Kind::Counter, Labels::Reasons(codes::PUBREL_SENT_V5), "The number of PUBREL packets received."),
    run("mqtt_pubcomp_sent", Kind::Counter, Labels::Reasons(codes::PUBREL_SENT_V5), "The number of PUBCOMP packets sent."),
    run("mqtt_pubcomp_received", Kind::Counter, Labels::Reasons(codes::PUBREL_SENT_V5), "The number of PUBCOMP packets received."),
    run("mqtt_auth_sent", Kind::Counter, Labels::Reasons(codes::AUTH_SENT_V5), "The number of AUTH packets sent."),
    run("mqtt_auth_received", Kind::Counter, Labels::Reasons(codes::AUTH_SENT_V5), "The number of AUTH packets received."),
    run("total_active_connections", Kind::Gauge, Labels::Plain, "The total number of active MQTT and MQTTWS connections."),
    run("active_mqtt_connections", Kind::Gauge, Labels::Plain, "The number of active MQTT(S) connections."),
    run("active_mqttws_connections", Kind::Gauge, Labels::Plain, "The number of active MQTT WS(S) connections."),
    run("queue_processes", Kind::Gauge, Labels::Plain, "The number of MQTT queue processes."),
    run("retain_memory", Kind::Gauge, Labels::Plain, "The number of bytes used for storing retained messages."),
    run("retain_messages", Kind::Gauge, Labels::Plain, "The number of currently stored retained messages."),
    run("router_memory", Kind::Gauge, Labels::Plain, "The number of bytes used by the routing table."),
    run("router_subscriptions", Kind::Gauge, Labels::Plain, "The number of subscriptions in the routing table."),
    run("netsplit_resolved", Kind::Counter, Labels::Plain, "The number of resolved netsplits."),
    run("netsplit_detected", Kind::Counter, Labels::Plain, "The number of detected netsplits."),
    run("system_utilization_scheduler_4", Kind::Gauge, Labels::Plain, "Scheduler 4 utilization (percentage)"),
    run("system_utilization_scheduler_3", Kind::Gauge, Labels::Plain, "Scheduler 3 utilization (percentage)"),
    run("system_utilization_scheduler_2", Kind::Gauge, Labels::Plain, "Scheduler 2 utilization (percentage)"),
    run("system_utilization_scheduler_1", Kind::Gauge, Labels::Plain, "Scheduler 1 utilization (percentage)"),
    run("system_utilization", Kind::Gauge, Labels::Plain, "The average system (scheduler) utilization (percentage)."),
    run("vm_memory_ets", Kind::Gauge, Labels::Plain, "The amount of memory allocated for ETS tables."),
    run("vm_memory_code", Kind::Gauge, Labels::Plain, "The amount of memory allocated for code."),
    run("vm_memory_binary", Kind::Gauge, Labels::Plain, "The amount of memory allocated for binaries."),
    run("vm_memory_atom_used", Kind::Gauge, Labels::Plain, "The amount of memory used by atoms."),
    run("vm_memory_atom", Kind::Gauge, Labels::Plain, "The amount of memory allocated for atoms."),
    run("vm_memory_system", Kind::Gauge, Labels::Plain, "The amount of memory allocated for the emulator."),
    run("vm_memory_processes_used", Kind::Gauge, Labels::Plain, "The amount of memory used by processes."),
    run("vm_memory_processes", Kind::Gauge, Labels::Plain, "The amount of memory allocated for processes."),
    run("vm_memory_total", Kind::Gauge, Labels::Plain, "The total amount of memory allocated."),
    run("system_process_count", Kind::Gauge, Labels::Plain, "The number of Erlang processes."),
    run("system_wallclock", Kind::Counter, Labels::Plain, "The number of milli-seconds passed since the node was started."),
    run("system_runtime", Kind::Counter, Labels::Plain, "The sum of the runtime for all threads in the Erlang runtime system."),
    run("system_run_queue", Kind::Gauge, Labels::Plain, "The total number of processes and ports ready to run on all run-queues."),
    run("system_reductions", Kind::Counter, Labels::Plain, "The number of reductions performed in the VM since the node was started."),
    run("system_io_out", Kind::Counter, Labels::Plain, "The total number of bytes sent through ports."),
    run("system_io_in", Kind::Counter, Labels::Plain, "The total number of bytes received through ports."),
    run("system_words_reclaimed_by_gc", Kind::Counter, Labels::Plain, "The number of words reclaimed by the garbage collector."),
    run("system_gc_count", Kind::Counter, Labels::Plain, "The number of garbage collections performed."),
    run("system_exact_reductions", Kind::Counter, Labels::Plain, "The exact number of reductions performed."),
    run("system_context_switches", Kind::Counter, Labels::Plain, "The total number of context switches."),
    run("storage_scan_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the storage scan latency."),
    run("storage_read_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the storage read latency."),
    run("storage_write_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the storage write latency."),
    run("metadata_put_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the metadata put latency."),
    run("metadata_fold_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the metadata fold latency."),
    run("metadata_get_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the metadata get latency."),
    run("metadata_delete_microseconds", Kind::Histogram, Labels::Histogram, "A histogram of the metadata delete latency."),
    run("swc_dotkeymap_memory", Kind::Gauge, Labels::Groups, "The number of words allocated to the SWC group dotkeymap."),
    run("swc_object_count", Kind::Gauge, Labels::Groups, "The number of replicated objects by this SWC group."),
    run("swc_tombstone_count", Kind::Gauge, Labels::Groups, "The number of replicated tombstones by this SWC group."),
];
