//! A cluster of two versions (`disc2_mixed_versions.txt`): all works across them but a leave with `-k`.

use lifecycle::Time;
use simulator::model::{Answer, CloseReason, Command, NodeHost, Protocol, Signal};

use crate::harness::{Harness, host, leave, leave_without_kill, name, park, settings};
use crate::recording;
use crate::recording::{json_text, line};

const MIXED: &str = recording!("disc2_mixed_versions.txt");

/// n1 and n3 run 2.1.2, n2 and n4 run 2.2.0; each joined by a member of the other version.
fn mixed() -> Harness {
    let mut harness = Harness::empty(settings());
    for k in 1..=4 {
        let build = if k % 2 == 1 { "2.1.2" } else { "2.2.0" };
        harness.model.boot(&name(k), &NodeHost { build: build.into(), ..host(k) }, None, Time(harness.now));
    }
    harness.run(4_000);
    for (k, peer) in [(2, 1), (3, 2), (4, 1)] {
        assert_eq!(text(harness.http(k, Command::ClusterJoin { peer: name(peer) }).0), "Done");
        harness.run(20_000);
    }
    for k in 1..=4 {
        assert_eq!(harness.show(k), "1=T 2=T 3=T 4=T");
    }
    harness
}

fn text(answer: Option<Answer>) -> String {
    match answer {
        Some(Answer::Text(text)) => text,
        other => panic!("no text but {other:?}"),
    }
}

#[test]
fn only_a_leave_with_kill_fails_across_versions_and_does_nothing() {
    let mut harness = mixed();
    for (k, asked, nth) in [(2, 1, 0), (3, 2, 1), (1, 4, 2), (4, 3, 3)] {
        let id = format!("on{k}");
        let conn = harness.session(k, &id, Protocol::V5, true);
        let answer = harness
            .http(
                asked,
                Command::SessionDisconnect { client_id: Some(id), mountpoint: String::new(), cleanup: false },
            )
            .0;
        let rec = line(MIXED, "disconnect of on", nth);
        assert_eq!(text(answer), json_text(rec));
        assert_eq!(harness.seen(conn).closed, Some(CloseReason::Administrative), "e0 98 00: {rec}");
    }
    for (nth, (target, asked)) in [(4, 1), (3, 2)].into_iter().enumerate() {
        let suspend = line(MIXED, "no -k: target", nth);
        assert_eq!(text(harness.http(asked, leave_without_kill(&name(target))).0), json_text(suspend));
        assert!(!harness.model.listening(&name(target)), "{suspend}");
        let session = harness.status(target).num_online;
        let refused = line(MIXED, " -k: target", nth + 2);
        let (answer, ms) = harness.http(asked, leave(&name(target), 30));
        assert_eq!((text(answer), ms), (json_text(refused), 0), "{refused}");
        harness.run(3_000);
        for k in 1..=4 {
            assert_eq!(harness.show(k), "1=T 2=T 3=T 4=T", "a member as before");
        }
        assert_eq!(harness.status(target).num_online, session, "nobody is cut");
    }
}

#[test]
fn asked_of_itself_or_of_its_own_version_it_leaves() {
    let mut harness = mixed();
    for (target, asked) in [(4, 4), (3, 1)] {
        park(&mut harness, target, &format!("of{target}"), "q", 1);
        let asks = format!(" -k: target 4{target}");
        let done = MIXED.lines().filter(|line| line.contains(&asks) && line.contains("Done\""));
        assert_eq!(done.count(), 1, "{asks} was answered with Done once");
        assert_eq!(text(harness.http(asked, leave(&name(target), 30)).0), "Done");
        harness.run(3_000);
    }
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
    for (back, id) in [(1, "of4"), (2, "of3")] {
        let conn = harness.session(back, id, Protocol::V4, false);
        assert_eq!(harness.seen(conn).connack, Some(true), "20 01 00, on the other version");
    }
    // A dead one of the other version can be removed.
    harness.signal(2, Signal::Kill);
    harness.run(1_000);
    assert_eq!(text(harness.http(1, leave(&name(2), 30)).0), json_text(line(MIXED, "dead 42(2.2.0)", 0)));
    harness.run(1_000);
    assert_eq!(harness.show(1), "1=T");
}

/// `vmq-admin` says the same, with exit 0 both times.
#[test]
fn the_exit_code_says_nothing() {
    let mut harness = mixed();
    for (nth, (asked, target)) in [(1, 2), (2, 3)].into_iter().enumerate() {
        let (answer, _) = harness.admin(asked, leave(&name(target), 30));
        assert_eq!(answer.exit_code(), 0);
        assert!(line(MIXED, "vmq-admin at 4", nth).contains(&text(Some(answer))));
    }
}
