//! What the broker's metrics mean: one line each for `# HELP`. `$SYS` brings no descriptions.

/// Appends the line of `family`.
pub(super) fn help_into(out: &mut String, family: &str) {
    out.push_str("# HELP ");
    out.push_str(family);
    out.push(' ');
    if let Ok(index) = HELP.binary_search_by_key(&family, |(name, _)| name) {
        out.push_str(HELP[index].1);
    } else if family.starts_with(SCHEDULER) {
        out.push_str("Share of its time that this scheduler of the Erlang VM was busy, in percent.");
    } else {
        out.push_str("As the broker publishes it below $SYS/NODE/");
        out.push_str(&family.replace('_', "/"));
        out.push('.');
    }
    out.push('\n');
}

/// One metric for each core of the node.
const SCHEDULER: &str = "system_utilization_scheduler_";

/// By plain name, sorted. Counters count since the start of the node, or since `vmq-admin metrics reset`.
const HELP: &[(&str, &str)] = &[
    ("active_mqtt_connections", "MQTT connections over TCP and TLS that are open now."),
    ("active_mqttws_connections", "MQTT connections over WebSocket that are open now."),
    ("bytes_received", "Bytes that came in from clients."),
    ("bytes_sent", "Bytes that went out to clients."),
    ("client_expired", "Persistent sessions that ended because their client stayed away too long."),
    ("client_keepalive_expired", "Connections that were cut because nothing came within the keep-alive."),
    (
        "cluster_bytes_dropped",
        "Bytes for other nodes that were thrown away because the buffer to them was full.",
    ),
    ("cluster_bytes_received", "Bytes of forwarded messages that came from other nodes."),
    ("cluster_bytes_sent", "Bytes of forwarded messages that went to other nodes."),
    ("metadata_delete_microseconds", "Time to delete an entry of the metadata store."),
    ("metadata_fold_microseconds", "Time to walk over the metadata store."),
    ("metadata_get_microseconds", "Time to read an entry of the metadata store."),
    ("metadata_put_microseconds", "Time to write an entry of the metadata store."),
    ("mqtt_auth_received", "AUTH packets received (MQTT 5)."),
    ("mqtt_auth_sent", "AUTH packets sent (MQTT 5)."),
    ("mqtt_connack_accepted_sent", "CONNACK packets sent that accept the client."),
    ("mqtt_connack_bad_credentials_sent", "CONNACK packets sent that refuse user name or password."),
    ("mqtt_connack_identifier_rejected_sent", "CONNACK packets sent that refuse the client id."),
    ("mqtt_connack_not_authorized_sent", "CONNACK packets sent that say: not authorized."),
    ("mqtt_connack_sent", "CONNACK packets sent, whatever they say."),
    (
        "mqtt_connack_server_unavailable_sent",
        "CONNACK packets sent that say: server unavailable (netsplit, leave).",
    ),
    ("mqtt_connack_unacceptable_protocol_sent", "CONNACK packets sent that refuse the protocol version."),
    ("mqtt_connect_received", "CONNECT packets received."),
    ("mqtt_disconnect_received", "DISCONNECT packets received."),
    ("mqtt_disconnect_sent", "DISCONNECT packets sent (MQTT 5)."),
    ("mqtt_invalid_msg_size_error", "Packets larger than max_message_size."),
    ("mqtt_pingreq_received", "PINGREQ packets received."),
    ("mqtt_pingresp_sent", "PINGRESP packets sent."),
    ("mqtt_puback_invalid_error", "PUBACK packets received that nobody waited for."),
    ("mqtt_puback_received", "PUBACK packets received: deliveries at QoS 1 that were acknowledged."),
    ("mqtt_puback_sent", "PUBACK packets sent: publishes at QoS 1 that were acknowledged."),
    ("mqtt_pubcomp_invalid_error", "PUBCOMP packets received that nobody waited for."),
    ("mqtt_pubcomp_received", "PUBCOMP packets received: deliveries at QoS 2 that are complete."),
    ("mqtt_pubcomp_sent", "PUBCOMP packets sent: publishes at QoS 2 that are complete."),
    ("mqtt_publish_auth_error", "PUBLISH packets received that the client was not allowed to send."),
    ("mqtt_publish_error", "PUBLISH packets received that failed for another reason."),
    ("mqtt_publish_received", "PUBLISH packets received from clients, those that were refused included."),
    ("mqtt_publish_sent", "PUBLISH packets sent to clients, those of $SYS included."),
    ("mqtt_pubrec_invalid_error", "PUBREC packets received that nobody waited for."),
    ("mqtt_pubrec_received", "PUBREC packets received."),
    ("mqtt_pubrec_sent", "PUBREC packets sent."),
    ("mqtt_pubrel_received", "PUBREL packets received."),
    ("mqtt_pubrel_sent", "PUBREL packets sent."),
    ("mqtt_suback_sent", "SUBACK packets sent."),
    ("mqtt_subscribe_auth_error", "SUBSCRIBE packets received that the client was not allowed to send."),
    ("mqtt_subscribe_error", "SUBSCRIBE packets received that failed for another reason."),
    ("mqtt_subscribe_received", "SUBSCRIBE packets received."),
    ("mqtt_unsuback_sent", "UNSUBACK packets sent."),
    ("mqtt_unsubscribe_error", "UNSUBSCRIBE packets received that failed."),
    ("mqtt_unsubscribe_received", "UNSUBSCRIBE packets received."),
    ("netsplit_detected", "Times that this node lost sight of another member."),
    ("netsplit_resolved", "Times that this node saw all members again."),
    ("queue_initialized_from_storage", "Queues that were made again from stored messages."),
    ("queue_message_drop", "Messages that were thrown away because a queue was full."),
    ("queue_message_expired", "Messages that expired before they could be delivered."),
    ("queue_message_in", "Messages that went into a queue."),
    ("queue_message_out", "Messages that left a queue towards a client."),
    ("queue_message_unhandled", "Messages that were left when their queue ended."),
    ("queue_processes", "Queues there are now: one for each session, connected or not."),
    ("queue_setup", "Queues that were started."),
    ("queue_teardown", "Queues that were ended."),
    ("retain_memory", "Memory of the cache of retained messages, in bytes."),
    ("retain_messages", "Retained messages there are now."),
    ("router_matches_local", "Matches of a published message with a subscription on this node."),
    ("router_matches_remote", "Matches of a published message with subscriptions on another node."),
    ("router_memory", "Memory of the routing table, in bytes."),
    ("router_subscriptions", "Entries of this node's own routing table; nodes that are in step can differ."),
    ("socket_close", "Connections that have ended."),
    ("socket_close_timeout", "Connections that were cut because no CONNECT came in time."),
    ("socket_error", "Connections that ended by an error of the socket."),
    ("socket_open", "Connections that were accepted, MQTT or not."),
    ("storage_read_microseconds", "Time to read from the message store."),
    ("storage_scan_microseconds", "Time to look for stored messages of a queue."),
    ("storage_write_microseconds", "Time to write to the message store."),
    ("swc_dotkeymap_memory", "Memory of the metadata store's table of changes, in bytes."),
    ("swc_object_count", "Entries of the metadata store, those that are deleted included."),
    ("swc_tombstone_count", "Entries of the metadata store that are deleted and not yet swept."),
    ("system_context_switches", "Context switches of the Erlang VM."),
    ("system_exact_reductions", "Reductions (units of work) of the Erlang VM, counted exactly."),
    ("system_gc_count", "Garbage collections of the Erlang VM."),
    ("system_io_in", "Bytes that came into the Erlang VM through ports."),
    ("system_io_out", "Bytes that left the Erlang VM through ports."),
    ("system_process_count", "Erlang processes there are now."),
    ("system_reductions", "Reductions (units of work) of the Erlang VM."),
    ("system_run_queue", "Erlang processes that wait for a scheduler now."),
    ("system_runtime", "CPU time of all threads of the Erlang VM, in milliseconds."),
    (
        "system_utilization",
        "Mean share of their time that the schedulers of the Erlang VM were busy, in percent.",
    ),
    ("system_wallclock", "Time since the start of the Erlang VM, in milliseconds."),
    ("system_words_reclaimed_by_gc", "Words that garbage collections of the Erlang VM have freed."),
    ("total_active_connections", "Connections of clients that are open now, on all listeners."),
    ("vm_memory_atom", "Memory that the Erlang VM has for atoms, in bytes."),
    ("vm_memory_atom_used", "Memory that atoms use, in bytes."),
    ("vm_memory_binary", "Memory of binaries of the Erlang VM, in bytes."),
    ("vm_memory_code", "Memory of loaded code of the Erlang VM, in bytes."),
    ("vm_memory_ets", "Memory of the Erlang VM's tables (ETS), in bytes."),
    ("vm_memory_processes", "Memory that the Erlang VM has for processes, in bytes."),
    ("vm_memory_processes_used", "Memory that Erlang processes use, in bytes."),
    ("vm_memory_system", "Memory of the Erlang VM that belongs to no process, in bytes."),
    ("vm_memory_total", "Memory of the Erlang VM, in bytes."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler::metrics::known_families;

    fn help(family: &str) -> String {
        let mut out = String::new();
        help_into(&mut out, family);
        out
    }

    #[test]
    fn every_known_metric_has_a_line_of_its_own() {
        assert!(HELP.is_sorted_by_key(|(name, _)| name));
        let known: Vec<&str> = known_families().collect();
        for name in &known {
            assert!(!help(name).contains("below $SYS/NODE/"), "{name}");
        }
        for (name, text) in HELP {
            assert!(known.contains(name), "{name} is no metric of VerneMQ");
            assert!(text.ends_with('.') && !text.contains(['\\', '\n']), "{name}");
        }
    }

    #[test]
    fn an_unknown_one_is_told_by_its_topic() {
        assert_eq!(
            help("brand_new_metric"),
            "# HELP brand_new_metric As the broker publishes it below $SYS/NODE/brand/new/metric.\n"
        );
        assert!(help("system_utilization_scheduler_7").contains("this scheduler"));
    }
}
