//! Fence, suspend, drain: up to the question.

use lifecycle::{Call, Effect, ListenerState, NodeName, Ordinal, Stay, Step, Time};
use rstest::rstest;

use crate::fixture::{Fixture, THEN, at, name, reasons, tells, unknown};

fn asked(fixture: &mut Fixture, millis: u64) -> bool {
    let out = fixture.turn(millis);
    let asks = out.effects.iter().any(|effect| matches!(effect, Effect::Leave { .. }));
    assert_eq!(asks, at(&out) == Step::Leave);
    asks
}

#[test]
fn the_fence_waits_for_label_slices_and_proxies() {
    let mut fixture = Fixture::shrinking(3, Step::Fence);
    fixture.listeners(Some(ListenerState::Running));
    fixture.pod(2).serving = Some(true);
    assert!(matches!(&fixture.turn(0).effects[..], [Effect::LabelServing { serving: false, .. }]));
    fixture.pod(2).serving = Some(false);
    fixture.pod(2).routed = true;
    assert_eq!(at(&fixture.turn(1_000)), Step::Fence);
    fixture.pod(2).routed = false;
    assert_eq!(at(&fixture.turn(2_000)), Step::Fence);
    assert_eq!(at(&fixture.turn(3_400)), Step::Fence);
    let out = fixture.turn(3_500);
    assert_eq!(at(&out), Step::Suspend);
    assert!(matches!(&out.effects[..], [Effect::Suspend { target: NodeName(n), .. }] if *n == name(2).0));
}

#[test]
fn without_our_service_there_is_no_endpoint_to_wait_for() {
    let mut fixture = Fixture::shrinking(3, Step::Fence);
    fixture.limits.fence = false;
    fixture.pod(2).routed = true;
    assert_eq!(at(&fixture.after(0)), Step::Drain);
}

#[test]
fn an_empty_node_is_not_drained() {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    fixture.counts(2).online = 0;
    assert!(asked(&mut fixture, 0));
}

#[rstest]
#[case::backlog(|s: &mut Fixture| s.counts(2).online = -40)]
#[case::unknown(|s: &mut Fixture| s.node(2).counts = unknown())]
fn a_node_whose_sessions_are_not_known_is_not_taken_for_empty(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    disturb(&mut fixture);
    assert!(!asked(&mut fixture, 0));
}

#[test]
fn batches_keep_their_pace() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.counts(2).online = 90;
    let batches = |fixture: &Fixture, at: u64| fixture.after(at).effects.len();
    assert_eq!(batches(&fixture, 0), 1);
    fixture.facts.calls.drain = Call::Answered("10".into());
    fixture.facts.calls.drain_paid = Some(Time(THEN.0));
    assert_eq!(batches(&fixture, 900), 0);
    assert_eq!(batches(&fixture, 1_000), 1);
    fixture.facts.calls.drain = Call::InFlight;
    assert_eq!(batches(&fixture, 5_000), 0, "one call at a time");
}

#[test]
fn who_cannot_be_disconnected_is_named_and_left_to_the_leave() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.counts(2).online = 3;
    fixture.facts.calls.drain = Call::Answered("0".into());
    fixture.facts.calls.drain_stay = Some(Stay { count: 3, named: r#""x" of mountpoint "a=b""#.into() });
    let out = fixture.turn(0);
    assert!(tells(&out, "SessionsStay", "at least 3 sessions of pod 2"));
    assert!(tells(&out, "SessionsStay", r#""x" of mountpoint "a=b""#));
    assert!(asked(&mut fixture, 2_000), "they are fewer than a leave may end");
}

#[test]
fn the_leave_is_asked_when_the_list_was_empty_for_two_seconds() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.counts(2).online = 0;
    assert!(!asked(&mut fixture, 0), "a count alone is no proof");
    fixture.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut fixture, 1_000));
    fixture.facts.calls.drain = Call::Answered("1".into());
    assert!(!asked(&mut fixture, 2_000), "a busy row was missing from the list");
    fixture.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut fixture, 3_000));
    assert!(!asked(&mut fixture, 4_900));
    assert!(asked(&mut fixture, 5_000));
}

#[test]
fn many_sessions_online_are_never_killed() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.counts(2).online = 51;
    fixture.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut fixture, 1_000) && !asked(&mut fixture, 10_000));
    fixture.counts(2).online = 50;
    assert!(!asked(&mut fixture, 11_000) && asked(&mut fixture, 13_000));
}

#[test]
fn a_leave_that_another_hand_began_is_watched() {
    for step in [Step::Suspend, Step::Drain] {
        let mut fixture = Fixture::shrinking(3, step);
        fixture.listeners(None);
        let out = fixture.after(0);
        assert_eq!((at(&out), out.effects), (Step::Leave, vec![]));
    }
}

/// Between two batches there is less time than a list takes: some reconcile always comes while one is under way.
#[rstest]
#[case(100, 450)]
#[case(100, 1_200)]
#[case(3_000, 450)]
#[case(20_000, 250)]
#[case(50_000, 80)]
fn an_empty_node_leaves_however_long_a_list_takes(#[case] sessions: u32, #[case] list: u64) {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.intent.as_mut().expect("it shrinks").sessions = sessions;
    fixture.counts(2).online = 0;
    let (mut now, mut ends) = (0, None);
    while now < 20_000 {
        if ends.is_some_and(|end| now >= end) {
            fixture.facts.calls.drain = Call::Answered("0".into());
            ends = None;
        }
        let out = fixture.turn(now);
        if at(&out) == Step::Leave {
            return;
        }
        now += 50;
        if let Some(Effect::DrainBatch { paid, .. }) = out.effects.first() {
            fixture.facts.calls.drain = Call::InFlight;
            fixture.facts.calls.drain_paid = Some(*paid);
            ends = Some(now + list);
        }
        let next = now + u64::try_from(out.again.as_millis()).expect("a short time");
        // The end of a call wakes the next reconcile.
        now = ends.map_or(next, |end| next.min(end.max(now)));
    }
    panic!("it never leaves");
}

/// What a slow reconcile puts off is made up for, by two seconds' worth at most, over all survivors.
#[rstest]
#[case(50_000, 200, 100)]
#[case(50_000, 450, 220)]
#[case(50_000, 1_999, 990)]
#[case(50_000, 60_000, 1_000)]
#[case(3_000, 2_500, 60)]
#[case(100, 60_000, 20)]
fn a_round_is_as_large_as_the_time_since_the_last(
    #[case] sessions: u32,
    #[case] ms: u64,
    #[case] wanted: u32,
) {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.intent.as_mut().expect("it shrinks").sessions = sessions;
    fixture.counts(2).online = i64::from(sessions);
    fixture.facts.calls.drain_paid = Some(THEN);
    let out = fixture.after(ms);
    let [Effect::DrainBatch { coordinators, ids, batch, paid, .. }] = &out.effects[..] else {
        panic!("{:?}", out.effects)
    };
    assert_eq!((*ids, *batch, &coordinators[..]), (wanted, 50, &[Ordinal(0), Ordinal(1)][..]));
    assert!(*paid <= Time(THEN.0 + ms), "never ahead of the pace");
}

#[test]
fn the_pace_that_is_reached_is_told_and_recorded() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.intent.as_mut().expect("it shrinks").sessions = 3_000;
    fixture.counts(2).online = 3_000;
    assert!(tells(
        &fixture.after(0),
        "Draining",
        "3000 sessions of pod 2 are disconnected, 30 a second: about 100 s"
    ));
    fixture.counts(2).online = 500;
    fixture.facts.calls.drain_rate = Some(20);
    assert!(tells(&fixture.after(70_000), "Draining", "500 of 3000 sessions of pod 2 are left; 20 a second"));
    fixture.counts(2).online = 0;
    fixture.facts.calls.drain = Call::Answered("0".into());
    (fixture.facts.calls.drained, fixture.facts.calls.drain_average) = (2_990, Some(21));
    fixture.turn(90_000);
    let out = fixture.turn(92_000);
    assert!(tells(&out, "Drained", "2990 sessions of pod 2 were disconnected, 21 a second (30 asked for)"));
    assert_eq!(out.intent.and_then(|intent| intent.drained_per_second), Some(21));
}

/// The budget is 900 s. What cannot be through in twice of what is left of it is not gone on with.
#[rstest]
#[case(59_000, 1, Step::Drain, "Draining")]
#[case(61_000, 200, Step::Drain, "Draining")]
#[case(61_000, 100, Step::Drain, "DrainSlow")]
#[case(61_000, 50, Step::Cancel, "DrainBudgetSpent")]
fn a_drain_that_falls_behind_its_budget_is_told_or_ended(
    #[case] ms: u64,
    #[case] rate: u32,
    #[case] goes_to: Step,
    #[case] told: &str,
) {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.intent.as_mut().expect("it shrinks").sessions = 100_000;
    fixture.counts(2).online = 99_000;
    fixture.facts.calls.drain_rate = Some(rate);
    let out = fixture.after(ms);
    assert_eq!((at(&out), reasons(&out)), (goes_to, vec![told]));
    assert!(tells(&out, told, &format!("{rate} a second")), "{:?}", out.conditions);
}

#[test]
fn what_was_not_drained_is_told_as_it_is() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.counts(2).online = 7;
    fixture.facts.calls.drain = Call::Refused("the list cannot be read".into());
    let out = fixture.after(901_000);
    let reason = out.intent.and_then(|intent| intent.reason).unwrap_or_default();
    assert!(
        reason.starts_with("DrainBudgetSpent: pod 2 was not drained within 900 s: 7 sessions are online"),
        "{reason}"
    );
    assert!(reason.contains("the last list of them failed: the list cannot be read. See who"), "{reason}");
}

/// Closed to clients, and what is to be drained is not known.
#[test]
fn a_suspended_node_that_cannot_be_counted_does_not_wait_for_ever() {
    let mut fixture = Fixture::shrinking(3, Step::Suspend);
    fixture.node(2).counts = unknown();
    let out = fixture.after(31_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Suspend, vec!["NotKnown"]));
    let out = fixture.after(121_000);
    assert_eq!(at(&out), Step::Cancel);
    let reason = out.intent.and_then(|intent| intent.reason).unwrap_or_default();
    assert!(
        reason.starts_with("NotKnown: sessions of pod 2 cannot be counted: no answer within 2 s"),
        "{reason}"
    );
}
