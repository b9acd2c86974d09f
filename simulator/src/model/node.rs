//! One node: its process, its disk, its listener, its queues.

use lifecycle::{NodeName, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::counts::Counts;
use super::listener::{ListenerSetting, Place};
use super::metric_table::GROUPS;
use super::migration::Migration;
use super::queue::{ClientKey, Queue};
use super::store::{Key, StoreId};
use super::{ConnId, Connect, ListenerStatus, NodeHost, Process};

/// A node by its number in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ix(pub(super) usize);

/// What outlives the process.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// Members, this node included, as it knows them.
    pub(super) view: BTreeSet<Ix>,
    /// Shared metadata.
    pub(super) store: StoreId,
    /// Metadata was written here: a join is refused (`join_refused_after_client_on_newcomer.txt`).
    pub(super) dirty: bool,
    /// It left: the next start is a singleton (`restart_after_leave_and_dead_node.txt`).
    pub(super) left: bool,
    /// It issued a dead-node leave: the next start is alone for a while (`q3_…`).
    pub(super) state_deleted: bool,
}

/// The command layer of a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commands {
    /// 400: the commands are not registered yet.
    Unregistered,
    /// 500.
    Crashing,
    /// Answers.
    Ready,
}

/// A listener for clients; a deleted one is not there.
#[derive(Clone, Debug)]
pub(super) struct MqttListener {
    pub(super) status: ListenerStatus,
    pub(super) place: Place,
    pub(super) setting: ListenerSetting,
    /// None is `infinity`: one that `listener start` made (`last_node_and_undo.txt`).
    pub(super) max_conns: Option<u32>,
    /// `active_conns`.
    pub(super) active: usize,
    /// Accepted by TCP and taken by nobody: it is full, and no counter tells (`disc2_max_connections.txt`).
    pub(super) waiting: VecDeque<(ConnId, Connect)>,
}

/// A newcomer's first seconds: what is not known yet, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// It became a member.
    pub(super) since: Time,
    pub(super) own_view: Time,
    /// From an older node to the newcomer's subscribers.
    pub(super) out: Time,
    /// From the newcomer to anybody else.
    pub(super) back: Time,
    pub(super) groups: Groups,
    pub(super) own_subs: Time,
}

/// When each group of the replicated metadata is there.
pub(super) type Groups = [Time; GROUPS.len()];

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: NodeName,
    pub(super) host: NodeHost,
    pub(super) process: Process,
    /// Grows with each start and each end: tasks of an earlier life are void.
    pub(super) life: u64,
    pub(super) started: Time,
    pub(super) http: bool,
    pub(super) commands: Commands,
    pub(super) listeners: Vec<MqttListener>,
    pub(super) disk: Disk,
    /// Members that it is yet to hear of (docs/broker/join.md, "Joining").
    pub(super) hidden: BTreeSet<Ix>,
    /// Members that it sees running.
    pub(super) up: BTreeSet<Ix>,
    /// A netsplit is detected.
    pub(super) split: bool,
    /// All CONNECTs are refused until then, whatever the settings.
    pub(super) not_ready_until: Time,
    /// `/health` is 500 until then.
    pub(super) blip_until: Time,
    /// `cluster show` lists only this node until then.
    pub(super) alone_until: Time,
    /// Members before it came up alone.
    pub(super) lost_view: Option<BTreeSet<Ix>>,
    pub(super) joining: Option<Joining>,
    /// A join was asked of it that is not carried out yet.
    pub(super) entering: bool,
    /// When the first exchange of each group ended; none where there was none (`InitSynced` of 2.1.2).
    pub(super) exchanged: Option<Groups>,
    pub(super) queues: BTreeMap<ClientKey, Queue>,
    pub(super) conns: BTreeSet<ConnId>,
    /// Microseconds until which it is busy with CONNECTs.
    pub(super) connect_free_us: u64,
    pub(super) counts: Counts,
    /// Its cache of the API keys: read once, then its own (`apikey_create.txt`).
    pub(super) keys: Option<Vec<Key>>,
    /// A leave with `-k` that has begun on it.
    pub(super) migration: Option<Migration>,
    /// It has left and is about to stop.
    pub(super) leaving: bool,
    /// It hears of a leave only by the end of the leaver's process.
    pub(super) deaf: bool,
}

impl Node {
    pub(super) fn new(name: NodeName, ix: Ix, host: NodeHost, store: StoreId) -> Self {
        Self {
            name,
            host,
            process: Process::Absent,
            life: 0,
            started: Time(0),
            http: false,
            commands: Commands::Unregistered,
            listeners: Vec::new(),
            disk: Disk::fresh(ix, store),
            hidden: BTreeSet::new(),
            up: BTreeSet::new(),
            split: false,
            not_ready_until: Time(0),
            blip_until: Time(0),
            alone_until: Time(0),
            lost_view: None,
            joining: None,
            entering: false,
            exchanged: None,
            queues: BTreeMap::new(),
            conns: BTreeSet::new(),
            connect_free_us: 0,
            counts: Counts::default(),
            keys: None,
            migration: None,
            leaving: false,
            deaf: false,
        }
    }

    /// The broker runs and talks to the others.
    pub(super) fn running(&self) -> bool {
        self.process == Process::Running
    }

    /// Its process is there.
    pub(super) fn alive(&self) -> bool {
        matches!(self.process, Process::Booting | Process::Running | Process::Stopping)
    }

    /// Every member that it knows is up.
    pub(super) fn whole(&self) -> bool {
        self.disk.view.iter().all(|member| self.up.contains(member) || self.hidden.contains(member))
    }
}

impl Disk {
    pub(super) fn fresh(ix: Ix, store: StoreId) -> Self {
        Self { view: BTreeSet::from([ix]), store, dirty: false, left: false, state_deleted: false }
    }
}
