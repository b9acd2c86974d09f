//! Commands of the management layer: `/api/v1/…` and `vmq-admin …` alike.

use lifecycle::NodeName;

use super::Place;

/// A command that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// How a command came. The two differ in what an unfinished one does
/// (docs/broker/leave.md, "While a member is down") and in how failures read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `GET /api/v1/…`: cut at 60 s; a leave that has not begun dies with the connection.
    Http,
    /// `vmq-admin …`: RPC limit of 60 s, after which a waiting leave still waits.
    Admin,
}

/// Signal to a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// Life of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// Never started.
    Absent,
    /// Started; neither HTTP nor MQTT yet.
    Booting,
    /// Up. The command layer may still answer 400 for a moment.
    Running,
    /// No HTTP and MQTT any more, process still there.
    Stopping,
    /// Ended.
    Exited {
        /// Exit code; 137 for SIGKILL.
        code: i32,
    },
}

/// A column or a filter of `session show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFlag {
    /// `--client_id`: show it.
    Column(String),
    /// `--node=VerneMQ1@…`: only these. A value that begins with `~` is a pattern.
    Is(String, String),
}

/// A management command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `cluster show`.
    ClusterShow,
    /// `cluster leave`.
    ClusterLeave {
        /// `node=`; none is answered with an alert.
        node: Option<NodeName>,
        /// `-k`, `--kill_sessions`.
        kill: bool,
        /// `-i`, `--summary-interval`, seconds; 0 is a crash.
        summary_interval: u32,
        /// `-t`, `--timeout`, seconds: bounds only the wait for sessions to go offline.
        timeout: u32,
    },
    /// `cluster join discovery-node=`.
    ClusterJoin {
        /// A member.
        peer: NodeName,
    },
    /// `listener show`.
    ListenerShow,
    /// `listener start`: for a deleted one.
    ListenerStart {
        /// What to bind.
        place: Place,
    },
    /// `listener restart`: for a suspended one.
    ListenerRestart {
        /// What it is bound to.
        place: Place,
    },
    /// `session show`.
    SessionShow {
        /// Columns and filters; none shows the default columns.
        flags: Vec<SessionFlag>,
        /// `--limit`, per node; 100 by default.
        limit: Option<usize>,
    },
    /// `session disconnect client-id=`.
    SessionDisconnect {
        /// None is answered with the help text.
        client_id: Option<String>,
        /// `--mountpoint=`: whose session, the broker's own by default. One of another mountpoint is not touched
        /// (`listeners_mountpoint_unix.txt`).
        mountpoint: String,
        /// `--cleanup`: removes subscriptions and messages too.
        cleanup: bool,
    },
    /// `session disconnect clients client-ids=a,b`.
    DisconnectClients {
        /// None is answered with the help text.
        client_ids: Option<Vec<String>>,
        /// `--mountpoint=`.
        mountpoint: String,
        /// `--cleanup`.
        cleanup: bool,
    },
    /// `session disconnect batch count=`.
    DisconnectBatch {
        /// As typed; what is no number disconnects nobody. None is answered with the help text.
        count: Option<String>,
        /// `--node=`: a session must be on all of them, so two hit nobody.
        nodes: Vec<NodeName>,
        /// `--mountpoint=`.
        mountpoint: String,
        /// `--filter-client-ids=`: not these.
        except: Vec<String>,
        /// `--cleanup`.
        cleanup: bool,
    },
    /// `metrics show`.
    MetricsShow,
    /// `metrics reset`.
    MetricsReset,
    /// `node status`.
    NodeStatus,
    /// `node history`.
    NodeHistory,
    /// `node swc_sync_status`.
    SwcSyncStatus,
    /// `node stop`: stops the broker, not its process.
    NodeStop,
    /// `plugin show`.
    PluginShow,
    /// `api-key create`.
    ApiKeyCreate {
        /// `scope=`, default `mgmt`.
        scope: Option<String>,
    },
    /// `api-key add`.
    ApiKeyAdd {
        /// `key=`.
        key: String,
        /// `scope=`.
        scope: Option<String>,
    },
    /// `api-key show`.
    ApiKeyShow,
    /// `show systree_interval …`.
    ShowConfig {
        /// Names.
        names: Vec<String>,
    },
    /// A word that is no command, or a flag that is none.
    Unknown,
    /// `--help` over HTTP, which crashes.
    Help,
}
