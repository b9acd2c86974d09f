//! `/health*` and `/status.json`.

use super::counts::Count;
use super::node::Ix;
use super::{Answer, ClusterModel, HealthAnswer, HealthPage, ListenerStatus, NodeStatus, StatusPage};

impl ClusterModel {
    /// Checks this node's membership and listeners, never the other members,
    /// and does not miss a deleted listener (docs/broker/http-api.md, "Health pages").
    pub(super) fn health_of(&self, ix: Ix, page: HealthPage) -> HealthAnswer {
        let node = &self.nodes[ix.0];
        if page == HealthPage::Health && self.now < node.blip_until {
            return HealthAnswer { status: 500, body: String::new() };
        }
        let mut reasons = Vec::new();
        if page == HealthPage::Health && !node.disk.view.contains(&ix) {
            reasons.push("Node has not joined cluster");
        }
        let suspended = node.listeners.iter().filter(|one| one.status == ListenerStatus::Suspended);
        // The other way round than they are shown (`disc2_listeners_all_transports.txt`).
        let suspended: Vec<_> = suspended.rev().map(|one| one.setting.transport.text()).collect();
        if page == HealthPage::Listeners && !suspended.is_empty() {
            return HealthAnswer { status: 503, body: listeners_body(&suspended) };
        }
        let not_ready = format!("Listeners are not ready: [{}]", suspended.join(","));
        if page != HealthPage::Ping && !suspended.is_empty() {
            reasons.push(&not_ready);
        }
        if page == HealthPage::ListenersFullCluster && !node.whole() {
            reasons.push("At least one node is offline");
        }
        if reasons.is_empty() {
            return HealthAnswer { status: 200, body: r#"{"status":"OK"}"#.into() };
        }
        let reasons = serde_json::Value::from(reasons);
        HealthAnswer { status: 503, body: format!(r#"{{"status":"DOWN","reasons":{reasons}}}"#) }
    }

    pub(super) fn status_page(&self, ix: Ix) -> StatusPage {
        let nodes = self.answering(ix);
        StatusPage {
            nodes: nodes.into_iter().map(|n| (self.nodes[n.0].name.clone(), self.status_of(n))).collect(),
        }
    }

    fn status_of(&self, ix: Ix) -> NodeStatus {
        let node = &self.nodes[ix.0];
        let get = |count| node.counts.get(count);
        let sum = |v4, v5| get(v4) + get(v5);
        let online = self.online(ix);
        NodeStatus {
            num_online: online,
            num_offline: self.queue_count(ix) - online,
            msg_in: sum(Count::PublishReceived4, Count::PublishReceived5),
            msg_out: sum(Count::PublishSent4, Count::PublishSent5),
            queue_in: get(Count::QueueIn),
            queue_out: get(Count::QueueOut),
            queue_drop: get(Count::QueueDrop),
            queue_unhandled: get(Count::QueueUnhandled),
            num_subscriptions: self.subscriptions_seen(ix),
            num_retained: self.retained_seen(ix),
            matches_local: get(Count::MatchesLocal),
            matches_remote: get(Count::MatchesRemote),
            version: node.host.version.name().into(),
            mystatus: self.members_seen(ix),
            listeners: self.listeners(ix),
        }
    }

    pub(super) fn node_status(&self, ix: Ix) -> Answer {
        let s = self.status_of(ix);
        let counts = [
            ("num_online", s.num_online),
            ("num_offline", s.num_offline),
            ("msg_in", s.msg_in),
            ("msg_out", s.msg_out),
            ("queue_in", s.queue_in),
            ("queue_out", s.queue_out),
            ("queue_drop", s.queue_drop),
            ("queue_unhandled", s.queue_unhandled),
            ("num_subscriptions", s.num_subscriptions),
            ("num_retained", s.num_retained),
            ("matches_local", s.matches_local),
            ("matches_remote", s.matches_remote),
        ];
        let row = |name: &str, value: serde_json::Value| {
            vec![("Status".to_owned(), name.into()), ("Value".to_owned(), value)]
        };
        let mut rows: Vec<_> = counts.iter().map(|(name, value)| row(name, (*value).into())).collect();
        rows.push(row("version", s.version.into()));
        Answer::Table(rows)
    }

    /// Connections, those that wait for their queue included.
    pub(super) fn online(&self, ix: Ix) -> i64 {
        i64::try_from(self.nodes[ix.0].conns.len()).unwrap_or(i64::MAX)
    }

    /// `queue_processes`.
    pub(super) fn queue_count(&self, ix: Ix) -> i64 {
        i64::try_from(self.nodes[ix.0].queues.len()).unwrap_or(i64::MAX)
    }
}

/// `/health/listeners` names the reason as the list of characters and lists that it is to Erlang
/// (`disc2_listeners_all_transports.txt`).
fn listeners_body(suspended: &[&str]) -> String {
    let mut names = Vec::new();
    for name in suspended {
        names.extend((!names.is_empty()).then(|| serde_json::json!(b',')));
        names.push(serde_json::json!(name.as_bytes()));
    }
    let mut reason: Vec<_> =
        b"Listeners are not ready: ".iter().map(|byte| serde_json::json!(byte)).collect();
    reason.push(serde_json::json!([b'[', names, b']']));
    format!(r#"{{"status":"DOWN","reason":{}}}"#, serde_json::Value::from(reason))
}
