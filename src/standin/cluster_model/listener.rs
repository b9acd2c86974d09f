//! `listener show`, `listener start`, `listener restart`.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::management::done;
use super::node::{Ix, MqttListener};
use super::{Answer, CallId, ClusterModel, Event, ListenerStatus, Row, StatusListener};

impl ListenerStatus {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
        }
    }
}

impl ClusterModel {
    /// Listeners of a node; a deleted one is not among them.
    pub(super) fn listeners(&self, ix: Ix) -> Vec<StatusListener> {
        let node = &self.nodes[ix.0];
        let fixed = |kind, address| StatusListener {
            kind,
            status: ListenerStatus::Running,
            address,
            max_conns: Some(10_000),
        };
        let mqtt = node.listener.map(|l| StatusListener {
            kind: "mqtt",
            status: l.status,
            address: l.address,
            max_conns: l.max_conns,
        });
        mqtt.into_iter().chain([fixed("http", node.host.http), fixed("vmq", node.host.cluster)]).collect()
    }

    pub(super) fn listener_show(&self, ix: Ix) -> Answer {
        let peers = self.nodes[ix.0].up.len().saturating_sub(1);
        let row = |listener: StatusListener| -> Row {
            let conns = match listener.kind {
                "mqtt" => self.nodes[ix.0].conns.len(),
                "http" => 1,
                _ => peers,
            };
            vec![
                ("type".into(), listener.kind.into()),
                ("status".into(), listener.status.text().into()),
                ("address".into(), listener.address.ip().to_string().into()),
                ("port".into(), listener.address.port().to_string().into()),
                ("mountpoint".into(), "".into()),
                ("max_conns".into(), listener.max_conns.map_or_else(|| Value::from("infinity"), Value::from)),
                ("active_conns".into(), conns.into()),
                ("all_conns".into(), conns.into()),
            ]
        };
        Answer::Table(self.listeners(ix).into_iter().map(row).collect())
    }

    /// For a deleted listener; a suspended one "is already started" (`last_node_and_undo.txt`).
    pub(super) fn listener_start(&mut self, ix: Ix, address: IpAddr, port: u16) -> Answer {
        let node = &mut self.nodes[ix.0];
        if node.listener.is_some() {
            return Answer::Text("can't start listener due to '{already_started,<0.1500.0>}'".into());
        }
        let address = SocketAddr::new(address, port);
        let status = ListenerStatus::Running;
        node.listener = Some(MqttListener { status, address, max_conns: None });
        let name = node.name.clone();
        self.events.push(Event::Listening { node: name, on: true });
        done()
    }

    /// For a suspended listener; a deleted one is a 500 (`q4_still_online.txt` E).
    pub(super) fn listener_restart(&mut self, ix: Ix, call: CallId, address: IpAddr, port: u16) {
        let node = &mut self.nodes[ix.0];
        let known = node.listener.as_mut().filter(|l| l.address == SocketAddr::new(address, port));
        let Some(listener) = known else {
            self.fail(call, 500, "", "no such listener");
            return;
        };
        if listener.status == ListenerStatus::Suspended {
            listener.status = ListenerStatus::Running;
            let name = node.name.clone();
            self.events.push(Event::Listening { node: name, on: true });
        }
        self.answer(call, done());
    }
}
