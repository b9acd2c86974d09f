//! What was seen of the world in one reconcile, before anything is decided.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Time;

/// The number at the end of a StatefulSet pod's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ordinal(pub u32);

impl std::fmt::Display for Ordinal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A broker's own name in its cluster, such as `VerneMQ@vmq-0.vmq-headless.ns.svc.cluster.local`.
/// Asked of the broker (label `node` of its metrics), never composed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(pub String);

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A value that was read, or the reason why it is not known. Unknown is never
/// taken for zero, for empty or for the last value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<T> {
    /// Read in this reconcile.
    Seen(T),
    /// Not known, and why: `HTTP 400 while booting`, `no answer within 2 s`.
    Unknown(String),
}

impl<T> Observed<T> {
    /// The value, where there is one.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

/// Everything one reconcile saw, and what the decision wants.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The StatefulSet, read fresh.
    pub target: Target,
    /// Pods of the StatefulSet that exist, by ordinal.
    pub pods: BTreeMap<Ordinal, Pod>,
    /// The lowest ordinal that the size holds and that has no pod, and since when that has been seen.
    pub missing: Option<(Ordinal, Time)>,
    /// Volume claims of the StatefulSet's templates, by ordinal.
    pub claims: BTreeMap<Ordinal, Vec<Claim>>,
    /// When queues were last seen that no client's record accounts for ([`crate::Unsettled`]), while no change was under
    /// way: a change moves queues itself.
    pub unsettled: Option<Time>,
    /// What each pod's broker answered, by ordinal.
    pub nodes: BTreeMap<Ordinal, Node>,
    /// The size that the decision wants, inside min and max already.
    pub wish: u32,
    /// What forbids a shrink from outside this machine (numbers not fresh,
    /// headroom, churn budget, mode, ...). Never blocks a raise.
    pub shrink_vetoes: BTreeSet<Veto>,
    /// What forbids a raise (mode, paused, foreign owner, ...).
    pub grow_vetoes: BTreeSet<Veto>,
    /// What forbids to make a newcomer: that it could not be served, as far as was tried on a member. A pod that is
    /// there already is fenced all the same.
    pub raise_vetoes: BTreeSet<Veto>,
    /// Calls that this controller made for the current intent, and their outcome.
    /// Read before the nodes were asked: a call that had ended here was over when they answered.
    pub calls: Calls,
}

/// The StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.replicas`.
    pub replicas: u32,
    /// A rollout is under way: revisions differ, or the status is behind the generation.
    pub rollout: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// When it was last written to only to wake it: the annotation `vernescale.dev/touched`.
    pub touched: Option<Time>,
}

/// A pod, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`.
    pub uid: String,
    /// Condition `Ready` is true.
    pub ready: bool,
    /// `lastTransitionTime` of the condition `Ready`; none where there is no such condition.
    pub ready_changed: Option<Time>,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Label `vernescale.dev/serving`; none where the label is absent.
    pub serving: Option<bool>,
    /// Some EndpointSlice of the client Service lists the pod as ready or serving.
    pub routed: bool,
    /// Restarts of the broker's container.
    pub restarts: u32,
    /// The broker's container runs.
    pub running: bool,
    /// Image of the broker's container, for the check that coordinator and leaver are one build.
    pub image: String,
}

/// A persistent volume claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
}

/// How a node's management address answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answered, with whatever status.
    Answers,
    /// The connection was refused or reset: nobody listens there.
    Refused,
    /// No answer within the deadline, or no address.
    Silent,
}

/// One broker, as it speaks of itself and of the others.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its own name, as last heard from itself.
    pub name: Option<NodeName>,
    /// How its management address answered in this reconcile.
    pub reach: Reach,
    /// Its `cluster show`: member → running.
    pub members: Observed<BTreeMap<NodeName, bool>>,
    /// Its MQTT listeners from `listener show`; the cluster and HTTP listeners are left out.
    pub listeners: Observed<Vec<Listener>>,
    /// Counts of its own `/status.json` entry and `/metrics`.
    pub counts: Observed<Counts>,
    /// Replicated metadata objects, from its `/metrics`.
    pub objects: Observed<Objects>,
    /// Its groups of the replicated metadata; none where it was not asked, which it is only as a newcomer.
    pub groups: Option<Observed<Groups>>,
    /// Broker version; coordinator and leaver must run the same one.
    pub version: Observed<String>,
}

/// State of a listener in `listener show`. A deleted one is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListenerState {
    /// `running`.
    Running,
    /// `suspended`: a leave without `-k`, or `listener stop`.
    Suspended,
}

/// A listener that takes MQTT clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// `mqtt`, `mqtts`, `mqttws`, ...
    pub kind: String,
    /// IP address that it is bound to.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Running or suspended.
    pub state: ListenerState,
}

/// Counts of one node, from its own status page and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Sessions with a connection (`num_online`); can be negative in a migration backlog
    /// (docs/broker/status-and-metrics.md, "Negative counts").
    pub online: i64,
    /// Queues without a connection (`num_offline`), likewise.
    pub offline: i64,
    /// Queue processes (`queue_processes` of `/metrics`).
    pub queues: i64,
    /// Retained messages of the whole cluster as this node knows them.
    pub retained: i64,
}

/// Replicated metadata of one node: subscribers and retained messages of the whole cluster, as far as it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objects {
    /// Those that are not deleted: the sum of `swc_object_count` less `swc_tombstone_count` over all groups. Equal on
    /// all nodes that are in step, up to what is on its way (`join_sync_2.1.2.txt`, `join_sync_2.2.0.txt`); none where
    /// `/metrics` has no such gauge, as with another metadata plugin than `vmq_swc`.
    pub live: Option<i64>,
    /// When that was read.
    pub at: Time,
}

/// What `node swc_sync_status` says of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Groups with `InitSynced` true. 2.2.0 says so of all from the start, also on a node that has never joined.
    pub synced: u32,
    /// All groups; ten.
    pub all: u32,
}

/// Why a change of size is not allowed now. One name each: it is the
/// condition's reason, the metric's label and the log's field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Veto {
    /// CamelCase name.
    pub name: &'static str,
    /// One sentence with the numbers, and what would lift it.
    pub message: String,
    /// It stands because something is not known, not because something is known to forbid it. Nothing
    /// begins meanwhile; a shrink that has begun is held rather than undone, as long as its step may take.
    pub unknown: bool,
}

impl Veto {
    /// Something is known to forbid it.
    pub fn forbids(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into(), unknown: false }
    }

    /// Something that it depends on is not known.
    pub fn unknown(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, message: message.into(), unknown: true }
    }
}

/// Outcome of a call that may take long or whose answer may be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Call {
    /// Not made by this process for this intent (after a restart: not known).
    #[default]
    None,
    /// Under way.
    InFlight,
    /// Answered with this text (`Done`, `Unknown error: noproc`, ...).
    Answered(String),
    /// Refused before it began: 401, 400, connection refused.
    Refused(String),
    /// Cut, timed out or unreadable: it may have happened.
    Unknown(String),
}

/// Sessions that no command can disconnect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// How many.
    pub count: u32,
    /// The first of them, in words.
    pub named: String,
}

/// The calls of one intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// `cluster leave` without the kill flag.
    pub suspend: Call,
    /// `cluster leave -k`.
    pub leave: Call,
    /// `listener restart` or `listener start` of the undo.
    pub reopen: Call,
    /// One round of disconnects; answered with the number of ids that were kicked.
    pub drain: Call,
    /// Up to when the pace is used up by the rounds that this process has sent.
    pub drain_paid: Option<Time>,
    /// Sessions that this process has disconnected for this intent.
    pub drained: u32,
    /// Of those so many a second over the last ten seconds; none while that says nothing.
    pub drain_rate: Option<u32>,
    /// The same from the first to the last of them.
    pub drain_average: Option<u32>,
    /// Online sessions that no command can disconnect, of the last list of this process; none where there are none.
    pub drain_stay: Option<Stay>,
    /// The routing probe: answered with `crossed` when it was received in both directions.
    pub routing_probe: Call,
    /// When the last routing probe was sent by this process: one that was sent for another pod says nothing of this one.
    pub routing_probe_sent: Option<Time>,
}
