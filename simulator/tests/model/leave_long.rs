//! How long a leave takes, and what can be read meanwhile (docs/broker/leave.md, "Cut at 60 s").

use simulator::model::{Answer, Protocol, Via};

use crate::lab::{Lab, leave, name, park_many, settings};
use crate::recording;
use crate::recording::{count, json_text, line, millis};

/// `sessions` offline queues on n3, ten to a topic, eight messages each.
fn loaded(sessions: usize) -> Lab {
    let mut lab = Lab::cluster(3, settings());
    park_many(&mut lab, 3, sessions, |s| format!("t/{}", s / 10));
    let publisher = lab.session(3, "pub", Protocol::V4, true);
    for topic in 0..sessions / 10 {
        for m in 0..8 {
            lab.publish(publisher, &format!("t/{topic}"), &m.to_string(), 1);
        }
    }
    lab.goodbye(publisher);
    lab.run(1_000);
    lab
}

/// Recorded `queue_processes` of n3 by milliseconds since the request.
fn recorded_queues(rec: &str) -> Vec<(u64, i64)> {
    let sample = |line: &str| {
        let (_, n3) = line.split_once("| n3 ")?;
        (!n3.contains("qp=-")).then(|| (millis(line, "t="), count(n3, "qp=")))
    };
    rec.lines().filter(|line| line.contains("  t=")).filter_map(sample).collect()
}

fn follow(lab: &mut Lab, rec: &str) {
    let start = lab.now;
    let samples = recorded_queues(rec);
    let all = samples[0].1;
    for (at, queues) in samples.into_iter().filter(|(at, _)| *at < 55_000) {
        lab.run((start + at).saturating_sub(lab.now));
        let got = lab.metric(3, "queue_processes");
        assert!((got - queues).abs() <= all / 6, "after {at} ms: {got}, recorded {queues}");
        assert_eq!(lab.show(1), "1=T 2=T 3=T", "cluster show says nothing");
        let (a, b) = (lab.metric(1, "queue_processes"), lab.metric(2, "queue_processes"));
        assert!((a + b + got - all).abs() <= 10 && (a - b).abs() <= 2, "{a} {b} {got}");
    }
}

#[test]
fn a_thousand_queues_take_five_seconds() {
    let rec = recording!("q1_leave_small_1000.txt");
    let mut lab = loaded(1_000);
    let status = line(rec, "n3 status.json", 0);
    let own = lab.status(3);
    assert_eq!(own.queue_in, count::<i64>(status, "\"queue_in\":"));
    assert_eq!(own.matches_local, count::<i64>(status, "\"matches_local\":"));
    assert_eq!(own.msg_in, count::<i64>(status, "\"msg_in\":"));
    // The recorder's own two sessions and one filter are not played.
    assert_eq!(own.num_offline + 2, count::<i64>(status, "\"num_offline\":"));
    assert_eq!(own.num_subscriptions + 1, count::<i64>(status, "\"num_subscriptions\":"));
    let start = lab.now;
    let call = lab.ask(1, leave(&name(3), 30), Via::Http);
    follow(&mut lab, rec);
    lab.until(10_000, |lab| lab.answers.contains_key(&call)).expect("an answer");
    let (at, answer) = lab.answers.remove(&call).expect("an answer");
    let reply = line(rec, "HTTP reply after", 0);
    assert_eq!(answer, Some(Answer::Text(json_text(reply))));
    assert!((at - start).abs_diff(millis(reply, "after ")) <= 800, "{} ms", at - start);
    lab.run(3_000);
    let after = line(rec, "n1 show 1=T 2=T", 0);
    let want: i64 = count(after, "'router_subscriptions': ");
    assert_eq!(lab.metric(1, "router_subscriptions") + 1, want, "filters of both survivors");
    let mut complete = 0;
    for s in 0..250_u32 {
        let k = 1 + u8::try_from(s % 2).expect("small");
        let conn = lab.session(k, &format!("s{}", 4 * s), Protocol::V4, false);
        lab.run(5);
        let in_order = lab.payloads(conn) == (0..8).map(|m| m.to_string()).collect::<Vec<_>>();
        complete += usize::from(in_order && lab.seen(conn).connack == Some(true));
    }
    let sample = line(rec, "reconnected 1000 sessions", 0);
    assert_eq!(complete, count::<usize>(sample, "in order ") / 4);
}

#[test]
fn above_7500_queues_the_reply_never_comes_and_the_leave_goes_on() {
    let rec = recording!("q1_leave_22000.txt");
    let mut lab = loaded(22_000);
    let start = lab.now;
    let call = lab.ask(1, leave(&name(3), 30), Via::Http);
    assert_eq!(lab.health(3).0, 500, "{}", line(rec, "watch n3: 1=T 2=T 3=T | /health 500", 0));
    follow(&mut lab, rec);
    lab.until(10_000, |lab| lab.answers.contains_key(&call)).expect("cut");
    let (at, answer) = lab.answers.remove(&call).expect("cut");
    let reply = line(rec, "HTTP reply after", 0);
    assert_eq!(answer.is_none(), reply.ends_with("EOF"));
    assert!((at - start).abs_diff(millis(reply, "after ")) <= 50);
    assert_eq!(lab.health(3).0, 200);
    while lab.metric(3, "queue_processes") > 0 {
        lab.run(200);
        assert!(lab.now - start < 200_000, "the last queue goes");
    }
    // docs/broker/leave.md, "Cut at 60 s": 172.7 s.
    assert!((lab.now - start).abs_diff(172_700) < 5_000, "{} ms", lab.now - start);
    assert_eq!(lab.metric(1, "queue_message_in") + lab.metric(2, "queue_message_in"), 176_000);
    lab.run(5_000);
    assert!(lab.gone(3));
    assert_eq!((lab.show(1), lab.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
}

#[test]
fn empty_queues_go_fast() {
    let rec = recording!("q4_still_online.txt");
    let reply = line(rec, "HTTP reply after", 0);
    let mut lab = Lab::cluster(3, settings());
    for s in 0..3_000 {
        let conn = lab.session(3, &format!("s{s}"), Protocol::V4, false);
        lab.subscribe(conn, &format!("t/{s}"), 1);
    }
    let (answer, ms) = lab.http(1, leave(&name(3), 1));
    assert_eq!(answer, Some(Answer::Text(json_text(reply))), "--timeout=1 does not bound it");
    assert!(ms.abs_diff(millis(reply, "after ")) < 1_000, "{ms}");
}

#[test]
fn five_thousand_queues_with_ten_messages_each() {
    let rec = recording!("queue_migration_paced.txt");
    let mut lab = Lab::cluster(3, settings());
    park_many(&mut lab, 3, 5_000, |s| format!("t/{}", s / 100));
    let publisher = lab.session(3, "pub", Protocol::V4, true);
    for topic in 0..50 {
        for m in 0..10 {
            lab.publish(publisher, &format!("t/{topic}"), &m.to_string(), 1);
        }
    }
    lab.goodbye(publisher);
    let (answer, ms) = lab.http(1, leave(&name(3), 30));
    let reply = line(rec, "leave -k -> 200", 0);
    assert_eq!(answer, Some(Answer::Text(json_text(reply))));
    let recorded: f64 =
        reply.rsplit(' ').next().and_then(|s| s.trim_end_matches('s').parse().ok()).expect("s");
    let recorded = std::time::Duration::from_secs_f64(recorded).as_millis();
    assert!(u128::from(ms).abs_diff(recorded) < recorded / 10, "{ms}, recorded {recorded}");
}
