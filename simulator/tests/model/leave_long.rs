//! How long a leave takes, and what can be read meanwhile (docs/broker/leave.md, "Cut at 60 s").

use simulator::model::{Answer, Protocol, Via};

use crate::harness::{Harness, leave, name, park_many, settings};
use crate::recording;
use crate::recording::{count, json_text, line, millis};

/// `sessions` offline queues on n3, ten to a topic, eight messages each.
fn loaded(sessions: usize) -> Harness {
    let mut harness = Harness::cluster(3, settings());
    park_many(&mut harness, 3, sessions, |s| format!("t/{}", s / 10));
    let publisher = harness.session(3, "pub", Protocol::V4, true);
    for topic in 0..sessions / 10 {
        for m in 0..8 {
            harness.publish(publisher, &format!("t/{topic}"), &m.to_string(), 1);
        }
    }
    harness.goodbye(publisher);
    harness.run(1_000);
    harness
}

/// Recorded `queue_processes` of n3 by milliseconds since the request.
fn recorded_queues(rec: &str) -> Vec<(u64, i64)> {
    let sample = |line: &str| {
        let (_, n3) = line.split_once("| n3 ")?;
        (!n3.contains("qp=-")).then(|| (millis(line, "t="), count(n3, "qp=")))
    };
    rec.lines().filter(|line| line.contains("  t=")).filter_map(sample).collect()
}

fn follow(harness: &mut Harness, rec: &str) {
    let start = harness.now;
    let samples = recorded_queues(rec);
    let all = samples[0].1;
    for (at, queues) in samples.into_iter().filter(|(at, _)| *at < 55_000) {
        harness.run((start + at).saturating_sub(harness.now));
        let got = harness.metric(3, "queue_processes");
        assert!((got - queues).abs() <= all / 6, "after {at} ms: {got}, recorded {queues}");
        assert_eq!(harness.show(1), "1=T 2=T 3=T", "cluster show says nothing");
        let (a, b) = (harness.metric(1, "queue_processes"), harness.metric(2, "queue_processes"));
        assert!((a + b + got - all).abs() <= 10 && (a - b).abs() <= 2, "{a} {b} {got}");
    }
}

#[test]
fn a_thousand_queues_take_five_seconds() {
    let rec = recording!("q1_leave_small_1000.txt");
    let mut harness = loaded(1_000);
    let status = line(rec, "n3 status.json", 0);
    let own = harness.status(3);
    assert_eq!(own.queue_in, count::<i64>(status, "\"queue_in\":"));
    assert_eq!(own.matches_local, count::<i64>(status, "\"matches_local\":"));
    assert_eq!(own.msg_in, count::<i64>(status, "\"msg_in\":"));
    // The recorder's own two sessions and one filter are not played.
    assert_eq!(own.num_offline + 2, count::<i64>(status, "\"num_offline\":"));
    assert_eq!(own.num_subscriptions + 1, count::<i64>(status, "\"num_subscriptions\":"));
    let start = harness.now;
    let call = harness.ask(1, leave(&name(3), 30), Via::Http);
    follow(&mut harness, rec);
    harness.until(10_000, |harness| harness.answers.contains_key(&call)).expect("an answer");
    let (at, answer) = harness.answers.remove(&call).expect("an answer");
    let reply = line(rec, "HTTP reply after", 0);
    assert_eq!(answer, Some(Answer::Text(json_text(reply))));
    assert!((at - start).abs_diff(millis(reply, "after ")) <= 800, "{} ms", at - start);
    harness.run(3_000);
    let after = line(rec, "n1 show 1=T 2=T", 0);
    let want: i64 = count(after, "'router_subscriptions': ");
    assert_eq!(harness.metric(1, "router_subscriptions") + 1, want, "filters of both survivors");
    let mut complete = 0;
    for s in 0..250_u32 {
        let k = 1 + u8::try_from(s % 2).expect("small");
        let conn = harness.session(k, &format!("s{}", 4 * s), Protocol::V4, false);
        harness.run(5);
        let in_order = harness.payloads(conn) == (0..8).map(|m| m.to_string()).collect::<Vec<_>>();
        complete += usize::from(in_order && harness.seen(conn).connack == Some(true));
    }
    let sample = line(rec, "reconnected 1000 sessions", 0);
    assert_eq!(complete, count::<usize>(sample, "in order ") / 4);
}

#[test]
fn above_7500_queues_the_reply_never_comes_and_the_leave_goes_on() {
    let rec = recording!("q1_leave_22000.txt");
    let mut harness = loaded(22_000);
    let start = harness.now;
    let call = harness.ask(1, leave(&name(3), 30), Via::Http);
    assert_eq!(harness.health(3).0, 500, "{}", line(rec, "watch n3: 1=T 2=T 3=T | /health 500", 0));
    follow(&mut harness, rec);
    harness.until(10_000, |harness| harness.answers.contains_key(&call)).expect("cut");
    let (at, answer) = harness.answers.remove(&call).expect("cut");
    let reply = line(rec, "HTTP reply after", 0);
    assert_eq!(answer.is_none(), reply.ends_with("EOF"));
    assert!((at - start).abs_diff(millis(reply, "after ")) <= 50);
    assert_eq!(harness.health(3).0, 200);
    while harness.metric(3, "queue_processes") > 0 {
        harness.run(200);
        assert!(harness.now - start < 200_000, "the last queue goes");
    }
    // docs/broker/leave.md, "Cut at 60 s": 172.7 s.
    assert!((harness.now - start).abs_diff(172_700) < 5_000, "{} ms", harness.now - start);
    assert_eq!(harness.metric(1, "queue_message_in") + harness.metric(2, "queue_message_in"), 176_000);
    harness.run(5_000);
    assert!(harness.gone(3));
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
}

#[test]
fn empty_queues_go_fast() {
    let rec = recording!("q4_still_online.txt");
    let reply = line(rec, "HTTP reply after", 0);
    let mut harness = Harness::cluster(3, settings());
    for s in 0..3_000 {
        let conn = harness.session(3, &format!("s{s}"), Protocol::V4, false);
        harness.subscribe(conn, &format!("t/{s}"), 1);
    }
    let (answer, ms) = harness.http(1, leave(&name(3), 1));
    assert_eq!(answer, Some(Answer::Text(json_text(reply))), "--timeout=1 does not bound it");
    assert!(ms.abs_diff(millis(reply, "after ")) < 1_000, "{ms}");
}

#[test]
fn five_thousand_queues_with_ten_messages_each() {
    let rec = recording!("queue_migration_paced.txt");
    let mut harness = Harness::cluster(3, settings());
    park_many(&mut harness, 3, 5_000, |s| format!("t/{}", s / 100));
    let publisher = harness.session(3, "pub", Protocol::V4, true);
    for topic in 0..50 {
        for m in 0..10 {
            harness.publish(publisher, &format!("t/{topic}"), &m.to_string(), 1);
        }
    }
    harness.goodbye(publisher);
    let (answer, ms) = harness.http(1, leave(&name(3), 30));
    let reply = line(rec, "leave -k -> 200", 0);
    assert_eq!(answer, Some(Answer::Text(json_text(reply))));
    let recorded: f64 =
        reply.rsplit(' ').next().and_then(|s| s.trim_end_matches('s').parse().ok()).expect("s");
    let recorded = std::time::Duration::from_secs_f64(recorded).as_millis();
    assert!(u128::from(ms).abs_diff(recorded) < recorded / 10, "{ms}, recorded {recorded}");
}
