//! A cluster in the model, with clients that do what paho did in the recordings.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use lifecycle::{NodeName, Time};
use simulator::model::{
    Answer, CallId, CloseReason, ClusterModel, Command, ConnId, Connect, Event, Filter, Goodbye, HealthPage,
    ManagementAuth, NodeHost, NodeStatus, Process, Protocol, Publish, PublishOutcome, Refusal, Settings,
    Signal, SubscribeOutcome, Version, Via,
};

/// A message as a client got it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
}

/// What a client saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connack: Option<bool>,
    pub(crate) connack_at: u64,
    pub(crate) refused: Option<Refusal>,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) got: Vec<Got>,
    /// Keeps what it gets to itself: never acknowledges.
    pub(crate) mute: bool,
}

pub(crate) struct Harness {
    /// What nodes run that are booted from now on.
    pub(crate) version: Version,
    pub(crate) model: ClusterModel,
    pub(crate) now: u64,
    pub(crate) clients: BTreeMap<ConnId, Seen>,
    pub(crate) answers: BTreeMap<CallId, (u64, Option<Answer>)>,
    /// `Listening` and `Exited`, with their time.
    pub(crate) log: Vec<(u64, Event)>,
}

pub(crate) fn name(k: u8) -> NodeName {
    NodeName(format!("VerneMQ{k}@127.0.0.1{k}"))
}

pub(crate) fn host(k: u8) -> NodeHost {
    let at = |port| SocketAddr::from((Ipv4Addr::new(127, 0, 0, 10 + k), port));
    NodeHost {
        mqtt: at(1883),
        http: at(8888),
        cluster: at(44_053),
        build: "2.1.2".into(),
        version: Version::V2_1_2,
    }
}

/// Defaults of the broker, management open.
pub(crate) fn settings() -> Settings {
    Settings { management_auth: ManagementAuth::Noauth, ..Settings::default() }
}

/// `allow_*_during_netsplit = on`.
pub(crate) fn all_allowed() -> Settings {
    Settings {
        allow_register_during_netsplit: true,
        allow_publish_during_netsplit: true,
        allow_subscribe_during_netsplit: true,
        allow_unsubscribe_during_netsplit: true,
        ..settings()
    }
}

pub(crate) fn leave(node: &NodeName, timeout: u32) -> Command {
    Command::ClusterLeave { node: Some(node.clone()), kill: true, summary_interval: 1, timeout }
}

pub(crate) fn leave_without_kill(node: &NodeName) -> Command {
    Command::ClusterLeave { node: Some(node.clone()), kill: false, summary_interval: 1, timeout: 30 }
}

impl Harness {
    pub(crate) fn empty(settings: Settings) -> Self {
        Self {
            version: Version::default(),
            model: ClusterModel::new(settings),
            now: 1_000_000,
            clients: BTreeMap::new(),
            answers: BTreeMap::new(),
            log: Vec::new(),
        }
    }

    /// Nodes 1 to `n`, joined and settled.
    pub(crate) fn cluster(n: u8, settings: Settings) -> Self {
        Self::of(Version::default(), n, settings)
    }

    /// The same of a version, with its timing and an open management API.
    pub(crate) fn cluster_of(version: Version, n: u8) -> Self {
        let settings = Settings { management_auth: ManagementAuth::Noauth, ..Settings::of(version) };
        Self::of(version, n, settings)
    }

    fn of(version: Version, n: u8, settings: Settings) -> Self {
        let mut harness = Self { version, ..Self::empty(settings) };
        for k in 1..=n {
            harness.boot(k);
        }
        harness.run(4_000);
        for k in 2..=n {
            let (answer, _) = harness.http(k, Command::ClusterJoin { peer: name(1) });
            assert_eq!(answer, Some(Answer::Text("Done".into())));
        }
        harness.run(20_000);
        harness
    }

    pub(crate) fn boot(&mut self, k: u8) {
        let host = NodeHost { version: self.version, ..host(k) };
        self.model.boot(&name(k), &host, None, Time(self.now));
        self.sort_events();
    }

    pub(crate) fn signal(&mut self, k: u8, signal: Signal) {
        self.model.signal(&name(k), signal, Time(self.now));
        self.sort_events();
    }

    /// Lets `ms` pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.model.next_due().filter(|due| due.0 <= end) {
            self.now = self.now.max(due.0);
            self.model.advance(due);
            self.sort_events();
        }
        self.now = end;
        self.model.advance(Time(end));
        self.sort_events();
    }

    /// Runs until `done`, at most `ms`; how long it took.
    pub(crate) fn until(&mut self, ms: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        let start = self.now;
        while self.now - start <= ms {
            if done(self) {
                return Some(self.now - start);
            }
            self.run(10);
        }
        None
    }

    pub(crate) fn sort_events(&mut self) {
        loop {
            let events = self.model.take_events();
            if events.is_empty() {
                return;
            }
            for event in events {
                self.sort_event(event);
            }
        }
    }

    fn sort_event(&mut self, event: Event) {
        match event {
            Event::Connack { conn, session_present } => {
                let now = self.now;
                let seen = self.clients.entry(conn).or_default();
                seen.connack = Some(session_present);
                seen.connack_at = now;
            }
            Event::ConnackRefused { conn, reason } => {
                self.clients.entry(conn).or_default().refused = Some(reason);
            }
            Event::Close { conn, reason } => {
                self.clients.entry(conn).or_default().closed = Some(reason);
            }
            Event::Deliver { conn, delivery, topic, payload, qos, retain, dup } => {
                let seen = self.clients.entry(conn).or_default();
                assert!(seen.closed.is_none(), "a delivery to a closed connection");
                let mute = seen.mute;
                seen.got.push(Got { topic: topic.to_string(), payload, qos, retain, dup });
                if qos > 0 && !mute {
                    self.model.acknowledged(conn, delivery, Time(self.now));
                }
            }
            Event::Answer { call, answer } => {
                self.answers.insert(call, (self.now, Some(answer)));
            }
            Event::CallCut { call } => {
                self.answers.insert(call, (self.now, None));
            }
            event => self.log.push((self.now, event)),
        }
    }

    pub(crate) fn ask(&mut self, k: u8, command: Command, via: Via) -> CallId {
        let call = self.model.request(&name(k), command, via, Time(self.now));
        self.sort_events();
        call
    }

    /// Asks and waits for the end: the answer, or none for a cut, and milliseconds.
    pub(crate) fn wait(&mut self, k: u8, command: Command, via: Via) -> (Option<Answer>, u64) {
        let start = self.now;
        let call = self.ask(k, command, via);
        for _ in 0..400_000 {
            if let Some((at, answer)) = self.answers.remove(&call) {
                return (answer, at - start);
            }
            self.run(1);
        }
        panic!("never answered");
    }

    pub(crate) fn http(&mut self, k: u8, command: Command) -> (Option<Answer>, u64) {
        self.wait(k, command, Via::Http)
    }

    pub(crate) fn admin(&mut self, k: u8, command: Command) -> (Answer, u64) {
        let (answer, ms) = self.wait(k, command, Via::Admin);
        (answer.expect("vmq-admin always ends with something"), ms)
    }

    pub(crate) fn connect(&mut self, k: u8, connect: Connect) -> ConnId {
        let conn = self.model.connect(&name(k), connect, Time(self.now));
        self.clients.entry(conn).or_default();
        self.sort_events();
        conn
    }

    /// Connects and expects to be accepted; waits for it.
    pub(crate) fn session(&mut self, k: u8, id: &str, protocol: Protocol, clean: bool) -> ConnId {
        let conn = self.connect(k, Connect::new(id, protocol, clean));
        let accepted = self.until(20_000, |harness| harness.clients[&conn].connack.is_some());
        assert!(accepted.is_some(), "{id} at n{k}: {:?}", self.clients[&conn]);
        conn
    }

    pub(crate) fn subscribe(&mut self, conn: ConnId, filter: &str, qos: u8) -> SubscribeOutcome {
        let outcome = self.model.subscribe(conn, &[Filter::new(filter, qos)], Time(self.now));
        self.sort_events();
        outcome
    }

    pub(crate) fn publish(&mut self, conn: ConnId, topic: &str, payload: &str, qos: u8) -> PublishOutcome {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let publish = Publish { topic: topic.into(), payload, qos, retain: false };
        let outcome = self.model.publish(conn, publish, Time(self.now));
        self.sort_events();
        outcome
    }

    pub(crate) fn goodbye(&mut self, conn: ConnId) {
        self.model.disconnect(conn, Goodbye::Clean, Time(self.now));
        self.sort_events();
    }

    pub(crate) fn seen(&self, conn: ConnId) -> &Seen {
        &self.clients[&conn]
    }

    /// Payloads that a client got, in order.
    pub(crate) fn payloads(&self, conn: ConnId) -> Vec<String> {
        self.clients[&conn].got.iter().map(|g| String::from_utf8_lossy(&g.payload).into_owned()).collect()
    }

    /// `cluster/show` of a node as the recordings print it: `1=T 2=F`.
    pub(crate) fn show(&mut self, k: u8) -> String {
        let call = self.ask(k, Command::ClusterShow, Via::Http);
        match self.answers.remove(&call).map(|(_, answer)| answer) {
            Some(Some(Answer::Table(rows))) => {
                let mark_of = |row: &Vec<(String, serde_json::Value)>| {
                    let node = row[0].1.as_str().expect("a name").to_owned();
                    let mark = if row[1].1 == true { 'T' } else { 'F' };
                    format!("{}={mark}", node.chars().nth(7).expect("a digit"))
                };
                rows.iter().map(mark_of).collect::<Vec<_>>().join(" ")
            }
            Some(Some(Answer::HttpStatus(code))) => format!("ERR {code}"),
            Some(None) => "down".into(),
            other => panic!("cluster show: {other:?}"),
        }
    }

    pub(crate) fn health(&self, k: u8) -> (u16, String) {
        let answer = self.model.health(&name(k), HealthPage::Health);
        (answer.status, answer.body)
    }

    /// A node's own entry of its `/status.json`.
    pub(crate) fn status(&self, k: u8) -> NodeStatus {
        let page = self.model.status(&name(k));
        page.nodes.into_iter().find(|(node, _)| *node == name(k)).expect("its own entry").1
    }

    pub(crate) fn metric(&self, k: u8, family: &str) -> i64 {
        self.model.metrics(&name(k)).iter().filter(|s| s.name == family).map(|s| s.value).sum()
    }

    /// Replicated objects of a node, the deleted among them, and tombstones.
    pub(crate) fn objects(&self, k: u8) -> (i64, i64) {
        (self.metric(k, "swc_object_count"), self.metric(k, "swc_tombstone_count"))
    }

    /// Replicated objects of a node that are not deleted.
    pub(crate) fn live(&self, k: u8) -> i64 {
        let (all, deleted) = self.objects(k);
        all - deleted
    }

    /// Groups with `InitSynced` true on a node.
    pub(crate) fn synced(&mut self, k: u8) -> usize {
        let (Some(Answer::Table(rows)), _) = self.http(k, Command::SwcSyncStatus) else { panic!("no table") };
        rows.iter().filter(|row| row[1].1 == true).count()
    }

    pub(crate) fn gone(&self, k: u8) -> bool {
        matches!(self.model.process(&name(k)), Process::Exited { .. })
    }
}

/// A persistent v4 subscriber that goes offline at once.
pub(crate) fn park(harness: &mut Harness, k: u8, id: &str, filter: &str, qos: u8) {
    let conn = harness.session(k, id, Protocol::V4, false);
    harness.subscribe(conn, filter, qos);
    harness.goodbye(conn);
}

/// Many of them, as fast as the node takes them: `s0`, `s1`, … with a filter each.
pub(crate) fn park_many(harness: &mut Harness, k: u8, n: usize, filter: impl Fn(usize) -> String) {
    let connect = |s| Connect::new(format!("s{s}"), Protocol::V4, false);
    let conns: Vec<ConnId> = (0..n).map(|s| harness.connect(k, connect(s))).collect();
    for (s, conn) in conns.into_iter().enumerate() {
        harness.until(60_000, |harness| harness.seen(conn).connack.is_some()).expect("accepted");
        harness.subscribe(conn, &filter(s), 1);
        harness.goodbye(conn);
    }
}
