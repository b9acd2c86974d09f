//! Right after a rollout a shrink waits for queues that lie where they do not belong.

use lifecycle::{Counts, Kind, Objects, Observed, Ordinal, Severity, Time, Unsettled};
use rstest::rstest;

use crate::fixture::{Fixture, THEN, kind, reasons, tells, unknown};

/// What the fixture's records account for: 500 live objects less 3 retained messages, of which 450 have a queue.
const ROOM: i64 = 47;

/// Three nodes of which two are wanted; one has been ready for so many milliseconds.
fn young(for_ms: u64) -> Fixture {
    let mut fixture = Fixture::new(3, 2);
    fixture.pod(1).ready_changed = Some(Time(THEN.0 - for_ms));
    fixture
}

fn with_queues_over(for_ms: u64, surplus: i64) -> Fixture {
    let mut fixture = young(for_ms);
    fixture.counts(0).queues += ROOM + surplus;
    fixture
}

/// When one process saw left-over queues in reconciles that are two seconds apart, of which the last is so long ago.
fn seen(fixture: &Fixture, ago: u64) -> Option<Time> {
    let mut unsettled = Unsettled::default();
    unsettled.observe(&fixture.facts, Time(THEN.0 - ago - 2_000));
    unsettled.observe(&fixture.facts, Time(THEN.0 - ago))
}

#[test]
fn so_many_queues_as_there_are_records_begin_one() {
    assert_eq!(kind(&young(5_000).after(0)), Some(Kind::Shrink));
    // A hundredth of 497 sessions may be on the way.
    assert_eq!(kind(&with_queues_over(5_000, 4).after(0)), Some(Kind::Shrink));
    assert_eq!(seen(&with_queues_over(5_000, 4), 0), None);
}

#[test]
fn more_are_named_with_the_numbers_and_the_end() {
    let fixture = with_queues_over(5_000, 5);
    let out = fixture.after(0);
    assert_eq!((&out.intent, &out.effects), (&None, &vec![]));
    assert!(tells(&out, "QueuesUnsettled", "hold 502 queues (queue_processes)"), "{:?}", out.conditions);
    assert!(tells(&out, "QueuesUnsettled", "account for 497"), "{:?}", out.conditions);
    assert!(tells(&out, "QueuesUnsettled", "until pod 1 has been ready for 600 s"), "{:?}", out.conditions);
    let told = out.conditions.iter().find(|told| told.reason == "QueuesUnsettled").unwrap();
    assert_eq!(told.severity, Severity::Info);
}

/// A handful of sessions: three may be on the way, as many as two members' objects were apart by.
#[rstest]
#[case(3, true)]
#[case(4, false)]
fn of_few_sessions_three_are_no_sign(#[case] surplus: i64, #[case] begins: bool) {
    let mut fixture = young(5_000);
    for ordinal in 0..3 {
        fixture.node(ordinal).counts =
            Observed::Seen(Counts { online: 1, offline: 0, queues: 1, retained: 497 });
    }
    fixture.counts(2).queues += surplus;
    assert_eq!(kind(&fixture.after(0)).is_some(), begins, "{:?}", fixture.after(0).conditions);
}

#[rstest]
#[case(495, true)]
#[case(494, false)]
fn members_have_the_same_records(#[case] live: i64, #[case] begins: bool) {
    let mut fixture = young(5_000);
    fixture.live(1, live);
    let out = fixture.after(0);
    assert_eq!(kind(&out).is_some(), begins, "{:?}", out.conditions);
    assert!(
        begins || tells(&out, "QueuesUnsettled", "494 live objects, pod 0 has 500"),
        "{:?}",
        out.conditions
    );
}

#[rstest]
#[case::objects("the live objects of pod 1", |s: &mut Fixture| s.node(1).objects = unknown())]
#[case::counts("queues of pod 1", |s: &mut Fixture| s.node(1).counts = unknown())]
#[case::another_plugin("has no swc_object_count", |s: &mut Fixture| {
    s.node(1).objects = Observed::Seen(Objects { live: None, at: THEN });
})]
fn what_is_not_known_begins_nothing_for_ten_minutes(#[case] what: &str, #[case] disturb: fn(&mut Fixture)) {
    let mut fixture = young(599_999);
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert_eq!((&out.intent, reasons(&out)), (&None, vec!["ShrinkWaits"]));
    assert!(tells(&out, "ShrinkWaits", "not known yet: QueuesUnsettled: "), "{:?}", out.conditions);
    assert!(tells(&out, "ShrinkWaits", what), "{:?}", out.conditions);
    assert_eq!(seen(&fixture, 0), None, "not known is not seen");
    fixture.pod(1).ready_changed = Some(Time(THEN.0 - 600_000));
    assert_eq!(kind(&fixture.after(0)), Some(Kind::Shrink), "it holds nothing for ever");
}

#[test]
fn after_ten_minutes_nobody_counts() {
    assert_eq!(kind(&with_queues_over(599_999, 50).after(0)), None);
    assert_eq!(kind(&with_queues_over(600_000, 50).after(0)), Some(Kind::Shrink));
}

#[rstest]
#[case(29_999, false)]
#[case(30_000, true)]
fn they_have_been_gone_for_the_settle_time(#[case] ago: u64, #[case] begins: bool) {
    let mut fixture = young(300_000);
    fixture.facts.unsettled = Some(Time(THEN.0 - ago));
    let out = fixture.after(0);
    assert_eq!(kind(&out).is_some(), begins, "{:?}", out.conditions);
    assert!(
        begins || tells(&out, "QueuesUnsettled", "less than 30 s ago (spec.settle) queues"),
        "{:?}",
        out.conditions
    );
}

#[test]
fn they_are_seen_in_two_readings_a_second_apart() {
    let (left_over, good) = (with_queues_over(5_000, 5), with_queues_over(5_000, 4));
    let mut unknown_there = young(5_000);
    unknown_there.node(1).counts = unknown();
    let mut unsettled = Unsettled::default();
    let mut observes = |fixture: &Fixture, at: u64| unsettled.observe(&fixture.facts, Time(at));
    assert_eq!(observes(&left_over, 1_000), None);
    assert_eq!(observes(&left_over, 1_999), None);
    // Clients that come and go, and what was not read between two that were.
    assert_eq!(observes(&good, 2_500), None);
    assert_eq!(observes(&left_over, 3_000), None);
    assert_eq!(observes(&unknown_there, 3_500), None);
    assert_eq!(observes(&left_over, 4_000), Some(Time(4_000)));
    assert_eq!(observes(&left_over, 6_000), Some(Time(6_000)));
    assert_eq!(observes(&good, 8_000), Some(Time(6_000)), "the last time stays");
    assert_eq!(observes(&left_over, 9_000), Some(Time(6_000)));
    assert_eq!(unsettled.changing(), Some(Time(6_000)));
    assert_eq!(
        unsettled.observe(&left_over.facts, Time(20_000)),
        Some(Time(6_000)),
        "a change moves queues itself"
    );
}

const RECORDED: &str = include_str!("../../../tests/recordings/queues_beside_objects_2.1.2.txt");

/// Three nodes as they were read in a recorded row, one of them young.
fn recorded(row: &str) -> Fixture {
    let mut fixture = young(5_000);
    let (_, nodes) = row.split_once("queues/live/retained/online/offline ").unwrap();
    for (ordinal, node) in (0..3).zip(nodes.split(' ')) {
        let counts: Vec<i64> = node.split('/').map(|count| count.parse().unwrap()).collect();
        let [queues, live, retained, online, offline] = counts[..] else { panic!("{row}") };
        fixture.node(ordinal).counts = Observed::Seen(Counts { online, offline, queues, retained });
        fixture.live(ordinal, live);
    }
    fixture
}

/// Persistent sessions with and without subscriptions, clean ones, 14 and 82 connects a second: no reason to wait.
#[test]
fn what_was_recorded_of_an_undisturbed_cluster_begins_one() {
    let rows: Vec<_> = RECORDED.lines().take_while(|row| !row.contains("its disk wiped")).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| row.contains("queues/live")).collect();
    assert_eq!(rows.len(), 36);
    let mut unsettled = Unsettled::default();
    for (row, at) in rows.into_iter().zip((1_000..).step_by(1_000)) {
        let fixture = recorded(row);
        assert_eq!(kind(&fixture.after(0)), Some(Kind::Shrink), "{row}: {:?}", fixture.after(0).conditions);
        assert_eq!(unsettled.observe(&fixture.facts, Time(at)), None, "{row}");
    }
}

/// Nodes that lost their data hold fewer queues than there are records: not a surplus, and once it stands still a shrink
/// begins.
#[test]
fn what_was_recorded_of_a_rollout_that_loses_queues_settles() {
    let rows: Vec<_> = RECORDED.lines().filter(|row| row.contains("rollout queues/live")).collect();
    let mut unsettled = Unsettled::default();
    let mut last = None;
    for (row, at) in rows.iter().zip((1_000..).step_by(2_000)) {
        last = unsettled.observe(&recorded(row).facts, Time(at));
    }
    assert_eq!((rows.len(), last), (9, Some(Time(9_000))), "when the last of its nodes was seen");
    assert_eq!(kind(&recorded(rows[8]).after(0)), Some(Kind::Shrink));
}

/// A rollout without volumes lost queues, so that those that lie elsewhere are no surplus; but they go.
#[test]
fn with_queues_that_are_lost_those_that_move_count() {
    let mut unsettled = Unsettled::default();
    let mut observes =
        |surplus: i64, at: u64| unsettled.observe(&with_queues_over(5_000, surplus).facts, Time(at));
    assert_eq!(observes(-40, 1_000), None);
    assert_eq!(observes(-36, 3_000), None, "a hundredth may be on the way");
    assert_eq!(observes(-35, 5_000), None);
    assert_eq!(observes(-35, 7_000), Some(Time(7_000)));
    assert_eq!(observes(-38, 9_000), Some(Time(7_000)), "from where it was seen last");
    assert_eq!(observes(-40, 11_000), Some(Time(7_000)));
    assert_eq!(observes(-40, 13_000), Some(Time(13_000)));
    assert_eq!(unsettled.changing(), Some(Time(13_000)));
    for at in [30_000, 32_000] {
        let after = unsettled.observe(&with_queues_over(5_000, 0).facts, Time(at));
        assert_eq!(after, Some(Time(13_000)), "it begins anew after a change");
    }
}

/// Few clients are there, and some come and go: a node without a record is no newcomer here.
#[test]
fn a_few_records_more_or_less_are_no_sign() {
    for (there, here) in [(0, 3), (3, 0)] {
        let mut fixture = young(5_000);
        for (ordinal, live) in [(0, there), (1, here), (2, 0)] {
            fixture.live(ordinal, live);
            fixture.node(ordinal).counts =
                Observed::Seen(Counts { online: 0, offline: 0, queues: 0, retained: 0 });
        }
        assert_eq!(kind(&fixture.after(0)), Some(Kind::Shrink), "{:?}", fixture.after(0).conditions);
    }
}

/// Pods that are not wanted do not count, nor does one that never said when it became ready.
#[test]
fn only_pods_that_are_known_to_be_young_are_a_reason() {
    let mut fixture = with_queues_over(5_000, 50);
    fixture.facts.pods.get_mut(&Ordinal(1)).unwrap().ready_changed = None;
    assert_eq!(kind(&fixture.after(0)), Some(Kind::Shrink));
}
