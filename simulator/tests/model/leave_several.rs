//! More than one leave: back to back, at once, down to one node.

use simulator::model::{Answer, ConnId, Connect, Protocol, Via};

use crate::lab::{Lab, leave, name, park, settings};
use crate::recording;
use crate::recording::{count, line};

#[test]
fn two_leaves_at_once_both_say_done() {
    let rec = recording!("netsplit_allow_on_systree_2000.txt");
    let mut lab = Lab::cluster(3, settings());
    let calls = [lab.ask(1, leave(&name(2), 30), Via::Admin), lab.ask(1, leave(&name(3), 30), Via::Admin)];
    lab.run(5_000);
    for (call, k) in calls.into_iter().zip([2, 3]) {
        let (_, Some(Answer::Text(text))) = lab.answers.remove(&call).expect("answered") else { panic!() };
        let want = recording::admin(rec, &format!("node=VerneMQ{k}@127.0.0.1{k} -k -i 1 -t 30"), 0);
        assert_eq!(text.lines().last(), want.stdout.lines().last(), "no mutual exclusion");
    }
    assert!(line(rec, "show 1=T pids", 0).contains(&format!("show {} pids", lab.show(1))));
    assert!(lab.gone(2) && lab.gone(3));
}

#[test]
fn queues_can_be_sent_to_a_node_that_is_leaving() {
    let mut lab = Lab::cluster(3, settings());
    for s in 0..40 {
        park(&mut lab, 3, &format!("s{s}"), "q", 1);
    }
    lab.ask(1, leave(&name(2), 30), Via::Http);
    lab.ask(1, leave(&name(3), 30), Via::Http);
    lab.run(8_000);
    assert!(lab.gone(2) && lab.gone(3));
    let mut stranded = 0;
    for s in 0..40 {
        let conn = lab.connect(1, Connect::new(format!("s{s}"), Protocol::V4, false));
        lab.run(50);
        stranded += usize::from(lab.seen(conn).connack.is_none());
    }
    assert_eq!(stranded, 20, "half of them went down with n2");
}

/// `flood_scale_down_3_to_1.txt`: four QoS 1 publishers that come back, one
/// persistent subscriber on n1, n3 and n2 leave back to back.
#[test]
fn a_flood_through_two_leaves_loses_nothing_that_was_acknowledged() {
    let rec = recording!("flood_scale_down_3_to_1.txt");
    let mut lab = Lab::cluster(3, settings());
    let subscriber = lab.session(1, "g6sub", Protocol::V4, false);
    lab.subscribe(subscriber, "flood/#", 1);
    let mut flooders: Vec<ConnId> =
        (0..4).map(|f| lab.session(1 + f % 3, &format!("f{f}"), Protocol::V4, true)).collect();
    let mut acked = Vec::new();
    let mut flood = |lab: &mut Lab, ms: u64| {
        for _ in 0..ms / 10 {
            for (f, conn) in flooders.iter_mut().enumerate() {
                let seen = lab.seen(*conn);
                if seen.closed.is_some() || seen.refused.is_some() {
                    *conn = lab.connect(1, Connect::new(format!("f{f}"), Protocol::V4, true));
                }
                let text = format!("{f}-{}", lab.now);
                let outcome = lab.publish(*conn, "flood/x", &text, 1);
                if outcome == simulator::model::PublishOutcome::Accepted {
                    acked.push(text);
                }
            }
            lab.run(10);
        }
    };
    for k in [3, 2] {
        let call = lab.ask(1, leave(&name(k), 30), Via::Http);
        while !lab.answers.contains_key(&call) {
            flood(&mut lab, 100);
        }
        assert_eq!(lab.answers.remove(&call).and_then(|(_, a)| a), Some(Answer::Text("Done".into())));
    }
    flood(&mut lab, 5_000);
    assert_eq!(lab.show(1), "1=T");
    let mut got = lab.payloads(subscriber);
    let received = got.len();
    got.sort();
    got.dedup();
    acked.sort();
    let flood = line(rec, "flood: sent", 0);
    assert_eq!(count::<usize>(flood, "acked-but-not-received "), 0);
    assert_eq!(count::<usize>(flood, "duplicates "), received - got.len());
    assert_eq!(got, acked);
}
