//! Full listeners of every transport, and what a leave without `-k` closes on each.

use std::collections::BTreeMap;

use serde_json::Value;
use simulator::model::{
    Answer, CloseReason, Command, ConnId, Connect, HealthPage, ListenerSetting, Place, Protocol, Settings,
    Transport,
};

use crate::harness::{Harness, host, leave, leave_without_kill, name, settings};
use crate::recording;
use crate::recording::{between, count, json_text, line};

const FULL: &str = recording!("disc2_max_connections.txt");
const ALL: &str = recording!("disc2_listeners_all_transports.txt");

/// Ports and order of the recording.
const PORTS: [(Transport, u16); 4] = [
    (Transport::Mqtt, 1_883),
    (Transport::Mqttws, 8_080),
    (Transport::Mqttwss, 8_443),
    (Transport::Mqtts, 8_883),
];
const MQTT: u16 = PORTS[0].1;
const WS: u16 = PORTS[1].1;
const TLS: u16 = PORTS[3].1;

/// Each version has its part of both recordings.
const VERSIONS: [&str; 2] = ["===== 2.1.2", "===== 2.2.0"];

fn part<'a>(recording: &'a str, head: &str) -> &'a str {
    let from = recording.find(head).expect("the part") + head.len();
    let rest = &recording[from..];
    &rest[..rest.find("\n=====").unwrap_or(rest.len())]
}

fn limited(max_connections: u32, acceptors: u32) -> Settings {
    let listener = |(transport, port)| ListenerSetting {
        transport,
        max_conns: Some(max_connections),
        acceptors,
        ..ListenerSetting::on(port)
    };
    Settings { listeners: PORTS.map(listener).to_vec(), ..settings() }
}

fn knock(harness: &mut Harness, port: u16, id: usize) -> ConnId {
    let connect = Connect::new(format!("{port}-{id}"), Protocol::V4, true);
    let conn = harness.connect(1, Connect { port: Some(port), ..connect });
    harness.run(1);
    conn
}

/// Connects until nobody answers, at most `tries`; those who were accepted, and who waits.
fn fill(harness: &mut Harness, port: u16, tries: usize) -> (Vec<ConnId>, Option<ConnId>) {
    let mut accepted = Vec::new();
    for id in 0..tries {
        let conn = knock(harness, port, id);
        harness.run(100);
        match harness.seen(conn).connack {
            Some(_) => accepted.push(conn),
            None => return (accepted, Some(conn)),
        }
    }
    (accepted, None)
}

fn shown(harness: &mut Harness) -> Vec<Value> {
    let answer = harness.http(1, Command::ListenerShow).0.expect("an answer");
    let table: Value = serde_json::from_str(&answer.json()).expect("JSON");
    table["table"].as_array().expect("a table").clone()
}

/// Kind, limit and connections of each listener for clients.
fn rows(table: &[Value]) -> Vec<(String, Value, Value)> {
    let row = |row: &Value| {
        let kind = row["type"].as_str().expect("a kind").to_owned();
        (kind, row["max_conns"].clone(), row["active_conns"].clone())
    };
    table.iter().map(row).filter(|(kind, ..)| kind.starts_with("mqtt")).collect()
}

#[test]
fn a_listener_takes_its_limit_for_each_acceptor_and_then_nobody_answers() {
    for version in VERSIONS {
        let rec = part(FULL, &format!("{version} max_connections=5"));
        let mut harness = Harness::cluster(1, limited(5, 10));
        let counters = ["socket_open", "mqtt_connect_received", "active_mqtt_connections"];
        let before: BTreeMap<_, _> = counters.map(|name| (name, harness.metric(1, name))).into();
        let (accepted, waits) = fill(&mut harness, MQTT, 200);
        assert_eq!(accepted.len(), count::<usize>(line(rec, "accepted", 0), "accepted "), "{version}");
        assert_eq!(usize::from(waits.is_some()), count::<usize>(line(rec, "accepted", 0), "pending "));
        let waits = waits.expect("one waits");
        assert_eq!((harness.seen(waits).closed, harness.seen(waits).refused), (None, None), "hangs");
        let table: Value = serde_json::from_str(
            line(rec, "listener/show plain", 0).split_once("plain ").expect("JSON follows").1,
        )
        .expect("JSON");
        let recorded = rows(table["table"].as_array().expect("a table"));
        assert_eq!(rows(&shown(&mut harness)), recorded, "{version}");
        for counter in counters {
            // `{'vernemq_socket_open{node="…"}': (0.0, 50.0), …`
            let moved = between(line(rec, "A4 moved", 0), &format!("vernemq_{counter}{{"), ")");
            let moved = moved.rsplit(' ').next().and_then(|to| to.strip_suffix(".0")?.parse().ok());
            let now = harness.metric(1, counter) - before[counter];
            assert_eq!(Some(now), moved, "{counter} tells nothing of who waits");
        }
        assert_eq!(harness.health(1).0, 200, "{}", line(rec, "A4 health", 0));
        let websocket = knock(&mut harness, WS, 0);
        assert!(harness.seen(websocket).connack.is_some(), "{}", line(rec, "ws while tcp full", 0));
        for conn in &accepted[..8] {
            harness.goodbye(*conn);
        }
        harness.run(10);
        assert!(harness.seen(waits).connack.is_some(), "{}", line(rec, "pending after 8 freed", 0));
    }
}

#[test]
fn a_websocket_listener_holds_no_limit_and_a_tls_one_does() {
    let mut harness = Harness::cluster(1, limited(5, 2));
    let (by_websocket, waits) = fill(&mut harness, WS, 160);
    let recorded = line(FULL, "ws accepted", 0);
    assert_eq!((by_websocket.len(), waits), (count::<usize>(recorded, "accepted "), None));
    let (by_tls, waits) = fill(&mut harness, TLS, 160);
    let recorded = line(FULL, "ssl accepted", 0);
    assert_eq!(by_tls.len(), count::<usize>(recorded, "accepted "));
    assert!(waits.is_some() && recorded.contains("timed out"));
    let sums = ["active_mqttws_connections", "active_mqtt_connections", "total_active_connections"];
    assert_eq!(sums.map(|name| harness.metric(1, name)), [160, 10, 170]);
}

#[test]
fn the_limit_outlasts_a_restart_and_ends_with_delete_and_start() {
    let tail = &FULL[FULL.find("# restart, suspend + restart").expect("the part")..];
    let place = Place::Tcp(host(1).mqtt);
    let restart = || Command::ListenerRestart { place: place.clone() };
    let mut harness = Harness::cluster(1, limited(5, 2));
    assert_eq!(harness.http(1, restart()).0, Some(Answer::Text("Done".into())));
    let (accepted, waits) = fill(&mut harness, MQTT, 30);
    assert_eq!(accepted.len(), count::<usize>(line(tail, "after listener restart", 0), "(30 tried): "));
    harness.http(1, leave_without_kill(&name(1)));
    let waits = waits.expect("one waits");
    assert_eq!(harness.seen(waits).closed, Some(CloseReason::Plain), "nobody listens any more");
    for conn in &accepted {
        harness.goodbye(*conn);
    }
    harness.http(1, restart());
    let (accepted, _) = fill(&mut harness, MQTT, 30);
    assert_eq!(accepted.len(), count::<usize>(line(tail, "after suspend and restart", 0), "restart: "));
    let (answer, _) = harness.http(1, leave(&name(1), 5));
    assert_eq!(answer, Some(Answer::Text(json_text(line(tail, "no_target_available", 0)))));
    assert_eq!(rows(&shown(&mut harness)), [], "deleted");
    harness.http(1, Command::ListenerStart { place: place.clone() });
    assert!(tail.contains("('mqtt', 'infinity', 'running')"));
    assert_eq!(rows(&shown(&mut harness))[0].1, "infinity");
    let (accepted, _) = fill(&mut harness, MQTT, 30);
    assert_eq!(accepted.len(), count::<usize>(line(tail, "after delete and start", 0), "start: "));
}

#[test]
fn a_leave_without_kill_closes_every_transport_and_no_session() {
    for version in VERSIONS {
        let rec = part(ALL, version);
        let mut harness = Harness::cluster(2, limited(10_000, 10));
        let clients: Vec<_> = PORTS.map(|(_, port)| knock(&mut harness, port, 0)).to_vec();
        harness.run(100);
        let answer = harness.http(2, leave_without_kill(&name(1))).0;
        assert_eq!(answer, Some(Answer::Text(json_text(line(rec, "A7 leave without -k", 0)))));
        for (transport, port) in PORTS {
            let refused = knock(&mut harness, port, 1);
            assert_eq!(harness.seen(refused).closed, Some(CloseReason::Plain), "{transport:?}");
        }
        let health = line(rec, "A7 health", 0);
        for (page, nth) in [(HealthPage::Health, 0), (HealthPage::Listeners, 1)] {
            let recorded = health.split("(503, '").nth(nth + 1).expect("an answer");
            let body = recorded.split_once("')").expect("an end").0;
            let answer = harness.model.health(&name(1), page);
            assert_eq!((answer.status, answer.body.as_str()), (503, body), "{page:?}");
        }
        assert!(health.contains(r#"ping (200, '{"status":"OK"}')"#));
        assert_eq!(harness.model.health(&name(1), HealthPage::Ping).status, 200);
        for conn in &clients {
            assert_eq!(harness.seen(*conn).closed, None, "open sessions stay");
        }
        let undo = line(rec, "A7 undo", 0);
        for (transport, port) in PORTS {
            assert!(undo.contains(&format!("('{}', '{port}', (200", transport.text())));
            let closed = knock(&mut harness, port, 2);
            assert!(
                harness.seen(closed).closed.is_some(),
                "{transport:?} is opened by nothing but its own restart"
            );
            let place = Place::Tcp((host(1).mqtt.ip(), port).into());
            let answer = harness.http(1, Command::ListenerRestart { place }).0;
            assert_eq!(answer, Some(Answer::Text(json_text(undo))));
            let taken = knock(&mut harness, port, 3);
            assert!(harness.seen(taken).connack.is_some(), "{transport:?}");
        }
        assert_eq!(harness.health(1).0, 200);
    }
}
