//! A VerneMQ cluster, 2.1.2 or 2.2.0, without sockets, clock and randomness: it behaves
//! as the recordings under `tests/recordings/` show, with all the traps.
//!
//! Calls go in with `now`, events come out of [`ClusterModel::take_events`].
//! Time passes by [`ClusterModel::advance`]; [`ClusterModel::next_due`] says
//! when something will happen by itself. Whatever varied in reality is a
//! [`Spread`] of [`Settings`], and where in it an event falls follows from
//! [`Settings::seed`].

mod agenda;
mod answer;
mod api_key;
mod client;
mod command;
mod connect;
mod counts;
mod dead_leave;
mod disconnect;
mod event;
mod filter_tree;
mod join;
mod leave;
mod listener;
mod management;
mod membership;
mod metric_table;
mod metrics;
mod migration;
mod node;
mod page;
mod pages;
mod process;
mod pull;
mod queue;
mod routing;
mod session;
mod session_show;
mod settings;
mod store;
mod sync;
mod systree;
mod version;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lifecycle::{NodeName, Time};

use agenda::Task;
use node::{Ix, Node};
use queue::ClientKey;
use session::{Conn, Parting};
use store::{Store, StoreId};

pub use answer::{Answer, Row};
pub use client::{
    CloseReason, ConnId, Connect, DeliveryId, Filter, Goodbye, Protocol, Publish, PublishOutcome, Refusal,
    SubscribeOutcome, UnsubscribeOutcome, Will,
};
pub use command::{CallId, Command, Process, SessionFlag, Signal, Via};
pub use event::Event;
pub(crate) use listener::UNIX_TERM;
pub use listener::{ListenerSetting, Place, Transport};
pub use page::{
    HealthAnswer, HealthPage, Kind, ListenerStatus, NodeHost, NodeStatus, Series, StatusListener, StatusPage,
};
pub use settings::{ManagementAuth, Rates, Settings, Spread, TakeoverLoss, Timing};
pub use version::Version;

/// A whole cluster, and nodes that are not (or no longer) part of it.
#[derive(Debug)]
pub struct ClusterModel {
    settings: Settings,
    now: Time,
    // Taken by the caller after every call; what piles up between two is what
    // that call caused.
    events: Vec<Event>,
    // Bounded by what it belongs to: a handful of tasks per node, one per open
    // call, waiting CONNECT, migration and queue in state `drain`.
    agenda: BTreeMap<(Time, u64), Task>,
    sequence: u64,
    varied: u64,
    /// Until then the machine is busy with calls of `session disconnect clients`.
    disconnects_until: Time,
    next_id: u64,
    /// Queues that were pulled from node to node.
    pulls: u64,
    nodes: Vec<Node>,
    names: BTreeMap<NodeName, Ix>,
    stores: BTreeMap<StoreId, Store>,
    conns: BTreeMap<ConnId, Conn>,
    calls: BTreeMap<CallId, management::Call>,
    leaves: BTreeMap<u64, leave::Leave>,
    repairs: BTreeMap<u64, dead_leave::Repair>,
}

/// Things that went wrong in recordings, to be provoked by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A session process that survives its connection: `error, still online queues` (`q4_still_online.txt` E).
    PinSession {
        /// Node of the queue.
        node: NodeName,
        /// Client of the queue.
        client_id: String,
        /// Begins or ends.
        on: bool,
    },
    /// A queue without a subscriber record: its migration never ends (`q4_still_online.txt` C).
    StickQueue {
        /// Node of the queue.
        node: NodeName,
        /// Client of the queue.
        client_id: String,
        /// Begins or ends.
        on: bool,
    },
    /// A member that is never the one that hears of a leave from the leaver: it lists it as running until the end of
    /// its process, which may be long after `Done` ([`Timing::leave_exit`]; `leave_edge_cases.txt` F2: 6.1 s).
    /// Whether such a member refuses clients meanwhile was not recorded.
    DeafToLeaves {
        /// The member.
        node: NodeName,
        /// Begins or ends.
        on: bool,
    },
}

impl ClusterModel {
    /// An empty cluster.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            now: Time(0),
            events: Vec::new(),
            agenda: BTreeMap::new(),
            sequence: 0,
            varied: 0,
            disconnects_until: Time(0),
            next_id: 0,
            pulls: 0,
            nodes: Vec::new(),
            names: BTreeMap::new(),
            stores: BTreeMap::new(),
            conns: BTreeMap::new(),
            calls: BTreeMap::new(),
            leaves: BTreeMap::new(),
            repairs: BTreeMap::new(),
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn running(&self, name: &NodeName) -> Option<Ix> {
        self.find(name).filter(|ix| self.nodes[ix.0].running())
    }

    /// Settings, to be changed for nodes alike.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Lets everything happen that is due up to `now`, in order. Time never goes back.
    pub fn advance(&mut self, now: Time) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((time, _), task) = entry.remove_entry();
            self.now = self.now.max(time);
            self.run(task);
        }
        self.now = self.now.max(now);
    }

    /// When something happens by itself next.
    pub fn next_due(&self) -> Option<Time> {
        self.agenda.first_key_value().map(|((time, _), _)| *time)
    }

    /// What happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Starts the process of `node` on its disk as it is. `discover` is the
    /// peer of the image's join loop, which ends for good once the node is
    /// joined (docs/broker/kubernetes.md, "The image"). Ignored while the process is there.
    pub fn boot(&mut self, node: &NodeName, host: &NodeHost, discover: Option<&NodeName>, now: Time) {
        self.advance(now);
        self.boot_node(node, host, discover);
    }

    /// Sends a signal to the process of `node`; ignored while there is none.
    pub fn signal(&mut self, node: &NodeName, signal: Signal, now: Time) {
        self.advance(now);
        self.send_signal(node, signal);
    }

    /// Deletes the disk of `node`; ignored while its process is there.
    pub fn wipe(&mut self, node: &NodeName) {
        self.wipe_disk(node);
    }

    /// State of the process of `node`.
    pub fn process(&self, node: &NodeName) -> Process {
        self.process_of(node)
    }

    /// Makes something go wrong.
    pub fn fault(&mut self, fault: &Fault, now: Time) {
        self.advance(now);
        let (Fault::PinSession { node, .. }
        | Fault::StickQueue { node, .. }
        | Fault::DeafToLeaves { node, .. }) = fault;
        let Some(ix) = self.find(node) else { return };
        let node = &mut self.nodes[ix.0];
        match fault {
            Fault::PinSession { client_id, on, .. } => {
                if let Some(queue) = node.queues.get_mut(&ClientKey::new("", client_id)) {
                    queue.pinned = *on;
                }
            }
            Fault::StickQueue { client_id, on, .. } => {
                if let Some(queue) = node.queues.get_mut(&ClientKey::new("", client_id)) {
                    queue.stuck = *on;
                }
            }
            Fault::DeafToLeaves { on, .. } => node.deaf = *on,
        }
    }

    /// Asks for a command at `at`; the answer comes as [`Event::Answer`] or [`Event::CallCut`].
    pub fn request(&mut self, at: &NodeName, command: Command, via: Via, now: Time) -> CallId {
        self.advance(now);
        self.ask(at, command, via)
    }

    /// The client of a command closed its connection. A leave that has not
    /// begun is revoked by that (`q2_hanging_leave_http.txt`).
    pub fn hang_up(&mut self, call: CallId, now: Time) {
        self.advance(now);
        self.client_hangs_up(call);
    }

    /// Whether `key` opens what is of this scope at `at`: `mgmt` is `/api/v1`, `status`, `metrics` and `health`
    /// are the pages of these names. Each node answers from its own list (`apikey_create.txt`). False is a 401.
    pub fn authorized(&mut self, at: &NodeName, key: Option<&str>, scope: &str) -> bool {
        let open = match scope {
            "mgmt" => self.settings.management_auth == ManagementAuth::Noauth,
            page => !self.settings.keyed_pages.contains(&page),
        };
        if open {
            return true;
        }
        let (Some(ix), Some(key)) = (self.running(at), key) else { return false };
        self.keys_of(ix).iter().any(|known| known.key == key && known.scope == scope)
    }

    /// The live connection of a client, wherever it is.
    pub fn connection_of(&self, client_id: &str) -> Option<ConnId> {
        let is_its =
            |conn: &&session::Conn| conn.accepted && !conn.gone && conn.connect.client_id == client_id;
        self.conns.iter().find(|(_, conn)| is_its(conn)).map(|(id, _)| *id)
    }

    /// What `at` answers to `cluster show` at this moment: member → running.
    pub fn members_seen_by(&self, at: &NodeName) -> BTreeMap<NodeName, bool> {
        self.running(at).map(|ix| self.members_seen(ix).into_iter().collect()).unwrap_or_default()
    }

    /// Whether the process or the data of `node` are those of one that has left, whoever still lists it.
    pub fn has_left(&self, node: &NodeName) -> bool {
        self.find(node).is_some_and(|ix| self.nodes[ix.0].leaving || self.nodes[ix.0].disk.left)
    }

    /// Whether HTTP connections to `at` are accepted.
    pub fn http_up(&self, at: &NodeName) -> bool {
        self.find(at).is_some_and(|ix| self.nodes[ix.0].http)
    }

    /// A health page of `at`; only while [`Self::http_up`].
    pub fn health(&self, at: &NodeName, page: HealthPage) -> HealthAnswer {
        match self.running(at) {
            Some(ix) => self.health_of(ix, page),
            None => HealthAnswer { status: 500, body: String::new() },
        }
    }

    /// `/status.json` of `at`; only while [`Self::http_up`].
    pub fn status(&self, at: &NodeName) -> StatusPage {
        self.running(at).map_or_else(|| StatusPage { nodes: Vec::new() }, |ix| self.status_page(ix))
    }

    /// `/metrics` of `at`, in the order of the page; only while [`Self::http_up`].
    pub fn metrics(&self, at: &NodeName) -> Vec<Series> {
        self.running(at).map(|ix| self.metrics_of(ix)).unwrap_or_default()
    }

    /// What `at` publishes under `$SYS/<node>/`: metric with `_` and value, labels summed.
    pub fn sys_metrics(&self, at: &NodeName) -> Vec<(String, i64)> {
        self.running(at).map(|ix| self.sys_of(ix)).unwrap_or_default()
    }

    /// Whether any listener of `at` takes clients.
    pub fn listening(&self, at: &NodeName) -> bool {
        let listeners = self.running(at).map(|ix| &self.nodes[ix.0].listeners);
        listeners.is_some_and(|all| all.iter().any(|one| one.status == ListenerStatus::Running))
    }

    /// How the listener of `at` on this address and port is set.
    pub fn listener(&self, at: &NodeName, place: SocketAddr) -> Option<ListenerSetting> {
        self.listener_at(self.running(at)?, place).cloned()
    }

    /// A CONNECT at `at`. The answer comes as [`Event::Connack`],
    /// [`Event::ConnackRefused`] or [`Event::Close`]; sometimes never, and not while its listener is full.
    pub fn connect(&mut self, at: &NodeName, connect: Connect, now: Time) -> ConnId {
        self.advance(now);
        let conn = ConnId(self.new_id());
        let open = self.running(at).and_then(|ix| Some((ix, self.open_port(ix, connect.port)?)));
        match open {
            Some((ix, port)) => self.knock(ix, port, conn, connect),
            None => self.events.push(Event::Close { conn, reason: CloseReason::Plain }),
        }
        conn
    }

    /// A SUBSCRIBE. Retained messages follow as [`Event::Deliver`].
    pub fn subscribe(&mut self, conn: ConnId, filters: &[Filter], now: Time) -> SubscribeOutcome {
        self.advance(now);
        self.subscribe_client(conn, filters)
    }

    /// An UNSUBSCRIBE.
    pub fn unsubscribe(&mut self, conn: ConnId, filters: &[String], now: Time) -> UnsubscribeOutcome {
        self.advance(now);
        self.unsubscribe_client(conn, filters)
    }

    /// A PUBLISH.
    pub fn publish(&mut self, conn: ConnId, publish: Publish, now: Time) -> PublishOutcome {
        self.advance(now);
        self.publish_client(conn, publish)
    }

    /// The client completed a QoS 1 or 2 delivery; the next in the queue follows.
    pub fn acknowledged(&mut self, conn: ConnId, delivery: DeliveryId, now: Time) {
        self.advance(now);
        self.acknowledge(conn, delivery);
    }

    /// A PINGREQ, for the counters.
    pub fn ping(&mut self, conn: ConnId, now: Time) {
        self.advance(now);
        let Some((ix, protocol)) = self.conns.get(&conn).map(|c| (c.node, c.connect.protocol)) else {
            return;
        };
        let counts = &mut self.nodes[ix.0].counts;
        counts.add_for(protocol, counts::Count::PingreqReceived4, counts::Count::PingreqReceived5);
        counts.add_for(protocol, counts::Count::PingrespSent4, counts::Count::PingrespSent5);
    }

    /// The client goes. Does nothing for a connection that is gone.
    pub fn disconnect(&mut self, conn: ConnId, how: Goodbye, now: Time) {
        self.advance(now);
        self.part(conn, Parting::ByClient(how));
    }
}
