//! Fence, suspend, drain: up to the question.

use lifecycle::{Call, Effect, ListenerState, NodeName, Ordinal, Stay, Step, Time};
use rstest::rstest;

use crate::scene::{Scene, THEN, at, name, reasons, tells, unknown};

fn asked(scene: &mut Scene, millis: u64) -> bool {
    let out = scene.turn(millis);
    let asks = out.effects.iter().any(|effect| matches!(effect, Effect::Leave { .. }));
    assert_eq!(asks, at(&out) == Step::Leave);
    asks
}

#[test]
fn the_fence_waits_for_label_slices_and_proxies() {
    let mut scene = Scene::shrinking(3, Step::Fence);
    scene.doors(Some(ListenerState::Running));
    scene.pod(2).serving = Some(true);
    assert!(matches!(&scene.turn(0).effects[..], [Effect::LabelServing { serving: false, .. }]));
    scene.pod(2).serving = Some(false);
    scene.pod(2).routed = true;
    assert_eq!(at(&scene.turn(1_000)), Step::Fence);
    scene.pod(2).routed = false;
    assert_eq!(at(&scene.turn(2_000)), Step::Fence);
    assert_eq!(at(&scene.turn(3_400)), Step::Fence);
    let out = scene.turn(3_500);
    assert_eq!(at(&out), Step::Suspend);
    assert!(matches!(&out.effects[..], [Effect::Suspend { target: NodeName(n), .. }] if *n == name(2).0));
}

#[test]
fn without_our_service_there_is_no_endpoint_to_wait_for() {
    let mut scene = Scene::shrinking(3, Step::Fence);
    scene.limits.fence = false;
    scene.pod(2).routed = true;
    assert_eq!(at(&scene.after(0)), Step::Drain);
}

#[test]
fn an_empty_node_is_not_drained() {
    let mut scene = Scene::shrinking(3, Step::Suspend);
    scene.counts(2).online = 0;
    assert!(asked(&mut scene, 0));
}

#[rstest]
#[case::backlog(|s: &mut Scene| s.counts(2).online = -40)]
#[case::unknown(|s: &mut Scene| s.node(2).counts = unknown())]
fn a_node_whose_sessions_are_not_known_is_not_taken_for_empty(#[case] disturb: fn(&mut Scene)) {
    let mut scene = Scene::shrinking(3, Step::Suspend);
    disturb(&mut scene);
    assert!(!asked(&mut scene, 0));
}

#[test]
fn batches_keep_their_pace() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.counts(2).online = 90;
    let batches = |scene: &Scene, at: u64| scene.after(at).effects.len();
    assert_eq!(batches(&scene, 0), 1);
    scene.facts.calls.drain = Call::Answered("10".into());
    scene.facts.calls.drain_paid = Some(Time(THEN.0));
    assert_eq!(batches(&scene, 900), 0);
    assert_eq!(batches(&scene, 1_000), 1);
    scene.facts.calls.drain = Call::InFlight;
    assert_eq!(batches(&scene, 5_000), 0, "one call at a time");
}

#[test]
fn who_cannot_be_disconnected_is_named_and_left_to_the_leave() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.counts(2).online = 3;
    scene.facts.calls.drain = Call::Answered("0".into());
    scene.facts.calls.drain_stay = Some(Stay { count: 3, named: r#""x" of mountpoint "a=b""#.into() });
    let out = scene.turn(0);
    assert!(tells(&out, "SessionsStay", "at least 3 sessions of pod 2"));
    assert!(tells(&out, "SessionsStay", r#""x" of mountpoint "a=b""#));
    assert!(asked(&mut scene, 2_000), "they are fewer than a leave may end");
}

#[test]
fn the_leave_is_asked_when_the_list_was_empty_for_two_seconds() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.counts(2).online = 0;
    assert!(!asked(&mut scene, 0), "a count alone is no proof");
    scene.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut scene, 1_000));
    scene.facts.calls.drain = Call::Answered("1".into());
    assert!(!asked(&mut scene, 2_000), "a busy row was missing from the list");
    scene.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut scene, 3_000));
    assert!(!asked(&mut scene, 4_900));
    assert!(asked(&mut scene, 5_000));
}

#[test]
fn many_sessions_online_are_never_killed() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.counts(2).online = 51;
    scene.facts.calls.drain = Call::Answered("0".into());
    assert!(!asked(&mut scene, 1_000) && !asked(&mut scene, 10_000));
    scene.counts(2).online = 50;
    assert!(!asked(&mut scene, 11_000) && asked(&mut scene, 13_000));
}

#[test]
fn a_leave_that_another_hand_began_is_watched() {
    for step in [Step::Suspend, Step::Drain] {
        let mut scene = Scene::shrinking(3, step);
        scene.doors(None);
        let out = scene.after(0);
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
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.intent.as_mut().expect("it shrinks").sessions = sessions;
    scene.counts(2).online = 0;
    let (mut now, mut ends) = (0, None);
    while now < 20_000 {
        if ends.is_some_and(|end| now >= end) {
            scene.facts.calls.drain = Call::Answered("0".into());
            ends = None;
        }
        let out = scene.turn(now);
        if at(&out) == Step::Leave {
            return;
        }
        now += 50;
        if let Some(Effect::DrainBatch { paid, .. }) = out.effects.first() {
            scene.facts.calls.drain = Call::InFlight;
            scene.facts.calls.drain_paid = Some(*paid);
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
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.intent.as_mut().expect("it shrinks").sessions = sessions;
    scene.counts(2).online = i64::from(sessions);
    scene.facts.calls.drain_paid = Some(THEN);
    let out = scene.after(ms);
    let [Effect::DrainBatch { askers, ids, batch, paid, .. }] = &out.effects[..] else {
        panic!("{:?}", out.effects)
    };
    assert_eq!((*ids, *batch, &askers[..]), (wanted, 50, &[Ordinal(0), Ordinal(1)][..]));
    assert!(*paid <= Time(THEN.0 + ms), "never ahead of the pace");
}

#[test]
fn the_pace_that_is_reached_is_told_and_recorded() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.intent.as_mut().expect("it shrinks").sessions = 3_000;
    scene.counts(2).online = 3_000;
    assert!(tells(
        &scene.after(0),
        "Draining",
        "3000 sessions of pod 2 are disconnected, 30 a second: about 100 s"
    ));
    scene.counts(2).online = 500;
    scene.facts.calls.drain_rate = Some(20);
    assert!(tells(&scene.after(70_000), "Draining", "500 of 3000 sessions of pod 2 are left; 20 a second"));
    scene.counts(2).online = 0;
    scene.facts.calls.drain = Call::Answered("0".into());
    (scene.facts.calls.drained, scene.facts.calls.drain_average) = (2_990, Some(21));
    scene.turn(90_000);
    let out = scene.turn(92_000);
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
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.intent.as_mut().expect("it shrinks").sessions = 100_000;
    scene.counts(2).online = 99_000;
    scene.facts.calls.drain_rate = Some(rate);
    let out = scene.after(ms);
    assert_eq!((at(&out), reasons(&out)), (goes_to, vec![told]));
    assert!(tells(&out, told, &format!("{rate} a second")), "{:?}", out.conditions);
}

#[test]
fn what_was_not_drained_is_told_as_it_is() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.counts(2).online = 7;
    scene.facts.calls.drain = Call::Refused("the list cannot be read".into());
    let out = scene.after(901_000);
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
    let mut scene = Scene::shrinking(3, Step::Suspend);
    scene.node(2).counts = unknown();
    let out = scene.after(31_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Suspend, vec!["NotKnown"]));
    let out = scene.after(121_000);
    assert_eq!(at(&out), Step::Cancel);
    let reason = out.intent.and_then(|intent| intent.reason).unwrap_or_default();
    assert!(
        reason.starts_with("NotKnown: sessions of pod 2 cannot be counted: no answer within 2 s"),
        "{reason}"
    );
}
