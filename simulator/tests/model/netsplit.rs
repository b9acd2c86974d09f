//! A member is dead: what clients of the living nodes are told
//! (`netsplit_raw_bytes.txt`, `dead_node_netsplit.txt`).

use rstest::rstest;
use simulator::model::{
    CloseReason, Connect, Protocol, PublishOutcome, Settings, Signal, SubscribeOutcome, UnsubscribeOutcome,
    Version,
};

use crate::harness::{Harness, all_allowed, settings};
use crate::recording;
use crate::recording::line;

const RAW: &str = recording!("netsplit_raw_bytes.txt");
const ALLOWED: &str = recording!("netsplit_allow_on_systree_2000.txt");

/// The packet type and last byte of a recorded answer; none for a time-out.
fn bytes(section: &str, request: &str) -> Option<(u8, u8)> {
    let part = &RAW[RAW.find(section).expect("the section")..];
    let hex = line(part, request, 0).split("-> ").nth(1).expect("an answer").trim();
    if hex.starts_with("Timeout") {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    Some((byte(0), byte(hex.len() - 2)))
}

fn split(settings: Settings) -> (Harness, [simulator::model::ConnId; 2]) {
    let mut harness = Harness::cluster(3, settings);
    let v4 = harness.session(1, "v4", Protocol::V4, true);
    let v5 = harness.session(1, "v5", Protocol::V5, true);
    crate::harness::park(&mut harness, 3, "hp3", "h/p3", 1);
    harness.signal(3, Signal::Kill);
    harness.run(1_500);
    (harness, [v4, v5])
}

#[test]
fn new_clients_are_refused_with_the_recorded_codes() {
    let edge = recording!("leave_edge_cases.txt");
    let (mut harness, _) = split(settings());
    for (protocol, level, at) in [(Protocol::V4, 4, 6), (Protocol::V5, 5, 6)] {
        let raw = line(edge, &format!("raw CONNECT level {level}"), 0);
        let hex = raw.split("bytes ").nth(1).expect("bytes");
        let code = u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        for persistent in [false, true] {
            let conn = harness.connect(2, Connect::new("ns", protocol, !persistent));
            let reason = harness.seen(conn).refused.expect("refused");
            assert_eq!(reason.code(protocol), code, "{raw}");
        }
    }
    assert_eq!(harness.metric(1, "netsplit_detected"), 1);
    assert_eq!(harness.metric(1, "netsplit_resolved"), 0);
    harness.boot(3);
    harness.run(9_000);
    assert_eq!(harness.metric(1, "netsplit_resolved"), 1);
    harness.session(1, "ns", Protocol::V4, true);
}

#[test]
fn sessions_from_before_are_told_what_was_recorded() {
    let (mut harness, [v4, v5]) = split(settings());
    for (conn, section) in [(v4, "-- v4 session"), (v5, "-- v5 session")] {
        let before = harness.metric(1, "mqtt_publish_received");
        let want = bytes(section, "SUBSCRIBE q1").map(|(_, code)| vec![code]);
        assert_eq!(Some(harness.subscribe(conn, "e/#", 1)), want.map(SubscribeOutcome::Codes), "{section}");
        for qos in [1, 2] {
            let want = match bytes(section, &format!("PUBLISH q{qos}")) {
                None => PublishOutcome::Silent,
                Some((_, 0)) => PublishOutcome::Refused(bytes_before_last(section, qos)),
                Some((_, code)) => PublishOutcome::Refused(code),
            };
            assert_eq!(harness.publish(conn, "e/z", "x", qos), want, "{section} QoS {qos}");
        }
        assert_eq!(harness.publish(conn, "e/z", "x", 0), PublishOutcome::Silent);
        assert_eq!(bytes(section, "UNSUBSCRIBE"), None);
        let time = lifecycle::Time(harness.now);
        assert_eq!(harness.model.unsubscribe(conn, &["e/#".into()], time), UnsubscribeOutcome::Silent);
        assert_eq!(harness.metric(1, "mqtt_publish_received"), before + 3, "refused ones are counted");
        assert_eq!(harness.seen(conn).closed, None, "nobody is disconnected");
        assert!(harness.seen(conn).got.is_empty());
    }
    harness.boot(3);
    harness.run(9_000);
    harness.publish(v4, "e/z", "whole again", 1);
    assert!(harness.seen(v5).got.is_empty(), "v5's granted subscription was not stored");
}

/// `400400028300`: packet id 2, reason 0x83, no properties.
fn bytes_before_last(section: &str, qos: u8) -> u8 {
    let part = &RAW[RAW.find(section).expect("the section")..];
    let hex = line(part, &format!("PUBLISH q{qos}"), 0).split("-> ").nth(1).expect("an answer").trim();
    u8::from_str_radix(&hex[hex.len() - 4..hex.len() - 2], 16).expect("hex")
}

/// Of what was tried on both, one answer differs: SUBACK of MQTT 5.
#[rstest]
#[case(Version::V2_1_2, recording!("claims_2.1.2.txt"))]
#[case(Version::V2_2_0, recording!("claims_2.2.0.txt"))]
fn each_version_answers_sessions_from_before_as_recorded(#[case] version: Version, #[case] recording: &str) {
    let mut harness = Harness::cluster_of(version, 3);
    let v4 = harness.session(1, "v4", Protocol::V4, true);
    let v5 = harness.session(1, "v5", Protocol::V5, true);
    harness.signal(3, Signal::Kill);
    harness.run(1_500);
    for (conn, session) in [(v4, "existing v4 session"), (v5, "existing v5 session")] {
        let said = line(recording, session, 0);
        let answer = |request: &str| {
            let (_, rest) = said.split_once(&format!("('{request}', '")).expect("a request");
            rest.split('\'').next().expect("an answer").to_owned()
        };
        let byte = |text: &str, from_end: usize| {
            let bytes: Vec<&str> = text.split(' ').collect();
            u8::from_str_radix(bytes[bytes.len() - from_end], 16).expect("hex")
        };
        let code = byte(&answer("SUBSCRIBE"), 1);
        assert_eq!(harness.subscribe(conn, "e/#", 1), SubscribeOutcome::Codes(vec![code]), "{said}");
        for qos in [1, 2] {
            let recorded = answer(&format!("PUBLISH QoS{qos}"));
            // The reason is followed by the length of the properties.
            let want = if recorded.starts_with("nothing") {
                PublishOutcome::Silent
            } else {
                PublishOutcome::Refused(byte(&recorded, 2))
            };
            assert_eq!(harness.publish(conn, "e/z", "x", qos), want, "{said}");
        }
        assert!(answer("UNSUBSCRIBE").starts_with("nothing"));
        let time = lifecycle::Time(harness.now);
        assert_eq!(harness.model.unsubscribe(conn, &["e/#".into()], time), UnsubscribeOutcome::Silent);
    }
}

#[test]
fn with_all_four_allowed_everything_works_but_the_dead_nodes_clients() {
    let (mut harness, _) = split(all_allowed());
    for (protocol, id, nth) in [(Protocol::V4, "h4", 0), (Protocol::V5, "h5", 1)] {
        let conn = harness.session(1, id, protocol, true);
        assert_eq!(harness.subscribe(conn, "h/#", 1), SubscribeOutcome::Codes(vec![1]));
        for qos in 0..=2 {
            assert_eq!(harness.publish(conn, "h/a", "x", qos), PublishOutcome::Accepted);
        }
        let got: usize = crate::recording::count(line(ALLOWED, "   got ", nth), "got ");
        assert_eq!(harness.seen(conn).got.len(), got);
        harness.goodbye(conn);
    }
    assert!(line(ALLOWED, "hp3@n1 no CONNACK", 0).contains("no CONNACK"));
    let conn = harness.connect(1, Connect::new("hp3", Protocol::V4, false));
    harness.run(5_000);
    assert_eq!((harness.seen(conn).connack, harness.seen(conn).closed), (None, Some(CloseReason::Plain)));
    // A clean client of the dead node has nothing there that it would need.
    harness.session(1, "hp4", Protocol::V4, true);
}

#[test]
fn a_graceful_restart_is_a_netsplit_too() {
    let rec = recording!("misc_restart_reset_idle.txt");
    let mut harness = Harness::cluster(3, settings());
    harness.signal(2, Signal::Term);
    harness.run(1_500);
    assert_eq!(harness.show(1), crate::recording::shown(line(rec, "watch n1: cluster/show: 1=T 2=F 3=T", 0)));
    let conn = harness.connect(1, Connect::new("g3", Protocol::V4, true));
    assert!(harness.seen(conn).refused.is_some(), "{}", line(rec, "g3@n1 v4 CONNACK rc=136", 0));
    harness.boot(2);
    harness.run(9_000);
    harness.session(1, "g3", Protocol::V4, true);
    assert_eq!(harness.metric(2, "mqtt_publish_received"), 0);
}

#[test]
fn every_leave_costs_the_survivors_up_to_1200_ms_of_refusals() {
    for settings in [settings(), all_allowed()] {
        let mut harness = Harness::cluster(3, settings);
        harness.http(1, crate::harness::leave(&crate::harness::name(3), 30));
        let mut refused = [0_u64; 3];
        for _ in 0..200 {
            for k in [1, 2] {
                let conn = harness.connect(k, Connect::new(format!("probe{k}"), Protocol::V4, true));
                refused[usize::from(k)] += u64::from(harness.seen(conn).refused.is_some());
                harness.goodbye(conn);
            }
            harness.run(10);
        }
        for k in [1, 2] {
            // docs/broker/leave.md, "CONNACK 3 in a leave": 0.4–1.2 s, whatever the settings.
            assert!((40..=121).contains(&refused[k]), "n{k}: {} × 10 ms", refused[k]);
        }
    }
}
