//! A VerneMQ 2.1.2 cluster without sockets, clock and randomness: it behaves
//! as the recordings under `tests/recordings/` show, with all the traps.
//!
//! Calls go in with `now`, events come out of [`ClusterModel::take_events`].
//! Time passes by [`ClusterModel::advance`]; [`ClusterModel::next_due`] says
//! when something will happen by itself. Whatever varied in reality is a
//! [`Spread`] of [`Settings`], and where in it an event falls follows from
//! [`Settings::seed`].

mod answer;
mod client;
mod command;
mod event;
mod page;
mod settings;

use lifecycle::{NodeName, Time};

pub use answer::{Answer, Row};
pub use client::{
    CloseReason, ConnId, Connect, DeliveryId, Filter, Goodbye, Protocol, Publish, PublishOutcome, Refusal,
    SubscribeOutcome, UnsubscribeOutcome, Will,
};
pub use command::{CallId, Command, Process, SessionFlag, Signal, Via};
pub use event::Event;
pub use page::{
    HealthAnswer, HealthPage, Kind, ListenerStatus, NodeHost, NodeStatus, Series, StatusListener, StatusPage,
};
pub use settings::{ManagementAuth, Rates, Settings, Spread, Timing};

/// A whole cluster, and nodes that are not (or no longer) part of it.
#[derive(Debug)]
pub struct ClusterModel {
    settings: Settings,
    now: Time,
    events: Vec<Event>,
    next_id: u64,
}

/// Things that went wrong in a lab, to be provoked by a test.
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
}

impl ClusterModel {
    /// An empty world.
    pub fn new(settings: Settings) -> Self {
        Self { settings, now: Time(0), events: Vec::new(), next_id: 0 }
    }

    /// Settings, to be changed for nodes alike.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Lets everything happen that is due up to `now`, in order. Time never goes back.
    pub fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// When something happens by itself next.
    pub fn next_due(&self) -> Option<Time> {
        None
    }

    /// What happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Starts the process of `node` on its disk as it is. `discover` is the
    /// peer of the image's join loop, which ends for good once the node is
    /// joined (vernemq.md §6.4). Ignored while the process is there.
    pub fn boot(&mut self, _node: &NodeName, _host: &NodeHost, _discover: Option<&NodeName>, now: Time) {
        self.advance(now);
    }

    /// Sends a signal to the process of `node`; ignored while there is none.
    pub fn signal(&mut self, _node: &NodeName, _signal: Signal, now: Time) {
        self.advance(now);
    }

    /// Deletes the disk of `node`; ignored while its process is there.
    pub fn wipe(&mut self, _node: &NodeName) {}

    /// State of the process of `node`.
    pub fn process(&self, _node: &NodeName) -> Process {
        Process::Absent
    }

    /// Makes something go wrong.
    pub fn fault(&mut self, _fault: &Fault, now: Time) {
        self.advance(now);
    }

    /// Asks for a command at `at`; the answer comes as [`Event::Answer`] or [`Event::CallCut`].
    pub fn request(&mut self, _at: &NodeName, _command: Command, _via: Via, now: Time) -> CallId {
        self.advance(now);
        self.next_id += 1;
        CallId(self.next_id)
    }

    /// The client of a command closed its connection.
    pub fn hang_up(&mut self, _call: CallId, now: Time) {
        self.advance(now);
    }

    /// Whether `key` opens `/api/v1` (scope `mgmt`) at `at`. Each node answers
    /// from its own list (`apikey_create.txt`). False is a 401.
    pub fn authorized(&mut self, _at: &NodeName, _key: Option<&str>) -> bool {
        self.settings.management_auth == ManagementAuth::Noauth
    }

    /// Whether HTTP connections to `at` are accepted.
    pub fn http_up(&self, _at: &NodeName) -> bool {
        false
    }

    /// A health page of `at`; only while [`Self::http_up`].
    pub fn health(&self, _at: &NodeName, _page: HealthPage) -> HealthAnswer {
        HealthAnswer { status: 200, body: r#"{"status":"OK"}"#.into() }
    }

    /// `/status.json` of `at`; only while [`Self::http_up`].
    pub fn status(&self, _at: &NodeName) -> StatusPage {
        StatusPage { nodes: Vec::new() }
    }

    /// `/metrics` of `at`, in the order of the page; only while [`Self::http_up`].
    pub fn metrics(&self, _at: &NodeName) -> Vec<Series> {
        Vec::new()
    }

    /// What `at` publishes under `$SYS/<node>/`: metric with `_` and value, labels summed.
    pub fn sys_metrics(&self, _at: &NodeName) -> Vec<(String, i64)> {
        Vec::new()
    }

    /// Whether MQTT connections to `at` are accepted.
    pub fn listening(&self, _at: &NodeName) -> bool {
        false
    }

    /// A CONNECT at `at`. The answer comes as [`Event::Connack`],
    /// [`Event::ConnackRefused`] or [`Event::Close`]; sometimes never.
    pub fn connect(&mut self, _at: &NodeName, _connect: Connect, now: Time) -> ConnId {
        self.advance(now);
        self.next_id += 1;
        ConnId(self.next_id)
    }

    /// A SUBSCRIBE. Retained messages follow as [`Event::Deliver`].
    pub fn subscribe(&mut self, _conn: ConnId, _filters: &[Filter], now: Time) -> SubscribeOutcome {
        self.advance(now);
        SubscribeOutcome::Silent
    }

    /// An UNSUBSCRIBE.
    pub fn unsubscribe(&mut self, _conn: ConnId, _filters: &[String], now: Time) -> UnsubscribeOutcome {
        self.advance(now);
        UnsubscribeOutcome::Silent
    }

    /// A PUBLISH.
    pub fn publish(&mut self, _conn: ConnId, _publish: Publish, now: Time) -> PublishOutcome {
        self.advance(now);
        PublishOutcome::Silent
    }

    /// The client completed a QoS 1 or 2 delivery; the next in the queue follows.
    pub fn acknowledged(&mut self, _conn: ConnId, _delivery: DeliveryId, now: Time) {
        self.advance(now);
    }

    /// A PINGREQ, for the counters.
    pub fn ping(&mut self, _conn: ConnId, now: Time) {
        self.advance(now);
    }

    /// The client goes. Does nothing for a connection that is gone.
    pub fn disconnect(&mut self, _conn: ConnId, _how: Goodbye, now: Time) {
        self.advance(now);
    }
}
