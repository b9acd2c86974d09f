//! What holds under any course of events.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use simulator::model::{
    Answer, Command, Connect, Event, Place, Protocol, PublishOutcome, Signal, Spread, Via,
};

use crate::harness::{Harness, leave, leave_without_kill, name, park, settings};

#[derive(Clone, Debug)]
enum Act {
    Run(u64),
    Boot(u8, Option<u8>),
    Signal(u8, bool),
    Wipe(u8),
    Connect(u8, u8, bool, bool),
    Subscribe(u8, u8),
    Publish(u8, u8, u8, bool),
    Goodbye(u8),
    Leave(u8, u8, bool, bool),
    Join(u8, u8),
    Kick(u8, u8, bool),
    Batch(u8, u8),
    Listener(u8, bool),
    Reset(u8),
    Stop(u8),
    HangUp,
    /// A member dies, a leave of another is asked for and has to wait.
    Hang(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let (node, client) = (1..=3_u8, 0..6_u8);
    prop_oneof![
        4 => (0..20_000_u64).prop_map(Act::Run),
        2 => (node.clone(), prop::option::of(node.clone())).prop_map(|(k, peer)| Act::Boot(k, peer)),
        1 => (node.clone(), any::<bool>()).prop_map(|(k, kill)| Act::Signal(k, kill)),
        1 => node.clone().prop_map(Act::Wipe),
        4 => (node.clone(), client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(k, c, v5, clean)| Act::Connect(k, c, v5, clean)),
        3 => (client.clone(), 0..4_u8).prop_map(|(c, f)| Act::Subscribe(c, f)),
        4 => (client.clone(), 0..4_u8, 0..=2_u8, any::<bool>())
            .prop_map(|(c, t, qos, retain)| Act::Publish(c, t, qos, retain)),
        2 => client.clone().prop_map(Act::Goodbye),
        2 => (node.clone(), node.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(k, target, kill, http)| Act::Leave(k, target, kill, http)),
        1 => (node.clone(), node.clone()).prop_map(|(k, peer)| Act::Join(k, peer)),
        1 => (node.clone(), client, any::<bool>()).prop_map(|(k, c, cleanup)| Act::Kick(k, c, cleanup)),
        1 => (node.clone(), 0..5_u8).prop_map(|(k, n)| Act::Batch(k, n)),
        1 => (node.clone(), any::<bool>()).prop_map(|(k, start)| Act::Listener(k, start)),
        1 => node.clone().prop_map(Act::Reset),
        2 => node.clone().prop_map(Act::Hang),
        1 => node.prop_map(Act::Stop),
        1 => Just(Act::HangUp),
    ]
}

const TOPICS: [&str; 4] = ["a/b", "a/c", "d", "a/b/e"];
const FILTERS: [&str; 4] = ["a/+", "#", "a/#", "$SYS/#"];

/// What a management act asks for: where, what, how.
fn command(act: &Act) -> Option<(u8, Command, Via)> {
    let place = |k: u8| Place::Tcp(crate::harness::host(k).mqtt);
    Some(match act {
        Act::Leave(k, target, kill, http) => {
            let target = name(*target);
            let command = if *kill { leave(&target, 2) } else { leave_without_kill(&target) };
            (*k, command, if *http { Via::Http } else { Via::Admin })
        }
        Act::Join(k, peer) => (*k, Command::ClusterJoin { peer: name(*peer) }, Via::Http),
        Act::Kick(k, c, cleanup) => {
            let client_id = Some(format!("c{c}"));
            (
                *k,
                Command::SessionDisconnect { client_id, mountpoint: String::new(), cleanup: *cleanup },
                Via::Http,
            )
        }
        Act::Batch(k, n) => {
            let count = Some(n.to_string());
            (
                *k,
                Command::DisconnectBatch {
                    count,
                    nodes: vec![],
                    mountpoint: String::new(),
                    except: vec![],
                    cleanup: false,
                },
                Via::Admin,
            )
        }
        Act::Listener(k, true) => (*k, Command::ListenerStart { place: place(*k) }, Via::Http),
        Act::Listener(k, false) => (*k, Command::ListenerRestart { place: place(*k) }, Via::Http),
        Act::Reset(k) => (*k, Command::MetricsReset, Via::Admin),
        Act::Stop(k) => (*k, Command::NodeStop, Via::Admin),
        _ => return None,
    })
}

/// Does one thing; clients are known by their number.
fn perform(
    harness: &mut Harness,
    clients: &mut BTreeMap<u8, simulator::model::ConnId>,
    calls: &mut Vec<simulator::model::CallId>,
    act: &Act,
) {
    let now = lifecycle::Time(harness.now);
    if let Some((k, command, via)) = command(act) {
        calls.push(harness.ask(k, command, via));
        return;
    }
    match act {
        Act::Run(ms) => harness.run(*ms),
        Act::Boot(k, peer) => {
            harness.model.boot(&name(*k), &crate::harness::host(*k), peer.map(name).as_ref(), now);
        }
        Act::Signal(k, kill) => harness.signal(*k, if *kill { Signal::Kill } else { Signal::Term }),
        Act::Wipe(k) => harness.model.wipe(&name(*k)),
        Act::Connect(k, c, v5, clean) => {
            let protocol = if *v5 { Protocol::V5 } else { Protocol::V4 };
            clients.insert(*c, harness.connect(*k, Connect::new(format!("c{c}"), protocol, *clean)));
        }
        Act::Subscribe(c, f) => {
            if let Some(conn) = clients.get(c) {
                harness.subscribe(*conn, FILTERS[usize::from(*f)], 2);
            }
        }
        Act::Publish(c, t, qos, retain) => {
            if let Some(conn) = clients.get(c) {
                let publish = simulator::model::Publish {
                    topic: TOPICS[usize::from(*t)].into(),
                    payload: "x".into(),
                    qos: *qos,
                    retain: *retain,
                };
                harness.model.publish(*conn, publish, now);
            }
        }
        Act::Goodbye(c) => {
            if let Some(conn) = clients.remove(c) {
                harness.goodbye(conn);
            }
        }
        Act::Hang(k) => {
            harness.signal(*k, Signal::Kill);
            harness.run(500);
            let (target, asked) = (1 + k % 3, 1 + (k + 1) % 3);
            calls.push(harness.ask(asked, leave(&name(target), 5), Via::Http));
        }
        Act::HangUp => {
            if let Some(call) = calls.pop() {
                harness.model.hang_up(call, now);
            }
        }
        _ => unreachable!("a command"),
    }
    harness.sort_events();
}

/// Counters of a node by line; none while it is down.
fn counters(harness: &Harness, k: u8) -> BTreeMap<String, i64> {
    let lines = harness.model.metrics(&name(k));
    let counter = |s: &simulator::model::Series| s.kind != simulator::model::Kind::Gauge;
    lines.iter().filter(|s| counter(s)).map(|s| (format!("{}{:?}", s.name, s.labels), s.value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Any commands in any order: no panic, every call ends, counters fall
    /// only with a restart or a reset, and the same seed gives the same events.
    #[test]
    fn nothing_breaks_and_counters_never_fall(acts in prop::collection::vec(act(), 1..60), seed: u64) {
        let settings = || simulator::model::Settings { seed, ..settings() };
        let course = |check: bool| {
            let mut harness = Harness::cluster(3, settings());
            let (mut clients, mut calls) = (BTreeMap::new(), Vec::new());
            for act in &acts {
                let before: Vec<_> = (1..=3).map(|k| counters(&harness, k)).collect();
                perform(&mut harness, &mut clients, &mut calls, act);
                let may_fall = |k: u8| matches!(act, Act::Reset(at) if *at == k) || harness.metric(k, "system_wallclock") < 1
                    || before[usize::from(k) - 1].iter().any(|(l, v)| l.starts_with("system_wallclock") && counters(&harness, k).get(l).is_some_and(|now| now < v));
                for k in (1..=3_u8).filter(|_| check) {
                    let after = counters(&harness, k);
                    if after.is_empty() || may_fall(k) {
                        continue;
                    }
                    for (line, value) in &before[usize::from(k) - 1] {
                        prop_assert!(after.get(line) >= Some(value), "{line} fell at {act:?}");
                    }
                }
            }
            harness.run(130_000);
            // Those that were hung up are not among them any more.
            let ended = calls.iter().all(|call| harness.answers.contains_key(call));
            prop_assert!(ended, "a call never ended");
            let shows: Vec<String> = (1..=3).map(|k| harness.show(k)).collect();
            Ok((shows, harness.log.iter().map(|(at, e)| format!("{at} {e:?}")).collect::<Vec<_>>()))
        };
        prop_assert_eq!(course(true)?, course(false)?);
    }

    /// A drained leave — no session online, nobody reconnecting — loses no
    /// message that was acknowledged to its publisher, keeps the order and
    /// sends nothing twice.
    #[test]
    fn a_drained_leave_loses_nothing(
        seed: u64,
        queues in 1..12_usize,
        messages in prop::collection::vec((0..12_usize, 1..=2_u8), 0..80),
        during in prop::collection::vec(0..12_usize, 0..20),
        not_ready in 400..1_200_u64,
    ) {
        let mut base = simulator::model::Settings { seed, ..settings() };
        base.timing.not_ready = Spread::exactly(not_ready);
        let mut harness = Harness::cluster(3, base);
        for q in 0..queues {
            park(&mut harness, 3, &format!("p{q}"), &format!("q/{q}"), 2);
        }
        let publisher = harness.session(1, "pub", Protocol::V4, true);
        let mut acked: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (at, (q, qos)) in messages.iter().enumerate() {
            if harness.publish(publisher, &format!("q/{q}"), &at.to_string(), *qos) == PublishOutcome::Accepted {
                acked.entry(*q).or_default().push(at.to_string());
            }
        }
        harness.http(1, leave_without_kill(&name(3)));
        let call = harness.ask(1, leave(&name(3), 30), Via::Http);
        for (at, q) in during.iter().enumerate() {
            let text = format!("during{at}");
            if harness.publish(publisher, &format!("q/{q}"), &text, 1) == PublishOutcome::Accepted {
                acked.entry(*q).or_default().push(text);
            }
            harness.run(97);
        }
        harness.run(10_000);
        prop_assert_eq!(harness.answers.remove(&call).and_then(|(_, a)| a), Some(Answer::Text("Done".into())));
        for q in 0..queues {
            let k = 1 + u8::try_from(q % 2).expect("small");
            let conn = harness.session(k, &format!("p{q}"), Protocol::V4, false);
            harness.run(10);
            prop_assert_eq!(harness.seen(conn).connack, Some(true));
            prop_assert_eq!(harness.payloads(conn), acked.remove(&q).unwrap_or_default());
            prop_assert!(harness.seen(conn).got.iter().all(|g| !g.dup));
        }
    }
}

#[test]
fn a_paced_drain_with_clients_that_come_back_loses_nothing() {
    let mut harness = Harness::cluster(3, settings());
    let mut conns: Vec<_> = (0..40)
        .map(|s| {
            let conn = harness.session(3, &format!("p{s}"), Protocol::V4, false);
            harness.subscribe(conn, &format!("q/{s}"), 1);
            conn
        })
        .collect();
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    harness.http(1, leave_without_kill(&name(3)));
    let (mut sent, mut got) = (vec![BTreeSet::new(); 40], vec![BTreeSet::new(); 40]);
    for round in 0..60_usize {
        if round < 40 {
            let ids = Some(vec![format!("p{round}")]);
            harness.ask(
                1,
                Command::DisconnectClients { client_ids: ids, mountpoint: String::new(), cleanup: false },
                Via::Http,
            );
        }
        for s in 0..40 {
            got[s].extend(harness.payloads(conns[s]));
            if harness.seen(conns[s]).closed.is_some() {
                let k = 1 + u8::try_from(s % 2).expect("small");
                conns[s] = harness.connect(k, Connect::new(format!("p{s}"), Protocol::V4, false));
            }
            let text = round.to_string();
            assert_eq!(harness.publish(publisher, &format!("q/{s}"), &text, 1), PublishOutcome::Accepted);
            sent[s].insert(text);
        }
        harness.run(50);
    }
    harness.http(1, leave(&name(3), 30));
    harness.run(3_000);
    for s in 0..40 {
        got[s].extend(harness.payloads(conns[s]));
        assert_eq!(got[s], sent[s], "client {s}");
    }
    let exits: Vec<_> = harness.log.iter().filter(|(_, e)| matches!(e, Event::Exited { .. })).collect();
    assert_eq!(exits.len(), 1);
}
