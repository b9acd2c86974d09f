//! Join of a fresh node (docs/broker/join.md).

use simulator::model::{Answer, Command, Connect, Protocol};

use crate::lab::{Lab, name, park_many, settings};
use crate::recording;
use crate::recording::{line, millis};

const LOAD: &str = recording!("join_under_load.txt");
const REFUSED: &str = recording!("join_refused_after_client_on_newcomer.txt");

fn join(lab: &mut Lab) {
    let done = lab.http(3, Command::ClusterJoin { peer: name(1) }).0;
    assert_eq!(done, Some(Answer::Text("Done".into())));
}

fn newcomer(filters: usize) -> Lab {
    let mut lab = Lab::cluster(2, settings());
    park_many(&mut lab, 1, filters, |s| format!("t/{s}"));
    lab.boot(3);
    lab.run(4_000);
    lab
}

#[test]
fn a_join_before_the_commands_are_there_fails_and_works_later() {
    let rec = recording!("join_too_early.txt");
    let mut lab = Lab::cluster(2, settings());
    lab.boot(3);
    lab.until(4_000, |lab| lab.model.http_up(&name(3))).expect("HTTP");
    let (answer, _) = lab.admin(3, Command::ClusterJoin { peer: name(1) });
    let want = line(rec, "join Error", 0);
    let Answer::Failed { stdout, .. } = answer.clone() else { panic!("{answer:?}") };
    assert!(want.contains(&format!("join {stdout} {}", answer.exit_code())), "{want}");
    lab.run(2_000);
    join(&mut lab);
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
    let mut lab = newcomer(3_000);
    let old = lab.session(1, "old", Protocol::V4, true);
    lab.subscribe(old, "p/#", 1);
    join(&mut lab);
    let joined = lab.now;
    let new = lab.session(3, "new", Protocol::V4, true);
    lab.subscribe(new, "p/#", 1);
    let (mut first_out, mut first_back) = (None, None);
    for m in 0..1_200 {
        lab.publish(old, "p/out", &m.to_string(), 1);
        lab.publish(new, "p/back", &m.to_string(), 1);
        lab.run(10);
        let heard = |conn, topic| lab.seen(conn).got.iter().any(|g| g.topic == topic);
        if heard(new, "p/out") && first_out.is_none() {
            first_out = Some(lab.now - joined);
        }
        if heard(old, "p/back") && first_back.is_none() {
            first_back = Some(lab.now - joined);
        }
    }
    let (out, back) = (first_out.expect("at last"), first_back.expect("at last"));
    assert!((6_600..=worst_out + 100).contains(&out), "{out}");
    assert!((900..=worst_back + 150).contains(&back), "{back}");
    let own = lab.payloads(new).len() + lab.payloads(old).len();
    assert!(own > 2_400, "each hears itself all the time");
}

#[test]
fn equal_counts_come_after_the_last_lost_message_under_load_and_too_early_without() {
    for (filters, early) in [(3_000, false), (0, true)] {
        let mut lab = newcomer(filters);
        join(&mut lab);
        let joined = lab.now;
        let new = lab.session(3, "new", Protocol::V4, true);
        lab.subscribe(new, "p/new", 1);
        assert!(lab.status(3).num_subscriptions < lab.status(1).num_subscriptions || early);
        let counts = |lab: &Lab| (1..=3).map(|k| lab.status(k).num_subscriptions).collect::<Vec<_>>();
        let all = i64::try_from(filters).expect("small") + 1;
        lab.until(15_000, |lab| counts(lab) == [all; 3]).expect("equal at last");
        let equal = lab.now - joined;
        let lossy = 6_700;
        assert_eq!(equal < lossy, early, "equal after {equal} ms with {filters} filters");
        assert!((3_500..=11_500).contains(&equal), "{equal}");
    }
}

#[test]
fn nobody_is_refused_and_show_disagrees_for_seconds() {
    let mut lab = newcomer(0);
    join(&mut lab);
    let joined = lab.now;
    assert_eq!((lab.show(1), lab.show(2)), ("1=T 2=T".into(), "1=T 2=T".into()));
    let mut agreed = None;
    for _ in 0..100 {
        for k in 1..=3 {
            let conn = lab.connect(k, Connect::new(format!("probe{k}"), Protocol::V4, true));
            assert_eq!(lab.seen(conn).connack, Some(false));
            lab.goodbye(conn);
        }
        lab.run(100);
        let all = (1..=3).all(|k| lab.show(k) == "1=T 2=T 3=T");
        if all && agreed.is_none() {
            agreed = Some(lab.now - joined);
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
    let mut lab = newcomer(0);
    let publisher = lab.session(1, "pub", Protocol::V4, true);
    for m in 0..1_000 {
        let retained =
            simulator::model::Publish { topic: format!("r/{m}"), payload: "x".into(), qos: 0, retain: true };
        lab.model.publish(publisher, retained, lifecycle::Time(lab.now));
    }
    join(&mut lab);
    let early = lab.session(3, "early", Protocol::V4, true);
    lab.subscribe(early, "r/#", 0);
    let recorded: usize =
        recording::count(line(LOAD, "retained seen by a subscriber on n3", 2), "after join: ");
    assert_eq!(lab.seen(early).got.len(), recorded);
    assert_eq!(lab.status(3).num_retained, 0);
    lab.until(7_500, |lab| lab.status(3).num_retained == 1_000).expect("they come");
    let late = lab.session(3, "late", Protocol::V4, true);
    lab.subscribe(late, "r/#", 0);
    assert_eq!(lab.seen(late).got.len(), 1_000);
}

#[test]
fn a_client_before_the_join_spoils_it_for_ever() {
    let mut lab = newcomer(0);
    let probe = lab.session(3, "probe", Protocol::V4, true);
    lab.goodbye(probe);
    let (answer, _) = lab.admin(3, Command::ClusterJoin { peer: name(1) });
    let want: i32 = recording::count(line(REFUSED, "join ->", 0), "exit ");
    assert_eq!(answer.exit_code(), want);
    assert_eq!((lab.show(3), lab.health(3).0), ("3=T".into(), 200));
    let (Some(synced), _) = lab.http(3, Command::SwcSyncStatus) else { panic!("no table") };
    let recorded = line(REFUSED, "swc_sync_status: ", 0).split("status: ").nth(1).expect("JSON");
    let (got, want): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&synced.json()).expect("JSON"), serde_json::from_str(recorded).expect("JSON"));
    assert_eq!(got, want);
    let old = lab.session(1, "old", Protocol::V4, true);
    lab.subscribe(old, "#", 1);
    let stray = lab.session(3, "stray", Protocol::V4, true);
    for _ in 0..20 {
        lab.publish(stray, "x", "x", 1);
        lab.run(1_000);
    }
    assert!(
        lab.seen(old).got.is_empty(),
        "{}",
        line(REFUSED, "n3->n1 (old subscriber on n1): sent 1170 missing 1170", 0)
    );
}
