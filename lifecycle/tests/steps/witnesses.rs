//! What proves that a node has left, and what does not.

use lifecycle::{Call, Effect, ListenerState, Ordinal, Reach, Step};
use rstest::rstest;

use crate::fixture::{Fixture, at, unknown};

/// Says whether the size is lowered in the same reconcile.
fn lowered(fixture: &Fixture) -> bool {
    let out = fixture.after(1_000);
    let lowers = out.effects.iter().any(|effect| matches!(effect, Effect::SetReplicas { to: 2, .. }));
    assert_eq!(lowers, out.intent.unwrap().verified);
    lowers
}

/// The leave has begun: the listeners are deleted.
fn begun() -> Fixture {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    fixture.node(2).members = unknown();
    fixture
}

#[rstest]
#[case("Done", true)]
#[case("Migrated 2/3 queues and 400/900 messages\nDone\n", true)]
#[case("Done! Use -k to teardown and migrate existing sessions!", false)]
#[case("Unknown error: noproc", false)]
#[case("", false)]
fn done_and_a_survivor_without_it(#[case] text: &str, #[case] enough: bool) {
    let mut fixture = begun();
    fixture.said(text);
    fixture.view(1, &[(0, true), (1, true)]);
    assert_eq!(lowered(&fixture), enough);
}

#[test]
fn done_alone_proves_nothing() {
    let mut fixture = begun();
    fixture.said("Done");
    assert!(!lowered(&fixture));
    assert_eq!(at(&fixture.after(0)), Step::Verify, "that it was said must outlive a crash");
}

/// All survivors list it still, as they do until its process has ended.
#[rstest]
#[case::silent_pod(|s: &mut Fixture| s.node(2).reach = Reach::Silent, false)]
#[case::listens(|s: &mut Fixture| s.node(2).reach = Reach::Answers, false)]
#[case::refuses(|_: &mut Fixture| (), true)]
#[case::not_said(|s: &mut Fixture| s.facts.calls.leave = Call::Unknown("end of file".into()), false)]
#[case::another_process(|s: &mut Fixture| s.pod(2).restarts = 1, false)]
#[case::another_pod(|s: &mut Fixture| s.pod(2).uid = "other".into(), false)]
#[case::another_coordinator(|s: &mut Fixture| s.pod(0).restarts = 1, false)]
#[case::a_coordinator_that_nobody_noted(|s: &mut Fixture| s.intent.as_mut().unwrap().coordinator = None, false)]
fn done_and_a_leaver_in_which_nobody_listens(#[case] happen: fn(&mut Fixture), #[case] enough: bool) {
    for step in [Step::Leave, Step::Verify] {
        let mut fixture = Fixture::shrinking(3, step);
        fixture.listeners(None);
        fixture.node(2).members = unknown();
        fixture.node(2).reach = Reach::Refused;
        fixture.said("Done");
        happen(&mut fixture);
        let said = matches!(fixture.facts.calls.leave, Call::Answered(_));
        // That it was said is what being in `Verify` is the record of.
        if said || step == Step::Leave {
            assert_eq!(lowered(&fixture), enough, "{step:?}");
        }
    }
}

#[test]
fn the_coordinators_own_view_is_no_witness_where_there_is_another() {
    let mut fixture = begun();
    fixture.said("Done");
    fixture.view(0, &[(0, true), (1, true)]);
    assert!(!lowered(&fixture));
}

#[test]
fn the_coordinator_is_enough_where_it_is_the_only_one() {
    let mut fixture = Fixture::shrinking(2, Step::Leave);
    fixture.listeners(None);
    fixture.node(1).members = unknown();
    fixture.said("Done");
    fixture.view(0, &[(0, true)]);
    assert_eq!(at(&fixture.after(0)), Step::Shrink);
}

/// Both nodes of two were restarted without their data: each sees only itself, and nobody has left.
#[test]
fn a_sole_survivor_that_has_restarted_does_not_bear_witness_to_an_ended_process() {
    let mut fixture = Fixture::shrinking(2, Step::Leave);
    fixture.node(1).members = unknown();
    fixture.node(1).reach = Reach::Refused;
    fixture.node(1).listeners = unknown();
    fixture.view(0, &[(0, true)]);
    assert_eq!(at(&fixture.after(0)), Step::Shrink);
    fixture.pod(0).restarts = 1;
    assert_eq!(at(&fixture.after(0)), Step::Leave);
    fixture.pod(0).restarts = 0;
    fixture.pod(0).uid = "other".into();
    assert_eq!(at(&fixture.after(0)), Step::Leave);
}

#[test]
fn a_leave_that_was_never_asked_for_is_never_proven() {
    let mut fixture = Fixture::shrinking(2, Step::Cancel);
    fixture.pod(1).restarts = 1;
    fixture.node(1).members = unknown();
    fixture.said("Done");
    fixture.view(0, &[(0, true)]);
    assert_eq!(at(&fixture.after(0)), Step::Shrink);
    fixture.intent.as_mut().unwrap().asked = false;
    assert_eq!(at(&fixture.after(0)), Step::Cancel);
}

#[test]
fn a_leaver_that_sees_the_others_has_not_left() {
    for step in [Step::Leave, Step::Verify] {
        let mut fixture = Fixture::shrinking(3, step);
        fixture.listeners(None);
        fixture.said("Done");
        fixture.view(1, &[(0, true), (1, true)]);
        assert!(!lowered(&fixture), "pod 2 has all three in its view");
        fixture.node(2).members = unknown();
        assert!(lowered(&fixture));
        fixture.view(2, &[(0, true), (1, true)]);
        assert!(lowered(&fixture), "its own view is without it, as in the moment before it ends");
    }
}

#[test]
fn one_of_several_that_sees_only_itself_proves_nothing() {
    let mut fixture = begun();
    fixture.said("Done");
    fixture.view(1, &[(1, true)]);
    assert!(!lowered(&fixture));
    fixture.node(0).name = None;
    assert!(!lowered(&fixture), "nor while the others have not said their names");
}

#[rstest]
#[case::refused(|s: &mut Fixture| s.node(2).reach = Reach::Refused, true)]
#[case::silent(|s: &mut Fixture| s.node(2).reach = Reach::Silent, false)]
#[case::pod_gone(|s: &mut Fixture| s.gone(), true)]
#[case::another_pod(|s: &mut Fixture| { s.pod(2).uid = "other".into(); s.view(0, &[(0, true), (1, true)]); }, true)]
#[case::restarted(|s: &mut Fixture| s.pod(2).restarts = 1, true)]
#[case::alive(|_: &mut Fixture| (), false)]
fn an_ended_process_stands_in_for_a_lost_answer(#[case] happen: fn(&mut Fixture), #[case] enough: bool) {
    let mut fixture = begun();
    fixture.node(2).listeners = unknown();
    fixture.node(2).members = unknown();
    fixture.facts.calls.leave = Call::Unknown("end of file".into());
    fixture.view(1, &[(0, true), (1, true)]);
    happen(&mut fixture);
    assert_eq!(lowered(&fixture), enough);
}

/// After a crash of ours nothing is known of the call, and kubelet may not have counted yet.
#[test]
fn a_cluster_of_one_that_all_others_have_dropped_has_left() {
    let mut fixture = begun();
    fixture.listeners(Some(ListenerState::Running));
    fixture.view(2, &[(2, true)]);
    fixture.view(1, &[(0, true), (1, true)]);
    assert!(!lowered(&fixture), "pod 0 has it still");
    fixture.view(0, &[(0, true), (1, true)]);
    assert!(lowered(&fixture));
}

#[test]
fn a_node_that_all_have_dropped_is_neither_asked_again_nor_undone() {
    let mut fixture = begun();
    fixture.listeners(Some(ListenerState::Running));
    fixture.node(2).members = unknown();
    fixture.dropped();
    fixture.facts.wish = 3;
    fixture.turn(1_000);
    let out = fixture.turn(80_000);
    assert_eq!((at(&out), &out.effects), (Step::Leave, &vec![]));
}

#[test]
fn the_patch_is_guarded_by_uid_and_number_and_sent_until_it_is_seen() {
    let mut fixture = Fixture::shrinking(3, Step::Shrink);
    fixture.intent.as_mut().unwrap().verified = true;
    let patch = [Effect::SetReplicas { uid: "set".into(), from: 3, to: 2, pod: Some("pod-2".into()) }];
    assert_eq!(fixture.after(0).effects, patch);
    assert_eq!(fixture.after(9_000).effects, patch);
    fixture.facts.target.replicas = 2;
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::PodGone, vec![]));
}

/// A record of another version, or one that somebody wrote by hand.
#[test]
fn no_size_is_lowered_by_a_record_that_does_not_say_verified() {
    let mut fixture = Fixture::shrinking(3, Step::Shrink);
    assert!(!lowered(&fixture));
    assert_eq!(at(&fixture.after(0)), Step::Verify);
    fixture.node(2).members = unknown();
    fixture.dropped();
    assert!(lowered(&fixture));
}

#[test]
fn no_claim_is_deleted_before_pod_and_views_are_seen_gone() {
    let mut fixture = Fixture::shrinking(3, Step::Volume);
    fixture.facts.target.replicas = 2;
    fixture.dropped();
    assert_eq!(
        (at(&fixture.after(0)), fixture.after(0).effects),
        (Step::PodGone, vec![]),
        "the pod is there"
    );
    fixture.gone();
    let deletion = Effect::DeleteClaim { name: "data-2".into(), uid: "claim-2".into() };
    assert_eq!(fixture.after(0).effects, [deletion]);
    fixture.view(0, &[(0, true), (1, true), (2, false)]);
    assert_eq!(fixture.after(0).effects, [], "it came back as a member");
    fixture.node(0).members = unknown();
    assert_eq!(fixture.after(0).effects, [], "pod 0 was not seen");
    fixture.dropped();
    fixture.facts.claims.remove(&Ordinal(2));
    assert_eq!(at(&fixture.after(0)), Step::Quiet);
}

#[test]
fn the_volume_waits_for_every_survivor_after_the_pod_is_gone() {
    let mut fixture = Fixture::shrinking(3, Step::PodGone);
    fixture.facts.target.replicas = 2;
    fixture.gone();
    fixture.view(1, &[(0, true), (1, true)]);
    assert_eq!((at(&fixture.after(0)), fixture.after(0).effects), (Step::PodGone, vec![]));
}

/// Without a volume, a pod that is made again is a fresh node, which may have joined already.
#[test]
fn a_fresh_pod_in_the_place_of_one_that_left_is_not_shrunk_away() {
    let mut fixture = Fixture::shrinking(3, Step::Shrink);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.pod(2).uid = "other".into();
    fixture.facts.claims.remove(&Ordinal(2));
    let out = fixture.after(0);
    assert!(!out.effects.iter().any(|effect| matches!(effect, Effect::SetReplicas { .. })));
    let intent = out.intent.unwrap();
    assert_eq!((intent.kind, intent.epoch), (lifecycle::Kind::Grow, 2));
}

/// Ours from three to two, another hand's to one, while the pod goes: who is not there cannot agree.
#[test]
fn survivors_are_those_whom_another_hand_has_left() {
    let mut fixture = Fixture::shrinking(3, Step::PodGone);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.dropped();
    fixture.gone();
    fixture.facts.target.replicas = 1;
    fixture.facts.pods.remove(&Ordinal(1));
    fixture.node(1).members = unknown();
    fixture.view(0, &[(0, true), (1, false), (2, true)]);
    assert_eq!(at(&fixture.after(1_000)), Step::PodGone, "it lists the leaver still");
    fixture.view(0, &[(0, true), (1, false)]);
    assert_ne!(at(&fixture.after(1_000)), Step::PodGone);
    // Told to, the broker forgets the dead one.
    fixture.view(0, &[(0, true)]);
    assert_ne!(at(&fixture.after(1_000)), Step::PodGone);
}

/// Another hand raises the size over the one that has left, and its new pod stands on the old claim.
#[rstest]
#[case(Step::Shrink, 4)]
#[case(Step::PodGone, 3)]
fn a_twin_is_fenced_before_all_survivors_agree(#[case] step: Step, #[case] replicas: u32) {
    let mut fixture = Fixture::shrinking(3, step);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.dropped();
    fixture.facts.target.replicas = replicas;
    fixture.pod(2).uid = "isolated".into();
    fixture.pod(2).serving = Some(true);
    fixture.listeners(Some(ListenerState::Running));
    fixture.view(2, &[(2, true)]);
    fixture.node(1).members = unknown();
    let out = fixture.after(1_000);
    let fences = |effect: &Effect| matches!(effect, Effect::LabelServing { pod_uid, serving: false, .. } if pod_uid == "isolated");
    assert!(out.effects.iter().any(fences), "{:?}", out.effects);
}
