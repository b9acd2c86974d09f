//! `listener show`, `listener start`, `listener restart`, and what a listener lets in.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::Value;

use super::agenda::Task;
use super::management::done;
use super::node::{Ix, MqttListener};
use super::{
    Answer, CallId, CloseReason, ClusterModel, ConnId, Connect, Event, ListenerStatus, Row, StatusListener,
};

/// Connections of the default listener (`http_api.txt`).
const MAX_CONNS: u32 = 10_000;

/// Acceptors of the default listener: 5 connections set, 50 served (`disc2_max_connections.txt`).
const ACCEPTORS: u32 = 10;

/// Connections that wait at a full listener; more are closed. As many wait in the kernel (`somaxconn`).
const WAITING_MAX: usize = 1_024;

/// Transport of a listener for clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP, or a Unix socket.
    #[default]
    Mqtt,
    /// TLS.
    Mqtts,
    /// WebSocket.
    Mqttws,
    /// WebSocket over TLS.
    Mqttwss,
}

impl Transport {
    /// As `listener show` names it (`disc2_listeners_all_transports.txt`).
    pub fn text(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Mqttws => "mqttws",
            Self::Mqttwss => "mqttwss",
        }
    }

    /// Over WebSocket: held no limit of connections (`disc2_max_connections.txt`: 5 set, 700 served).
    fn websocket(self) -> bool {
        matches!(self, Self::Mqttws | Self::Mqttwss)
    }
}

impl MqttListener {
    /// Each acceptor takes `max_connections`.
    fn full(&self) -> bool {
        let limit = self.max_conns.filter(|_| !self.setting.transport.websocket());
        limit.is_some_and(|each| self.active >= each as usize * self.setting.acceptors as usize)
    }

    /// 0 for a Unix socket.
    fn port(&self) -> u16 {
        match self.place {
            Place::Tcp(address) => address.port(),
            Place::Unix(_) => 0,
        }
    }
}

/// Begin of what `listener show` has for the address of a Unix socket (`listeners_mountpoint_unix.txt`).
pub(crate) const UNIX_TERM: &str = "{local,\"";

/// What a listener is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket: shown by its path, with port 0; `local:PATH` in a command.
    Unix(String),
}

/// A listener for clients, as every node's configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSetting {
    /// Only plain TCP is opened here; a test that wants another plays it itself, in front of a plain one.
    pub transport: Transport,
    /// Port on the node's own address; none where it is a Unix socket.
    pub port: Option<u16>,
    /// Path of the Unix socket.
    pub path: String,
    /// `mountpoint`: of sessions and of [`super::Settings::known_clients`]; topics are not kept apart by it.
    pub mountpoint: String,
    /// `allowed_protocol_versions`: 4 and 5 are played.
    pub versions: Vec<u8>,
    /// `proxy_protocol`: a connection begins with a PROXY header, or ends at once.
    pub proxy: bool,
    /// `max_connections`: so many for each acceptor.
    pub max_conns: Option<u32>,
    /// `nr_of_acceptors`.
    pub acceptors: u32,
}

impl ListenerSetting {
    /// As the default one, on this port.
    pub fn on(port: u16) -> Self {
        Self {
            transport: Transport::Mqtt,
            port: Some(port),
            path: String::new(),
            mountpoint: String::new(),
            versions: vec![4, 5],
            proxy: false,
            max_conns: Some(MAX_CONNS),
            acceptors: ACCEPTORS,
        }
    }

    /// A Unix socket.
    pub fn unix(path: &str) -> Self {
        Self { port: None, path: path.into(), ..Self::on(0) }
    }

    pub(super) fn open(&self, mqtt: SocketAddr) -> MqttListener {
        let place = match self.port {
            Some(port) => Place::Tcp(SocketAddr::new(mqtt.ip(), port)),
            None => Place::Unix(self.path.clone()),
        };
        MqttListener {
            status: ListenerStatus::Running,
            place,
            max_conns: self.max_conns,
            setting: self.clone(),
            active: 0,
            waiting: VecDeque::new(),
        }
    }
}

impl ListenerStatus {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
        }
    }
}

impl ClusterModel {
    /// The listeners of a node that has just booted.
    pub(super) fn open_listeners(&mut self, ix: Ix) {
        let node = &mut self.nodes[ix.0];
        let default = [ListenerSetting::on(node.host.mqtt.port())];
        let wanted = if self.settings.listeners.is_empty() { &default[..] } else { &self.settings.listeners };
        node.listeners = wanted.iter().map(|setting| setting.open(node.host.mqtt)).collect();
        for listener in &node.listeners {
            self.events.extend(listening(node.name.clone(), listener, true));
        }
    }

    /// Stops accepting clients; sessions go on.
    pub(super) fn suspend_listeners(&mut self, ix: Ix) {
        let node = &mut self.nodes[ix.0];
        let running = node.listeners.iter_mut().filter(|one| one.status == ListenerStatus::Running);
        for listener in running {
            listener.status = ListenerStatus::Suspended;
            self.events.extend(turned_away(listener));
            self.events.extend(listening(node.name.clone(), listener, false));
        }
    }

    /// Deletes the listeners for clients; false if there were none.
    pub(super) fn close_listeners(&mut self, ix: Ix) -> bool {
        let node = &mut self.nodes[ix.0];
        let mut closed = std::mem::take(&mut node.listeners);
        for listener in &mut closed {
            self.events.extend(turned_away(listener));
        }
        for listener in closed.iter().filter(|one| one.status == ListenerStatus::Running) {
            self.events.extend(listening(node.name.clone(), listener, false));
        }
        !closed.is_empty()
    }

    /// The port of the listener that a client comes to: that of this port where one is said (0: a Unix socket), else
    /// the first; none where it takes nobody.
    pub(super) fn open_port(&self, ix: Ix, port: Option<u16>) -> Option<u16> {
        let mut open = self.nodes[ix.0].listeners.iter().filter(|one| one.status == ListenerStatus::Running);
        open.find(|one| port.is_none_or(|port| one.port() == port)).map(MqttListener::port)
    }

    fn of_port(&mut self, ix: Ix, port: u16) -> Option<&mut MqttListener> {
        self.nodes[ix.0].listeners.iter_mut().find(|one| one.port() == port)
    }

    /// A client has connected: it is taken, or waits for a place.
    pub(super) fn knock(&mut self, ix: Ix, port: u16, conn: ConnId, connect: Connect) {
        match self.of_port(ix, port).filter(|one| one.full()) {
            None => self.connect_client(ix, port, conn, connect),
            Some(full) if full.waiting.len() < WAITING_MAX => full.waiting.push_back((conn, connect)),
            Some(_) => self.events.push(Event::Close { conn, reason: CloseReason::Plain }),
        }
    }

    pub(super) fn take_place(&mut self, ix: Ix, port: u16) {
        if let Some(listener) = self.of_port(ix, port) {
            listener.active += 1;
        }
    }

    /// A connection has gone: whoever waits gets its place.
    pub(super) fn free_place(&mut self, ix: Ix, port: u16) {
        let life = self.nodes[ix.0].life;
        let Some(listener) = self.of_port(ix, port) else { return };
        listener.active = listener.active.saturating_sub(1);
        if !listener.waiting.is_empty() {
            self.after(0, Task::Admit { node: ix, life, port });
        }
    }

    pub(super) fn admit(&mut self, ix: Ix, port: u16) {
        while let Some(listener) = self.of_port(ix, port).filter(|one| !one.full()) {
            let Some((conn, connect)) = listener.waiting.pop_front() else { return };
            self.connect_client(ix, port, conn, connect);
        }
    }

    /// A client that waited for a place has gone.
    pub(super) fn stop_waiting(&mut self, conn: ConnId) {
        for listener in self.nodes.iter_mut().flat_map(|node| &mut node.listeners) {
            listener.waiting.retain(|(waits, _)| *waits != conn);
        }
    }

    /// Connections by WebSocket.
    pub(super) fn websockets(&self, ix: Ix) -> i64 {
        let all = self.nodes[ix.0].listeners.iter().filter(|one| one.setting.transport.websocket());
        i64::try_from(all.map(|one| one.active).sum::<usize>()).unwrap_or(i64::MAX)
    }

    /// Listeners of a node; a deleted one is not among them.
    pub(super) fn listeners(&self, ix: Ix) -> Vec<StatusListener> {
        let node = &self.nodes[ix.0];
        let fixed = |kind, place: SocketAddr| StatusListener {
            kind,
            status: ListenerStatus::Running,
            address: place.ip().to_string(),
            port: place.port(),
            mountpoint: String::new(),
            max_conns: Some(MAX_CONNS),
        };
        let mqtt = node.listeners.iter().map(|one| {
            let (address, port) = match &one.place {
                Place::Tcp(address) => (address.ip().to_string(), address.port()),
                Place::Unix(path) => (path.clone(), 0),
            };
            let (kind, mountpoint) = (one.setting.transport.text(), one.setting.mountpoint.clone());
            StatusListener { kind, status: one.status, address, port, mountpoint, max_conns: one.max_conns }
        });
        mqtt.chain([fixed("http", node.host.http), fixed("vmq", node.host.cluster)]).collect()
    }

    /// A Unix socket is among the listeners of a node, whether it takes clients or not.
    pub(super) fn has_unix_socket(&self, ix: Ix) -> bool {
        self.nodes[ix.0].listeners.iter().any(|one| matches!(one.place, Place::Unix(_)))
    }

    /// For `vmq-admin` where there is a Unix socket: over HTTP it is a 500.
    pub(super) fn listener_show(&self, ix: Ix) -> Answer {
        let peers = self.nodes[ix.0].up.len().saturating_sub(1);
        let address = if self.settings.old_listener_show { "ip" } else { "address" };
        let active = self.nodes[ix.0].listeners.iter().map(|one| one.active).chain([1, peers]);
        let row = |(listener, conns): (StatusListener, usize)| -> Row {
            vec![
                ("type".into(), listener.kind.into()),
                ("status".into(), listener.status.text().into()),
                (address.into(), shown(listener.address).into()),
                ("port".into(), listener.port.to_string().into()),
                ("mountpoint".into(), listener.mountpoint.into()),
                ("max_conns".into(), listener.max_conns.map_or_else(|| Value::from("infinity"), Value::from)),
                ("active_conns".into(), conns.into()),
                ("all_conns".into(), conns.into()),
            ]
        };
        Answer::Table(self.listeners(ix).into_iter().zip(active).map(row).collect())
    }

    /// For a deleted listener; a suspended one "is already started" (`last_node_and_undo.txt`).
    pub(super) fn listener_start(&mut self, ix: Ix, place: Place) -> Answer {
        let node = &mut self.nodes[ix.0];
        if node.listeners.iter().any(|one| one.place == place) {
            return Answer::Text("can't start listener due to '{already_started,<0.1500.0>}'".into());
        }
        let setting = match &place {
            Place::Tcp(address) => ListenerSetting::on(address.port()),
            Place::Unix(path) => ListenerSetting::unix(path),
        };
        let listener = MqttListener {
            status: ListenerStatus::Running,
            place,
            max_conns: None,
            setting,
            active: 0,
            waiting: VecDeque::new(),
        };
        self.events.extend(listening(node.name.clone(), &listener, true));
        node.listeners.push(listener);
        done()
    }

    /// For a suspended listener; a deleted one is a 500 (`q4_still_online.txt` E).
    pub(super) fn listener_restart(&mut self, ix: Ix, call: CallId, place: &Place) {
        let node = &mut self.nodes[ix.0];
        let Some(listener) = node.listeners.iter_mut().find(|one| one.place == *place) else {
            self.fail(call, 500, "", "no such listener");
            return;
        };
        if listener.status == ListenerStatus::Suspended {
            listener.status = ListenerStatus::Running;
            self.events.extend(listening(node.name.clone(), listener, true));
        }
        self.answer(call, done());
    }

    /// How the listener at `place` of a node is set; none where it is not open.
    pub(super) fn listener_at(&self, ix: Ix, place: SocketAddr) -> Option<&ListenerSetting> {
        let mut all = self.nodes[ix.0].listeners.iter();
        all.find(|one| one.place == Place::Tcp(place)).map(|one| &one.setting)
    }
}

/// An address, or the Erlang term of a Unix socket.
fn shown(address: String) -> String {
    if address.starts_with('/') { format!("{UNIX_TERM}{address}\"}}") } else { address }
}

/// Whoever waits at a listener that closes.
fn turned_away(listener: &mut MqttListener) -> Vec<Event> {
    let close = |(conn, _)| Event::Close { conn, reason: CloseReason::Plain };
    listener.waiting.drain(..).map(close).collect()
}

/// Tells of a socket that is opened or closed here.
fn listening(node: lifecycle::NodeName, listener: &MqttListener, on: bool) -> Option<Event> {
    match listener.place {
        Place::Tcp(at) if listener.setting.transport == Transport::Mqtt => {
            Some(Event::Listening { node, at, on })
        }
        _ => None,
    }
}
