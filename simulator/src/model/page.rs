//! What the pages of a node say: `/health*`, `/status.json`, `/metrics`, `$SYS`.

use std::net::SocketAddr;

use lifecycle::NodeName;

use super::Version;

/// A page under `/health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthPage {
    /// `/health`.
    Health,
    /// `/health/ping`.
    Ping,
    /// `/health/listeners`.
    Listeners,
    /// `/health/listeners_full_cluster`.
    ListenersFullCluster,
}

/// Reply of a health page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthAnswer {
    /// 200, 503, or 500 with an empty body.
    pub status: u16,
    /// JSON text.
    pub body: String,
}

/// Where a node listens, for `listener show` and `/status.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHost {
    /// MQTT.
    pub mqtt: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
    /// Between nodes.
    pub cluster: SocketAddr,
    /// Build of the broker: two that differ cannot ask each other to leave (`q5_mixed_build_leave.txt`).
    pub build: String,
    /// Version of the broker.
    pub version: Version,
}

/// State of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerStatus {
    /// `running`.
    Running,
    /// `suspended`.
    Suspended,
}

/// A listener of `/status.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusListener {
    /// `mqtt`, `mqtts`, `mqttws`, `mqttwss`, `http` or `vmq`.
    pub kind: &'static str,
    /// State.
    pub status: ListenerStatus,
    /// Address, or the path of a Unix socket.
    pub address: String,
    /// Port; 0 for a Unix socket.
    pub port: u16,
    /// Mountpoint.
    pub mountpoint: String,
    /// Most connections; none is `"infinity"`.
    pub max_conns: Option<u32>,
}

/// One node's entry of `/status.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Connections.
    pub num_online: i64,
    /// Queues less connections: wrong, even negative, while CONNECTs wait
    /// (docs/broker/status-and-metrics.md, "Negative counts").
    pub num_offline: i64,
    /// PUBLISHes received.
    pub msg_in: i64,
    /// PUBLISHes sent.
    pub msg_out: i64,
    /// Messages into queues.
    pub queue_in: i64,
    /// Messages out of queues.
    pub queue_out: i64,
    /// Messages dropped.
    pub queue_drop: i64,
    /// Messages that were left when their queue ended.
    pub queue_unhandled: i64,
    /// Rows of this node's own routing trie: filters of its own clients, and filters that some other node has
    /// (`num_subscriptions_not_comparable.txt`). Two nodes of one cluster differ for ever.
    pub num_subscriptions: i64,
    /// Retained messages of the cluster as the node knows them.
    pub num_retained: i64,
    /// Matches on this node.
    pub matches_local: i64,
    /// Matches on others.
    pub matches_remote: i64,
    /// Version of the broker.
    pub version: String,
    /// Members and whether they run, as this node sees them.
    pub mystatus: Vec<(NodeName, bool)>,
    /// Listeners.
    pub listeners: Vec<StatusListener>,
}

/// `/status.json`: every node that answers; a dead one is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusPage {
    /// By node.
    pub nodes: Vec<(NodeName, NodeStatus)>,
}

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Falls only when reset.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Series `_bucket`, `_count` and `_sum`.
    Histogram,
}

/// A line of `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Name of the family, without the prefix `vernemq_`: that of `# TYPE`.
    pub family: &'static str,
    /// Name of the line, without the prefix; a histogram's has a suffix.
    pub name: String,
    /// Text of `# HELP`.
    pub help: &'static str,
    /// Kind of the family.
    pub kind: Kind,
    /// Labels; the first is `node`.
    pub labels: Vec<(&'static str, String)>,
    /// Value.
    pub value: i64,
}
