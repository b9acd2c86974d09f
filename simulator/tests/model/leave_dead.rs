//! Leave of a dead node (docs/broker/netsplit.md).

use simulator::model::{Answer, Connect, Protocol, Refusal, Signal, Via};

use crate::lab::{Lab, leave, name, park, park_many, settings};
use crate::recording;
use crate::recording::{count, line, shown};

const DEAD: &str = recording!("dead_node_netsplit.txt");
const CUT: &str = recording!("q8_dead_leave_client_closed_halfway.txt");

/// n3 with a queue of 50 messages, and an idle one, is killed.
fn killed() -> Lab {
    let mut lab = Lab::cluster(3, settings());
    park(&mut lab, 3, "pd3", "q/pd3", 1);
    park(&mut lab, 3, "pd3on", "q/pd3on", 1);
    let bulk = lab.session(1, "bulk", Protocol::V4, true);
    let messages: u32 = count(line(DEAD, "q1 to q/pd3 via n1", 0), "published ");
    for m in 0..messages {
        lab.publish(bulk, "q/pd3", &m.to_string(), 1);
    }
    lab.goodbye(bulk);
    lab.run(100);
    lab.signal(3, Signal::Kill);
    lab.run(1_000);
    lab
}

#[test]
fn done_recreates_the_sessions_without_their_messages() {
    let mut lab = killed();
    let refused = lab.connect(1, Connect::new("ns311", Protocol::V4, true));
    assert_eq!(lab.seen(refused).refused, Some(Refusal::ServerUnavailable));
    let (answer, _) = lab.admin(1, leave(&name(3), 30));
    let want = recording::admin(DEAD, "node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 0);
    assert_eq!((answer.clone(), answer.exit_code()), (Answer::Text(want.stdout), want.exit));
    lab.run(500);
    assert_eq!(lab.show(1), shown(line(DEAD, "watch n1: cluster/show: 1=T 2=T |", 0)));
    assert_eq!(lab.show(2), "1=T 2=T");
    lab.session(1, "ns311", Protocol::V4, true);
    lab.session(2, "ns5", Protocol::V5, true);
    let bulk = lab.session(1, "bulk", Protocol::V4, true);
    for m in 0..5 {
        lab.publish(bulk, "q/pd3", &m.to_string(), 1);
    }
    let back = lab.session(1, "pd3", Protocol::V4, false);
    lab.run(200);
    assert_eq!(lab.seen(back).connack, Some(true));
    let got: usize = count(line(DEAD, "pd3 got", 0), "got ");
    assert_eq!(lab.seen(back).got.len(), got, "the 50 on its disk are lost");
    let (answer, _) = lab.admin(1, leave(&name(3), 30));
    let again = recording::admin(DEAD, "node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 1);
    assert_eq!(answer, Answer::Text(again.stdout), "again: not a member, down");
}

#[test]
fn the_removed_node_comes_back_as_a_zombie() {
    let mut lab = killed();
    lab.http(1, leave(&name(3), 30));
    lab.boot(3);
    lab.run(15_000);
    for k in 1..=3 {
        let last = DEAD.lines().rfind(|l| l.contains(&format!("show n{k} "))).expect("a line");
        assert!(last.ends_with(&format!("show n{k} {}", lab.show(k))), "{last}: {}", lab.show(k));
    }
    lab.session(3, "after3", Protocol::V4, true);
    lab.session(1, "after1", Protocol::V4, true);
    let known = lab.connect(3, Connect::new("pd3", Protocol::V4, false));
    lab.run(2_000);
    assert_eq!(
        lab.seen(known).refused,
        Some(Refusal::ServerUnavailable),
        "{}",
        line(DEAD, "pd3@n3 v4 CONNACK rc=136", 0)
    );
}

#[test]
fn the_issuer_restarts_alone_and_heals() {
    let rec = recording!("q3_dead_leave_issuer_restart_a.txt");
    for (signal, wait) in [(Signal::Kill, 0), (Signal::Term, 0), (Signal::Kill, 30_000)] {
        let mut lab = Lab::cluster(3, settings());
        let own = lab.session(1, "v", Protocol::V4, false);
        lab.subscribe(own, "v", 1);
        lab.goodbye(own);
        let publisher = lab.session(1, "pub", Protocol::V4, true);
        for m in 0..3 {
            lab.publish(publisher, "v", &format!("m-{m}"), 1);
        }
        lab.signal(3, Signal::Kill);
        lab.run(1_000);
        let (answer, ms) = lab.http(1, leave(&name(3), 30));
        assert_eq!(answer, Some(Answer::Text("Done".into())));
        assert!((2_000..=8_500).contains(&ms), "{ms}");
        lab.run(wait);
        lab.signal(1, signal);
        lab.run(1_500);
        lab.boot(1);
        lab.until(5_000, |lab| lab.model.http_up(&name(1))).expect("it starts");
        let up = lab.now;
        lab.run(1_000);
        assert_eq!(lab.show(1), shown(line(rec, "watch n1: 1=T |", 0)));
        assert_eq!(lab.health(1).0, 200, "alone and healthy");
        while lab.show(1) == "1=T" {
            lab.run(50);
            assert!(lab.now < up + 30_000, "it never heals");
        }
        assert!((9_000..=19_500).contains(&(lab.now - up)), "after {} ms", lab.now - up);
        lab.run(6_000);
        assert_eq!((lab.show(1), lab.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
        let back = lab.session(1, "v", Protocol::V4, false);
        lab.run(50);
        let kept = line(rec, "its persistent session on the issuer", 0);
        assert!(kept.contains("((1, 0), ['m-0', 'm-1', 'm-2']"), "{kept}");
        assert_eq!(lab.payloads(back), ["m-0", "m-1", "m-2"]);
    }
}

#[test]
fn a_membership_change_gives_the_issuer_its_state_back() {
    let mut lab = Lab::cluster(3, settings());
    lab.signal(3, Signal::Kill);
    lab.run(1_000);
    lab.http(1, leave(&name(3), 30));
    lab.model.wipe(&name(3));
    lab.boot(3);
    lab.run(5_000);
    let (answer, _) = lab.http(3, simulator::model::Command::ClusterJoin { peer: name(2) });
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    lab.run(15_000);
    lab.signal(1, Signal::Kill);
    lab.run(500);
    lab.boot(1);
    lab.run(5_000);
    assert_eq!(lab.show(1), "1=T 2=T 3=T");
}

fn ten_thousand() -> Lab {
    let mut lab = Lab::cluster(3, settings());
    park_many(&mut lab, 3, 10_000, |s| format!("t/{}", s % 1_000));
    lab
}

#[test]
fn ten_thousand_sessions_are_recreated_inside_the_request() {
    let rec = recording!("q7_dead_leave_many_sessions_http.txt");
    let mut lab = ten_thousand();
    // 3 s of quiet before the kill: everything is known to the others.
    lab.run(10_000);
    lab.signal(3, Signal::Kill);
    lab.run(1_100);
    let (answer, ms) = lab.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let reply = crate::recording::millis(line(rec, "HTTP reply after", 0), "after ");
    assert!(ms.abs_diff(reply) < 5_000, "{ms}, recorded {reply}");
    let recreated: i64 = count(line(rec, "queues recreated", 0), "of ");
    assert_eq!(lab.metric(1, "queue_processes") + lab.metric(2, "queue_processes"), recreated);
    for s in 0..50 {
        let conn = lab.session(1, &format!("s{s}"), Protocol::V4, false);
        assert_eq!(lab.seen(conn).connack, Some(true), "{}", line(rec, "sample of 300 after", 0));
    }
}

#[test]
fn cut_off_halfway_the_repair_stays_undone_until_it_is_repeated() {
    let mut lab = ten_thousand();
    let made = lab.now;
    // Made just before the kill: some are unknown to the others.
    lab.run(1_000);
    lab.signal(3, Signal::Kill);
    assert!(lab.now - made < 8_000);
    lab.run(1_100);
    let call = lab.ask(1, leave(&name(3), 30), Via::Http);
    lab.run(1_500);
    lab.model.hang_up(call, lifecycle::Time(lab.now));
    lab.run(11_000);
    assert!(line(CUT, "11 s later", 0).contains("queues recreated: 0"));
    assert_eq!(lab.metric(1, "queue_processes") + lab.metric(2, "queue_processes"), 0);
    assert_eq!((lab.show(1), lab.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()), "a clean cluster of two");
    let (mut reset, mut empty) = (0, 0);
    for s in 0..200 {
        let conn = lab.connect(1, Connect::new(format!("s{}", s * 50), Protocol::V4, false));
        lab.run(50);
        reset += u32::from(lab.seen(conn).closed.is_some() && lab.seen(conn).connack.is_none());
        empty += u32::from(lab.seen(conn).connack == Some(false));
    }
    let sample = line(CUT, "sample of 200 reconnects", 0);
    let recorded: u32 = count(sample, ")\")': ");
    assert!(reset.abs_diff(recorded) <= 20, "{reset} reset, recorded {recorded}");
    assert_eq!(reset + empty, 200);
    let (answer, _) = lab.http(1, leave(&name(3), 30));
    assert_eq!(answer, Some(Answer::Text("Done".into())));
    let after = line(CUT, "after retry", 0);
    let recorded: i64 = count(after, "queues recreated: ");
    let queues = lab.metric(1, "queue_processes") + lab.metric(2, "queue_processes") - i64::from(empty);
    assert!((queues - recorded).abs() < 200, "{queues} recreated, recorded {recorded}");
}
