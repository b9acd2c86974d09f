//! Join of a fresh node (docs/broker/join.md).

use simulator::model::{Answer, Command, Connect, Protocol};

use crate::harness::{Harness, name, park_many, settings};
use crate::recording;
use crate::recording::{line, millis};

const LOAD: &str = recording!("join_under_load.txt");
const REFUSED: &str = recording!("join_refused_after_client_on_newcomer.txt");

fn join(harness: &mut Harness) {
    let done = harness.http(3, Command::ClusterJoin { peer: name(1) }).0;
    assert_eq!(done, Some(Answer::Text("Done".into())));
}

fn newcomer(filters: usize) -> Harness {
    let mut harness = Harness::cluster(2, settings());
    park_many(&mut harness, 1, filters, |s| format!("t/{s}"));
    harness.boot(3);
    harness.run(4_000);
    harness
}

#[test]
fn a_join_before_the_commands_are_there_fails_and_works_later() {
    let rec = recording!("join_too_early.txt");
    let mut harness = Harness::cluster(2, settings());
    harness.boot(3);
    harness.until(4_000, |harness| harness.model.http_up(&name(3))).expect("HTTP");
    let (answer, _) = harness.admin(3, Command::ClusterJoin { peer: name(1) });
    let want = line(rec, "join Error", 0);
    let Answer::Failed { stdout, .. } = answer.clone() else { panic!("{answer:?}") };
    assert!(want.contains(&format!("join {stdout} {}", answer.exit_code())), "{want}");
    harness.run(2_000);
    join(&mut harness);
}

#[test]
fn messages_are_lost_silently_in_both_directions_for_up_to_7500_ms() {
    let (mut worst_out, mut worst_back) = (0, 0);
    for nth in 0..3 {
        let out = line(LOAD, "n1->n3: sent after SUBACK", nth);
        let back = line(LOAD, "n3->n1 (old subscriber on n1)", nth);
        let last = |text: &str| millis(text.rsplit("..[").next().expect("a range"), ", ");
        worst_out = worst_out.max(last(out));
        worst_back = worst_back.max(last(back));
    }
    let mut harness = newcomer(3_000);
    let old = harness.session(1, "old", Protocol::V4, true);
    harness.subscribe(old, "p/#", 1);
    join(&mut harness);
    let joined = harness.now;
    let new = harness.session(3, "new", Protocol::V4, true);
    harness.subscribe(new, "p/#", 1);
    let (mut first_out, mut first_back) = (None, None);
    for m in 0..1_200 {
        harness.publish(old, "p/out", &m.to_string(), 1);
        harness.publish(new, "p/back", &m.to_string(), 1);
        harness.run(10);
        let heard = |conn, topic| harness.seen(conn).got.iter().any(|g| g.topic == topic);
        if heard(new, "p/out") && first_out.is_none() {
            first_out = Some(harness.now - joined);
        }
        if heard(old, "p/back") && first_back.is_none() {
            first_back = Some(harness.now - joined);
        }
    }
    let (out, back) = (first_out.expect("at last"), first_back.expect("at last"));
    assert!((6_600..=worst_out + 100).contains(&out), "{out}");
    assert!((900..=worst_back + 150).contains(&back), "{back}");
    let own = harness.payloads(new).len() + harness.payloads(old).len();
    assert!(own > 2_400, "each hears itself all the time");
}

#[test]
fn equal_counts_come_after_the_last_lost_message_under_load_and_too_early_without() {
    for (filters, early) in [(3_000, false), (0, true)] {
        let mut harness = newcomer(filters);
        join(&mut harness);
        let joined = harness.now;
        let new = harness.session(3, "new", Protocol::V4, true);
        harness.subscribe(new, "p/new", 1);
        assert!(harness.status(3).num_subscriptions < harness.status(1).num_subscriptions || early);
        let counts =
            |harness: &Harness| (1..=3).map(|k| harness.status(k).num_subscriptions).collect::<Vec<_>>();
        let all = i64::try_from(filters).expect("small") + 1;
        harness.until(15_000, |harness| counts(harness) == [all; 3]).expect("equal at last");
        let equal = harness.now - joined;
        let lossy = 6_700;
        assert_eq!(equal < lossy, early, "equal after {equal} ms with {filters} filters");
        assert!((3_500..=11_500).contains(&equal), "{equal}");
    }
}

#[test]
fn nobody_is_refused_and_show_disagrees_for_seconds() {
    let mut harness = newcomer(0);
    join(&mut harness);
    let joined = harness.now;
    assert_eq!((harness.show(1), harness.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
    let mut agreed = None;
    for _ in 0..100 {
        for k in 1..=3 {
            let conn = harness.connect(k, Connect::new(format!("probe{k}"), Protocol::V4, true));
            assert_eq!(harness.seen(conn).connack, Some(false));
            harness.goodbye(conn);
        }
        harness.run(100);
        let all = (1..=3).all(|k| harness.show(k) == "1=T 2=T 3=T");
        if all && agreed.is_none() {
            agreed = Some(harness.now - joined);
        }
    }
    let agreed = agreed.expect("they agree");
    assert!((2_800..=8_000).contains(&agreed), "after {agreed} ms");
    for k in 1..=3 {
        let refused =
            LOAD.lines().filter(|l| l.contains(&format!("prober n{k}:"))).all(|l| l.contains("{'0x0':"));
        assert!(refused, "the recording has no refusal at n{k} either");
    }
}

#[test]
fn retained_messages_are_not_there_at_first() {
    let mut harness = newcomer(0);
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    for m in 0..1_000 {
        let retained =
            simulator::model::Publish { topic: format!("r/{m}"), payload: "x".into(), qos: 0, retain: true };
        harness.model.publish(publisher, retained, lifecycle::Time(harness.now));
    }
    join(&mut harness);
    let early = harness.session(3, "early", Protocol::V4, true);
    harness.subscribe(early, "r/#", 0);
    let recorded: usize =
        recording::count(line(LOAD, "retained seen by a subscriber on n3", 2), "after join: ");
    assert_eq!(harness.seen(early).got.len(), recorded);
    assert_eq!(harness.status(3).num_retained, 0);
    harness.until(7_500, |harness| harness.status(3).num_retained == 1_000).expect("they come");
    let late = harness.session(3, "late", Protocol::V4, true);
    harness.subscribe(late, "r/#", 0);
    assert_eq!(harness.seen(late).got.len(), 1_000);
}

#[test]
fn a_client_before_the_join_spoils_it_for_ever() {
    let mut harness = newcomer(0);
    let probe = harness.session(3, "probe", Protocol::V4, true);
    harness.goodbye(probe);
    let (answer, _) = harness.admin(3, Command::ClusterJoin { peer: name(1) });
    let want: i32 = recording::count(line(REFUSED, "join ->", 0), "exit ");
    assert_eq!(answer.exit_code(), want);
    assert_eq!((harness.show(3), harness.health(3).0), ("3=T".into(), 200));
    let (Some(synced), _) = harness.http(3, Command::SwcSyncStatus) else { panic!("no table") };
    let recorded = line(REFUSED, "swc_sync_status: ", 0).split("status: ").nth(1).expect("JSON");
    let (got, want): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&synced.json()).expect("JSON"), serde_json::from_str(recorded).expect("JSON"));
    assert_eq!(got, want);
    let old = harness.session(1, "old", Protocol::V4, true);
    harness.subscribe(old, "#", 1);
    let foreign = harness.session(3, "foreign", Protocol::V4, true);
    for _ in 0..20 {
        harness.publish(foreign, "x", "x", 1);
        harness.run(1_000);
    }
    assert!(
        harness.seen(old).got.is_empty(),
        "{}",
        line(REFUSED, "n3->n1 (old subscriber on n1): sent 1170 missing 1170", 0)
    );
}
