//! Leave of a dead node (docs/broker/netsplit.md).

use simulator::model::{Answer, Connect, Protocol, Refusal, Signal, Via};

use crate::harness::{Harness, leave, name, park, park_many, settings};
use crate::recording;
use crate::recording::{count, line, shown};

const DEAD: &str = recording!("dead_node_netsplit.txt");
const CUT: &str = recording!("q8_dead_leave_client_closed_halfway.txt");

/// n3 with a queue of 50 messages, and an idle one, is killed.
fn killed() -> Harness {
    let mut harness = Harness::cluster(3, settings());
    park(&mut harness, 3, "pd3", "q/pd3", 1);
    park(&mut harness, 3, "pd3on", "q/pd3on", 1);
    let bulk = harness.session(1, "bulk", Protocol::V4, true);
    let messages: u32 = count(line(DEAD, "q1 to q/pd3 via n1", 0), "published ");
    for m in 0..messages {
        harness.publish(bulk, "q/pd3", &m.to_string(), 1);
    }
    harness.goodbye(bulk);
    harness.run(100);
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    harness
}

#[test]
fn done_recreates_the_sessions_without_their_messages() {
    let mut harness = killed();
    let refused = harness.connect(1, Connect::new("ns311", Protocol::V4, true));
    assert_eq!(harness.seen(refused).refused, Some(Refusal::ServerUnavailable));
    let (answer, _) = harness.admin(1, leave(&name(3), 30));
    let want = recording::admin(DEAD, "node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 0);
    assert_eq!((answer.clone(), answer.exit_code()), (Answer::Text(want.stdout), want.exit));
    harness.run(500);
    assert_eq!(harness.show(1), shown(line(DEAD, "watch n1: cluster/show: 1=T 2=T |", 0)));
    assert_eq!(harness.show(2), "1=T 2=T");
    harness.session(1, "ns311", Protocol::V4, true);
    harness.session(2, "ns5", Protocol::V5, true);
    let bulk = harness.session(1, "bulk", Protocol::V4, true);
    for m in 0..5 {
        harness.publish(bulk, "q/pd3", &m.to_string(), 1);
    }
    let back = harness.session(1, "pd3", Protocol::V4, false);
    harness.run(200);
    assert_eq!(harness.seen(back).connack, Some(true));
    let got: usize = count(line(DEAD, "pd3 got", 0), "got ");
    assert_eq!(harness.seen(back).got.len(), got, "the 50 on its disk are lost");
    let (answer, _) = harness.admin(1, leave(&name(3), 30));
    let again = recording::admin(DEAD, "node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 1);
    assert_eq!(answer, Answer::Text(again.stdout), "again: not a member, down");
}

#[test]
fn the_removed_node_comes_back_as_a_zombie() {
    let mut harness = killed();
    harness.http(1, leave(&name(3), 30));
    harness.boot(3);
    harness.run(15_000);
    for k in 1..=3 {
        let last = DEAD.lines().rfind(|l| l.contains(&format!("show n{k} "))).expect("a line");
        assert!(last.ends_with(&format!("show n{k} {}", harness.show(k))), "{last}: {}", harness.show(k));
    }
    harness.session(3, "after3", Protocol::V4, true);
    harness.session(1, "after1", Protocol::V4, true);
    let known = harness.connect(3, Connect::new("pd3", Protocol::V4, false));
    harness.run(2_000);
    assert_eq!(
        harness.seen(known).refused,
        Some(Refusal::ServerUnavailable),
        "{}",
        line(DEAD, "pd3@n3 v4 CONNACK rc=136", 0)
    );
}

#[test]
fn the_issuer_restarts_alone_and_heals() {
    let rec = recording!("q3_dead_leave_issuer_restart_a.txt");
    for (signal, wait) in [(Signal::Kill, 0), (Signal::Term, 0), (Signal::Kill, 30_000)] {
        let mut harness = Harness::cluster(3, settings());
        let own = harness.session(1, "v", Protocol::V4, false);
        harness.subscribe(own, "v", 1);
        harness.goodbye(own);
        let publisher = harness.session(1, "pub", Protocol::V4, true);
        for m in 0..3 {
            harness.publish(publisher, "v", &format!("m-{m}"), 1);
        }
        harness.signal(3, Signal::Kill);
        harness.run(1_000);
        let (answer, ms) = harness.http(1, leave(&name(3), 30));
        assert_eq!(answer, Some(Answer::Text("Done".into())));
        assert!((2_000..=8_500).contains(&ms), "{ms}");
        harness.run(wait);
        harness.signal(1, signal);
        harness.run(1_500);
        harness.boot(1);
        harness.until(5_000, |harness| harness.model.http_up(&name(1))).expect("it starts");
        let up = harness.now;
        harness.run(1_000);
        assert_eq!(harness.show(1), shown(line(rec, "watch n1: 1=T |", 0)));
        assert_eq!(harness.health(1).0, 200, "alone and healthy");
        while harness.show(1) == "1=T" {
            harness.run(50);
            assert!(harness.now < up + 30_000, "it never heals");
        }
        assert!((9_000..=19_500).contains(&(harness.now - up)), "after {} ms", harness.now - up);
        harness.run(6_000);
        assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
        let back = harness.session(1, "v", Protocol::V4, false);
        harness.run(50);
        let kept = line(rec, "its persistent session on the issuer", 0);
        assert!(kept.contains("((1, 0), ['m-0', 'm-1', 'm-2']"), "{kept}");
        assert_eq!(harness.payloads(back), ["m-0", "m-1", "m-2"]);
    }
}

#[test]
fn a_membership_change_gives_the_issuer_its_state_back() {
    let mut harness = Harness::cluster(3, settings());
    harness.signal(3, Signal::Kill);
    harness.run(1_000);
    harness.http(1, leave(&name(3), 30));
    harness.model.wipe(&name(3));
    harness.boot(3);
    harness.run(5_000);
    let (answer, _) = harness.http(3, simulator::model::Command::ClusterJoin { peer: name(2) });
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    harness.run(15_000);
    harness.signal(1, Signal::Kill);
    harness.run(500);
    harness.boot(1);
    harness.run(5_000);
    assert_eq!(harness.show(1), "1=T 2=T 3=T");
}

fn ten_thousand() -> Harness {
    let mut harness = Harness::cluster(3, settings());
    park_many(&mut harness, 3, 10_000, |s| format!("t/{}", s % 1_000));
    harness
}

#[test]
fn ten_thousand_sessions_are_recreated_inside_the_request() {
    let rec = recording!("q7_dead_leave_many_sessions_http.txt");
    let mut harness = ten_thousand();
    // 3 s of quiet before the kill: everything is known to the others.
    harness.run(10_000);
    harness.signal(3, Signal::Kill);
    harness.run(1_100);
    let (answer, ms) = harness.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let reply = crate::recording::millis(line(rec, "HTTP reply after", 0), "after ");
    assert!(ms.abs_diff(reply) < 5_000, "{ms}, recorded {reply}");
    let recreated: i64 = count(line(rec, "queues recreated", 0), "of ");
    assert_eq!(harness.metric(1, "queue_processes") + harness.metric(2, "queue_processes"), recreated);
    for s in 0..50 {
        let conn = harness.session(1, &format!("s{s}"), Protocol::V4, false);
        assert_eq!(harness.seen(conn).connack, Some(true), "{}", line(rec, "sample of 300 after", 0));
    }
}

#[test]
fn cut_off_halfway_the_repair_stays_undone_until_it_is_repeated() {
    let mut harness = ten_thousand();
    let made = harness.now;
    // Made just before the kill: some are unknown to the others.
    harness.run(1_000);
    harness.signal(3, Signal::Kill);
    assert!(harness.now - made < 8_000);
    harness.run(1_100);
    let call = harness.ask(1, leave(&name(3), 30), Via::Http);
    harness.run(1_500);
    harness.model.hang_up(call, lifecycle::Time(harness.now));
    harness.run(11_000);
    assert!(line(CUT, "11 s later", 0).contains("queues recreated: 0"));
    assert_eq!(harness.metric(1, "queue_processes") + harness.metric(2, "queue_processes"), 0);
    assert_eq!(
        (harness.show(1), harness.show(2)),
        ("1=T 2=T".into(), "1=T 2=T".into()),
        "a clean cluster of two"
    );
    let (mut reset, mut empty) = (0, 0);
    for s in 0..200 {
        let conn = harness.connect(1, Connect::new(format!("s{}", s * 50), Protocol::V4, false));
        harness.run(50);
        reset += u32::from(harness.seen(conn).closed.is_some() && harness.seen(conn).connack.is_none());
        empty += u32::from(harness.seen(conn).connack == Some(false));
    }
    let sample = line(CUT, "sample of 200 reconnects", 0);
    let recorded: u32 = count(sample, ")\")': ");
    assert!(reset.abs_diff(recorded) <= 20, "{reset} reset, recorded {recorded}");
    assert_eq!(reset + empty, 200);
    let (answer, _) = harness.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let after = line(CUT, "after retry", 0);
    let recorded: i64 = count(after, "queues recreated: ");
    let queues =
        harness.metric(1, "queue_processes") + harness.metric(2, "queue_processes") - i64::from(empty);
    assert!((queues - recorded).abs() < 200, "{queues} recreated, recorded {recorded}");
}
