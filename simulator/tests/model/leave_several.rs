//! More than one leave: back to back, at once, down to one node.

use simulator::model::{Answer, ConnId, Connect, Protocol, Via};

use crate::harness::{Harness, leave, name, park, settings};
use crate::recording;
use crate::recording::{count, line};

#[test]
fn two_leaves_at_once_both_say_done() {
    let rec = recording!("netsplit_allow_on_systree_2000.txt");
    let mut harness = Harness::cluster(3, settings());
    let calls =
        [harness.ask(1, leave(&name(2), 30), Via::Admin), harness.ask(1, leave(&name(3), 30), Via::Admin)];
    harness.run(5_000);
    for (call, k) in calls.into_iter().zip([2, 3]) {
        let (_, Some(Answer::Text(text))) = harness.answers.remove(&call).expect("answered") else {
            panic!()
        };
        let want = recording::admin(rec, &format!("node=VerneMQ{k}@127.0.0.1{k} -k -i 1 -t 30"), 0);
        assert_eq!(text.lines().last(), want.stdout.lines().last(), "no mutual exclusion");
    }
    assert!(line(rec, "show 1=T pids", 0).contains(&format!("show {} pids", harness.show(1))));
    assert!(harness.gone(2) && harness.gone(3));
}

#[test]
fn queues_can_be_sent_to_a_node_that_is_leaving() {
    let mut harness = Harness::cluster(3, settings());
    for s in 0..40 {
        park(&mut harness, 3, &format!("s{s}"), "q", 1);
    }
    harness.ask(1, leave(&name(2), 30), Via::Http);
    harness.ask(1, leave(&name(3), 30), Via::Http);
    harness.run(8_000);
    assert!(harness.gone(2) && harness.gone(3));
    let mut stranded = 0;
    for s in 0..40 {
        let conn = harness.connect(1, Connect::new(format!("s{s}"), Protocol::V4, false));
        harness.run(50);
        stranded += usize::from(harness.seen(conn).connack.is_none());
    }
    assert_eq!(stranded, 20, "half of them went down with n2");
}

/// `flood_scale_down_3_to_1.txt`: four QoS 1 publishers that come back, one
/// persistent subscriber on n1, n3 and n2 leave back to back.
#[test]
fn a_flood_through_two_leaves_loses_nothing_that_was_acknowledged() {
    let rec = recording!("flood_scale_down_3_to_1.txt");
    let mut harness = Harness::cluster(3, settings());
    let subscriber = harness.session(1, "g6sub", Protocol::V4, false);
    harness.subscribe(subscriber, "flood/#", 1);
    let mut flooders: Vec<ConnId> =
        (0..4).map(|f| harness.session(1 + f % 3, &format!("f{f}"), Protocol::V4, true)).collect();
    let mut acked = Vec::new();
    let mut flood = |harness: &mut Harness, ms: u64| {
        for _ in 0..ms / 10 {
            for (f, conn) in flooders.iter_mut().enumerate() {
                let seen = harness.seen(*conn);
                if seen.closed.is_some() || seen.refused.is_some() {
                    *conn = harness.connect(1, Connect::new(format!("f{f}"), Protocol::V4, true));
                }
                let text = format!("{f}-{}", harness.now);
                let outcome = harness.publish(*conn, "flood/x", &text, 1);
                if outcome == simulator::model::PublishOutcome::Accepted {
                    acked.push(text);
                }
            }
            harness.run(10);
        }
    };
    for k in [3, 2] {
        let call = harness.ask(1, leave(&name(k), 30), Via::Http);
        while !harness.answers.contains_key(&call) {
            flood(&mut harness, 100);
        }
        assert_eq!(harness.answers.remove(&call).and_then(|(_, a)| a), Some(Answer::Text("Done".into())));
    }
    flood(&mut harness, 5_000);
    assert_eq!(harness.show(1), "1=T");
    let mut got = harness.payloads(subscriber);
    let received = got.len();
    got.sort();
    got.dedup();
    acked.sort();
    let flood = line(rec, "flood: sent", 0);
    assert_eq!(count::<usize>(flood, "acked-but-not-received "), 0);
    assert_eq!(count::<usize>(flood, "duplicates "), received - got.len());
    assert_eq!(got, acked);
}
