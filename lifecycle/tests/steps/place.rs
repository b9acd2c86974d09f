//! Who is in the place of a node that has left, and what becomes of the size.

use lifecycle::{Call, Effect, Kind, ListenerState, Ordinal, Outcome, Step};
use rstest::rstest;

use crate::fixture::{Fixture, at, kind, reasons, tells, unknown};

/// Ordinal 2 has left, and the size holds it still.
fn left() -> Fixture {
    let mut fixture = Fixture::shrinking(3, Step::Shrink);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.node(2).members = unknown();
    fixture.dropped();
    fixture
}

/// The guard of the patch; empty where there is none in this reconcile.
fn patch(fixture: &Fixture, millis: u64) -> Vec<Option<String>> {
    let guard = |effect| match effect {
        Effect::SetReplicas { pod, to: 2, .. } => Some(pod),
        _ => None,
    };
    fixture.after(millis).effects.into_iter().filter_map(guard).collect()
}

/// No patch in this reconcile.
const NONE: Vec<Option<String>> = Vec::new();

#[test]
fn what_the_patch_takes_away_is_what_was_seen() {
    let mut fixture = left();
    assert_eq!(patch(&fixture, 0), [Some("pod-2".into())]);
    // Made again on the data of the one that has left: a cluster of one.
    fixture.pod(2).uid = "isolated".into();
    fixture.view(2, &[(2, true)]);
    assert_eq!(patch(&fixture, 0), [Some("isolated".into())]);
    fixture.gone();
    assert_eq!(patch(&fixture, 0), [None], "whatever is made stands on that data");
}

#[test]
fn where_nothing_of_the_past_is_left_whoever_comes_is_waited_for() {
    let mut fixture = left();
    fixture.facts.claims.remove(&Ordinal(2));
    fixture.gone();
    let out = fixture.turn(0);
    assert_eq!((patch(&fixture, 0), out.wait.map(|wait| wait.name)), (NONE, Some("ReplacementSeen")));
    assert_eq!(patch(&fixture, 9_999), NONE);
    // Nobody came.
    assert_eq!(patch(&fixture, 10_000), [None]);
}

#[rstest]
#[case::no_claim(|s: &mut Fixture| { s.facts.claims.remove(&Ordinal(2)); })]
#[case::another_claim(|s: &mut Fixture| s.facts.claims.get_mut(&Ordinal(2)).unwrap()[0].uid = "other".into())]
#[case::a_member_on_its_data(|s: &mut Fixture| {
    s.view(0, &[(0, true), (1, true), (2, true)]);
    s.view(1, &[(0, true), (1, true), (2, true)]);
})]
fn a_pod_that_joins_or_has_joined_is_a_newcomer(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = left();
    fixture.pod(2).uid = "other".into();
    fixture.pod(2).serving = Some(true);
    disturb(&mut fixture);
    let out = fixture.after(0);
    assert_eq!((patch(&fixture, 0), kind(&out)), (NONE, Some(Kind::Grow)));
    assert_eq!(out.finished.map(|finished| finished.outcome), Some(Outcome::Failed));
    let fences = |effect: &Effect| matches!(effect, Effect::LabelServing { pod_uid, serving: false, .. } if pod_uid == "other");
    assert!(out.effects.iter().any(fences), "{:?}", out.effects);
}

#[test]
fn one_that_a_survivor_lists_still_is_not_taken_away() {
    let mut fixture = left();
    fixture.pod(2).uid = "isolated".into();
    fixture.view(2, &[(2, true)]);
    fixture.view(0, &[(0, true), (1, true), (2, false)]);
    assert_eq!(patch(&fixture, 0), NONE);
    assert!(tells(&fixture.after(30_001), "VerifyFailed", "Listed by pod 0"));
    fixture.dropped();
    assert_eq!(patch(&fixture, 0).len(), 1);
}

#[test]
fn made_again_as_a_member_while_done_was_checked_the_shrink_is_undone() {
    let mut fixture = Fixture::shrinking(3, Step::Verify);
    fixture.pod(2).uid = "other".into();
    fixture.listeners(Some(ListenerState::Running));
    assert_eq!(at(&fixture.after(0)), Step::Cancel);
}

/// The size is lowered, and another pod ends in the leaver's place.
fn ends() -> Fixture {
    let mut fixture = left();
    fixture.intent.as_mut().unwrap().step = Step::PodGone;
    fixture.facts.target.replicas = 2;
    fixture.pod(2).uid = "other".into();
    fixture.pod(2).deleting = true;
    fixture.counts(2).online = 0;
    for viewer in 0..3 {
        fixture.view(viewer, &[(0, true), (1, true), (2, true)]);
    }
    fixture
}

fn asks(fixture: &Fixture) -> bool {
    fixture.after(0).effects.iter().any(|effect| matches!(effect, Effect::Leave { .. }))
}

#[test]
fn one_that_joins_while_it_ends_is_asked_to_leave() {
    let fixture = ends();
    assert!(asks(&fixture) && tells(&fixture.after(0), "LeaverRejoined", "before its grace is over"));
}

#[rstest]
#[case::under_way(|s: &mut Fixture| s.facts.calls.leave = Call::InFlight)]
#[case::a_member_is_down(|s: &mut Fixture| s.view(1, &[(0, false), (1, true), (2, true)]))]
#[case::not_seen_by_all(|s: &mut Fixture| s.node(1).members = unknown())]
#[case::clients_on_it(|s: &mut Fixture| s.counts(2).online = 51)]
#[case::not_counted(|s: &mut Fixture| s.node(2).counts = unknown())]
#[case::the_leavers_own_pod(|s: &mut Fixture| s.pod(2).uid = "pod-2".into())]
fn not_where_that_could_harm(#[case] disturb: fn(&mut Fixture)) {
    let mut fixture = ends();
    disturb(&mut fixture);
    assert!(!asks(&fixture));
}

/// The leaver's own pod, which ends.
fn ends_anew(restarts: u32) -> Fixture {
    let mut fixture = ends();
    fixture.pod(2).uid = "pod-2".into();
    fixture.pod(2).restarts = restarts;
    fixture.dropped();
    fixture
}

#[rstest]
#[case::of_the_leaver(ends_anew(1))]
#[case::made_in_its_place(ends())]
fn one_that_was_started_about_when_it_was_deleted_and_ends_late_is_told(#[case] mut fixture: Fixture) {
    assert!(
        !reasons(&fixture.after(9_999)).contains(&"PodEndsLate"),
        "others take up to 3 s, with the hook 5.4 s"
    );
    let out = fixture.after(10_000);
    assert!(tells(&out, "PodEndsLate", "docs/operating.md"), "{out:?}");
    let deletes = |effect: &Effect| matches!(effect, Effect::DeletePod { .. });
    assert!(!out.effects.iter().any(deletes), "no second deletion ends it: {:?}", out.effects);
    fixture.pod(2).deleting = false;
    assert!(!reasons(&fixture.after(10_000)).contains(&"PodEndsLate"), "it is not deleted yet");
}

#[test]
fn one_whose_container_was_not_started_anew_ends_late_for_another_reason() {
    assert!(!reasons(&ends_anew(0).after(80_000)).contains(&"PodEndsLate"));
}

#[test]
fn a_dead_member_comes_with_its_command() {
    let mut fixture = ends();
    fixture.gone();
    for viewer in 0..2 {
        fixture.view(viewer, &[(0, true), (1, true), (2, false)]);
    }
    let out = fixture.after(30_001);
    assert!(tells(&out, "VerifyFailed", "`vmq-admin cluster leave node=VerneMQ@vmq-2` on pod 0"), "{out:?}");
    assert!(out.conditions.iter().all(|told| told.message.len() < 1_000), "it would be cut");
    fixture.dropped();
    assert_eq!(at(&fixture.after(30_001)), Step::Volume);
}
