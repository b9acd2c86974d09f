//! A node that has left and comes back (docs/broker/join.md, "A node that has left").

use simulator::model::{Answer, Command, Connect, Protocol, Settings, Signal, Spread, Via};

use crate::harness::{Harness, leave, name, park, park_many, settings};
use crate::recording;
use crate::recording::{health, line, shown};

const REJOIN: &str = recording!("rejoin_variants_retained_sys_in_netsplit.txt");
const WIPED: &str = recording!("leave_self_and_wiped_rejoin.txt");

fn left_and_restarted(settings: Settings) -> Harness {
    let mut harness = Harness::cluster(3, settings);
    park(&mut harness, 3, "ip", "ret/+", 1);
    assert_eq!(harness.http(1, leave(&name(3), 30)).0, Some(Answer::Text("Done".into())));
    harness.until(5_000, |harness| harness.gone(3)).expect("it stops");
    harness.boot(3);
    harness.run(5_000);
    harness
}

#[test]
fn with_its_data_it_is_a_healthy_looking_singleton() {
    let mut harness = left_and_restarted(settings());
    let watched = line(REJOIN, "watch n3: cluster/show: 3=T", 0);
    assert_eq!((harness.show(3), harness.health(3)), (shown(watched), health(watched)));
    assert_eq!(harness.show(1), "1=T 2=T");
    let lost = harness.session(3, "lost", Protocol::V4, true);
    harness.subscribe(lost, "iso/#", 1);
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    harness.publish(publisher, "iso/x", "x", 1);
    harness.run(500);
    let reached: usize =
        crate::recording::count(line(REJOIN, "message published on n1 reached it", 0), "it: ");
    assert_eq!(harness.seen(lost).got.len(), reached);
    // Its old data says that this client's queue lies elsewhere: no answer at all.
    let stale = harness.connect(3, Connect::new("ip", Protocol::V4, false));
    harness.run(5_000);
    assert!(line(REJOIN, "ip@n3 no CONNACK in 5s", 0).contains("no CONNACK"));
    assert_eq!((harness.seen(stale).connack, harness.seen(stale).closed), (None, None));
}

#[test]
fn its_join_is_refused_as_non_empty() {
    let mut harness = left_and_restarted(settings());
    let want = recording::admin(WIPED, "cluster join discovery-node=VerneMQ1@127.0.0.11", 0);
    let (answer, _) = harness.admin(3, Command::ClusterJoin { peer: name(1) });
    assert_eq!(answer.exit_code(), want.exit);
    let Answer::Failed { stderr, .. } = answer else { panic!("{answer:?}") };
    assert!(stderr.contains("{badrpc,non_empty_node}") && want.stderr.contains("{badrpc,non_empty_node}"));
    assert_eq!(stderr.lines().next(), want.stderr.lines().next());
    assert_eq!(harness.http(3, Command::ClusterJoin { peer: name(1) }).0, Some(Answer::HttpStatus(500)));
    harness.run(30_000);
    assert_eq!((harness.show(1), harness.show(3)), ("1=T 2=T".into(), "3=T".into()));
}

#[test]
fn without_the_guard_the_join_says_done_and_never_happens() {
    let mut harness = left_and_restarted(Settings { prevent_nonempty_join: false, ..settings() });
    let want = recording::admin(REJOIN, "cluster join discovery-node=VerneMQ1@127.0.0.11", 1);
    assert_eq!(harness.admin(3, Command::ClusterJoin { peer: name(1) }).0, Answer::Text(want.stdout));
    harness.run(40_000);
    let shows = [harness.show(1), harness.show(2), harness.show(3)].join(" | ");
    assert!(line(REJOIN, "40.0s show", 0).ends_with(&shows), "{shows}");
}

#[test]
fn wiped_it_joins_again() {
    let mut harness = left_and_restarted(settings());
    harness.signal(3, Signal::Kill);
    harness.model.wipe(&name(3));
    harness.boot(3);
    harness.run(5_000);
    assert_eq!(harness.show(3), "3=T");
    let want = recording::admin(WIPED, "cluster join discovery-node=VerneMQ1@127.0.0.11", 1);
    assert_eq!(harness.admin(3, Command::ClusterJoin { peer: name(1) }).0, Answer::Text(want.stdout));
    harness.run(12_000);
    for k in 1..=3 {
        assert_eq!(harness.show(k), "1=T 2=T 3=T");
    }
    assert_eq!(harness.metric(3, "mqtt_publish_received"), 0, "its counters start again");
}

/// A claim without a recording but for one leave that was stuck: see `Timing::left_over`.
#[test]
fn wiped_while_it_is_a_member_the_others_keep_queues_of_its_clients_where_that_is_set() {
    for (left_over, kept) in [(Spread::exactly(0), 0), (Spread::new(20_000, 60_000), 3)] {
        let mut harness = Harness::cluster(3, settings());
        harness.model.settings_mut().timing.left_over = left_over;
        park_many(&mut harness, 3, 3, |_| "away".into());
        harness.signal(3, Signal::Kill);
        harness.run(1_000);
        harness.model.wipe(&name(3));
        harness.boot(3);
        harness.run(5_000);
        assert_eq!(harness.admin(3, Command::ClusterJoin { peer: name(1) }).0, Answer::Text("Done".into()));
        harness.run(2_000);
        let queues = |harness: &Harness| [1, 2, 3].map(|k| harness.metric(k, "queue_processes"));
        assert_eq!(queues(&harness), [kept, kept, 3]);
        // A leave meets them where it begins in time, and is stuck; elsewhere they go.
        harness.ask(2, leave(&name(2), 30), Via::Http);
        harness.run(60_000);
        assert_eq!((queues(&harness)[0], harness.gone(2)), (0, kept == 0));
    }
}

#[test]
fn a_leave_issued_on_the_leaver_itself_works_alike() {
    let mut harness = Harness::cluster(3, settings());
    let conn = harness.session(3, "f5", Protocol::V4, true);
    harness.subscribe(conn, "f5/#", 1);
    let want = recording::admin(WIPED, "cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 30", 0);
    let (answer, _) = harness.admin(3, leave(&name(3), 30));
    let Answer::Text(text) = answer else { panic!("{answer:?}") };
    assert_eq!(text.lines().last(), want.stdout.lines().last());
    harness.run(4_000);
    assert!(harness.gone(3));
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
}

#[test]
fn the_images_loop_joins_once_and_cannot_bring_back_one_that_left() {
    let mut harness = Harness::cluster(2, settings());
    let boot = |harness: &mut Harness| {
        harness.model.boot(&name(3), &crate::harness::host(3), Some(&name(1)), lifecycle::Time(harness.now));
        harness.run(20_000);
    };
    boot(&mut harness);
    assert_eq!((harness.show(1), harness.show(3)), ("1=T 2=T 3=T".into(), "1=T 2=T 3=T".into()));
    harness.http(1, leave(&name(3), 30));
    harness.until(5_000, |harness| harness.gone(3)).expect("it stops");
    boot(&mut harness);
    assert_eq!(
        (harness.show(1), harness.show(3)),
        ("1=T 2=T".into(), "3=T".into()),
        "tries for ever in vain"
    );
}

#[test]
fn retained_messages_survive_a_leave() {
    let mut harness = Harness::cluster(3, settings());
    let publisher = harness.session(3, "pub", Protocol::V4, true);
    let retained =
        simulator::model::Publish { topic: "ret/a".into(), payload: "keep".into(), qos: 1, retain: true };
    harness.model.publish(publisher, retained, lifecycle::Time(harness.now));
    harness.http(1, leave(&name(3), 30));
    harness.run(4_000);
    let late = harness.session(1, "late", Protocol::V4, true);
    harness.subscribe(late, "ret/#", 1);
    let got = &harness.seen(late).got[0];
    assert!(got.retain && got.qos == 1);
    let seen = line(REJOIN, "retained seen on n1 after leave", 0);
    assert!(seen.ends_with(&format!("{} {}", got.topic, harness.payloads(late)[0])), "{seen}");
}
