//! Start, stop, kill, restart.

use simulator::model::{CloseReason, Command, Process, Protocol, Signal};

use crate::harness::{Harness, all_allowed, name, settings};
use crate::recording;
use crate::recording::{at_ms, count, health, line, millis, shown};

#[test]
fn booting_answers_400_before_it_shows_only_itself() {
    let rec = recording!("join_under_load.txt");
    let early = line(rec, "n3: ERR 400", 0);
    let alone = line(rec, "n3: 3=T", 0);
    let recorded = at_ms(alone) - at_ms(early);
    let mut harness = Harness::cluster(2, settings());
    harness.boot(3);
    assert_eq!(harness.model.process(&name(3)), Process::Booting);
    let up = harness.until(5_000, |harness| harness.model.http_up(&name(3))).expect("it starts");
    assert!((1_200..=3_000).contains(&up), "HTTP up after {up} ms");
    assert!(harness.model.listening(&name(3)), "MQTT and HTTP come up together");
    assert_eq!(harness.show(3), shown(early));
    assert_eq!(harness.health(3).0, 200, "healthy before it can answer");
    let mut seen = vec![harness.show(3)];
    for _ in 0..100 {
        harness.run(10);
        let now = harness.show(3);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert!(seen == ["ERR 400", "3=T"] || seen == ["ERR 400", "ERR 500", "3=T"], "{seen:?}");
    assert!((400..=700).contains(&recorded), "the recording says {recorded} ms");
}

#[test]
fn kill_is_seen_by_the_others_after_80_ms() {
    let rec = recording!("dead_node_netsplit.txt");
    let reported = millis(line(rec, "n1 show reports dead after", 0), "after ");
    let mut harness = Harness::cluster(3, settings());
    harness.signal(3, Signal::Kill);
    assert_eq!(harness.model.process(&name(3)), Process::Exited { code: 137 });
    assert_eq!(harness.show(1), "1=T 2=T 3=T");
    harness.run(reported);
    for k in [1, 2] {
        let recorded = line(rec, &format!("watch n{k}: cluster/show: 1=T 2=T 3=F"), 0);
        assert_eq!(harness.show(k), shown(recorded));
        assert_eq!(harness.health(k), health(recorded), "healthy while a member is dead");
    }
    let full = harness.model.health(&name(1), simulator::model::HealthPage::ListenersFullCluster);
    let recorded = line(rec, "n1 /health", 0);
    assert!(recorded.contains(&format!("({}, '{}')", full.status, full.body)), "{recorded} {full:?}");
}

#[test]
fn term_ends_after_a_second_and_stays_a_member() {
    let rec = recording!("netsplit_allow_on_systree_2000.txt");
    let gone = millis(line(rec, "process gone after", 0), "after ");
    let mut harness = Harness::cluster(3, all_allowed());
    harness.signal(3, Signal::Term);
    assert_eq!(harness.show(3), "down");
    assert!(!harness.gone(3));
    let took = harness.until(5_000, |harness| harness.gone(3)).expect("it ends");
    assert!(took.abs_diff(gone) <= 50, "{took} against {gone}");
    harness.run(100);
    assert_eq!(harness.show(1), shown(line(rec, "watch n1: cluster/show: 1=T 2=T 3=F", 1)));
    harness.boot(3);
    harness.run(10_000);
    assert_eq!(harness.show(1), "1=T 2=T 3=T", "it rejoins by itself");
    assert_eq!(harness.show(3), "1=T 2=T 3=T");
}

#[test]
fn node_stop_keeps_the_process_and_the_membership() {
    let rec = recording!("netsplit_allow_on_systree_2000.txt");
    let mut harness = Harness::cluster(3, all_allowed());
    let v4 = harness.session(3, "hl", Protocol::V4, true);
    let v5 = harness.session(3, "hl5", Protocol::V5, true);
    let (answer, _) = harness.admin(3, Command::NodeStop);
    let recorded = recording::admin(rec, "node stop", 0);
    assert_eq!(answer, simulator::model::Answer::Text(recorded.stdout));
    // "from_server_packet=True" is the v5 client's DISCONNECT packet, reason 0.
    assert!(line(rec, "hl5@n3 v5 DISCONNECTED", 0).contains("Normal disconnection from_server_packet=True"));
    assert_eq!(harness.seen(v5).closed, Some(CloseReason::NodeStopped));
    assert!(harness.seen(v4).closed.is_some());
    harness.run(1_000);
    assert_eq!(harness.model.process(&name(3)), Process::Stopping);
    assert!(line(rec, "pid 13869 show", 0).contains(&harness.show(1)), "others still show it true");
    assert_eq!(harness.show(3), "down");
}

#[test]
fn restart_keeps_queues_and_resets_counters() {
    let rec = recording!("q6_restart.txt");
    for (section, signal) in [("===== stop of n5", Signal::Term), ("===== kill of n5", Signal::Kill)] {
        let part = &rec[rec.find(section).expect("the section")..];
        let sessions = count::<usize>(line(part, "queued 10 messages for each of", 0), "each of ");
        let mut harness = Harness::cluster(3, settings());
        let publisher = harness.session(3, "pub", Protocol::V4, true);
        for s in 0..sessions {
            crate::harness::park(&mut harness, 3, &format!("s{s}"), &format!("q/{}", s % 50), 1);
        }
        for m in 0..10 {
            for topic in 0..50 {
                harness.publish(publisher, &format!("q/{topic}"), &format!("{m}"), 1);
            }
        }
        assert_eq!(harness.metric(3, "queue_message_in"), count::<i64>(part, "'queue_message_in': "));
        harness.signal(3, signal);
        harness.run(1_300);
        let away = harness.connect(1, simulator::model::Connect::new("s1", Protocol::V4, false));
        assert!(harness.seen(away).refused.is_some(), "its clients are refused elsewhere meanwhile: (0, 3)");
        harness.boot(3);
        harness.run(8_000);
        // The recorded kill found 250 queues of the stop before it as well.
        let before = if signal == Signal::Kill { 250 } else { 0 };
        let stored = harness.metric(3, "queue_initialized_from_storage");
        assert_eq!(stored + before, count::<i64>(part, "'queue_initialized_from_storage': "));
        assert_eq!(harness.metric(3, "queue_message_in"), 0, "counters start again");
        let mut complete = 0;
        for s in 0..sessions {
            let at = if s % 2 == 0 { 3 } else { 1 };
            let conn = harness.session(at, &format!("s{s}"), Protocol::V4, false);
            harness.run(20);
            assert_eq!(harness.seen(conn).connack, Some(true));
            assert!(harness.seen(conn).got.iter().all(|g| !g.dup));
            let expected: Vec<String> = (0..10).map(|m| m.to_string()).collect();
            complete += usize::from(harness.payloads(conn) == expected);
        }
        let recorded = line(part, "reconnected", 0);
        let half = count::<usize>(recorded, "complete (10 messages) ");
        assert_eq!(complete, 2 * half, "{recorded}");
    }
}
