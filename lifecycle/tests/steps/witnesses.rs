//! What proves that a node has left, and what does not.

use lifecycle::{Call, Effect, ListenerState, Ordinal, Reach, Step};
use rstest::rstest;

use crate::scene::{Scene, at, unknown};

/// Says whether the size is lowered in the same reconcile.
fn lowered(scene: &Scene) -> bool {
    let out = scene.after(1_000);
    let lowers = out.effects.iter().any(|effect| matches!(effect, Effect::SetReplicas { to: 2, .. }));
    assert_eq!(lowers, out.intent.unwrap().verified);
    lowers
}

/// The leave has begun: the listeners are deleted.
fn begun() -> Scene {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    scene.node(2).members = unknown();
    scene
}

#[rstest]
#[case("Done", true)]
#[case("Migrated 2/3 queues and 400/900 messages\nDone\n", true)]
#[case("Done! Use -k to teardown and migrate existing sessions!", false)]
#[case("Unknown error: noproc", false)]
#[case("", false)]
fn done_and_a_survivor_without_it(#[case] text: &str, #[case] enough: bool) {
    let mut scene = begun();
    scene.said(text);
    scene.view(1, &[(0, true), (1, true)]);
    assert_eq!(lowered(&scene), enough);
}

#[test]
fn done_alone_proves_nothing() {
    let mut scene = begun();
    scene.said("Done");
    assert!(!lowered(&scene));
    assert_eq!(at(&scene.after(0)), Step::Verify, "that it was said must outlive a crash");
}

/// All survivors list it still, as they do until its process has ended.
#[rstest]
#[case::silent_pod(|s: &mut Scene| s.node(2).reach = Reach::Silent, false)]
#[case::listens(|s: &mut Scene| s.node(2).reach = Reach::Answers, false)]
#[case::refuses(|_: &mut Scene| (), true)]
#[case::not_said(|s: &mut Scene| s.facts.calls.leave = Call::Unknown("end of file".into()), false)]
#[case::another_process(|s: &mut Scene| s.pod(2).restarts = 1, false)]
#[case::another_pod(|s: &mut Scene| s.pod(2).uid = "other".into(), false)]
#[case::another_asker(|s: &mut Scene| s.pod(0).restarts = 1, false)]
#[case::an_asker_that_nobody_noted(|s: &mut Scene| s.intent.as_mut().unwrap().asker = None, false)]
fn done_and_a_leaver_in_which_nobody_listens(#[case] happen: fn(&mut Scene), #[case] enough: bool) {
    for step in [Step::Leave, Step::Verify] {
        let mut scene = Scene::shrinking(3, step);
        scene.doors(None);
        scene.node(2).members = unknown();
        scene.node(2).reach = Reach::Refused;
        scene.said("Done");
        happen(&mut scene);
        let said = matches!(scene.facts.calls.leave, Call::Answered(_));
        // That it was said is what being in `Verify` is the record of.
        if said || step == Step::Leave {
            assert_eq!(lowered(&scene), enough, "{step:?}");
        }
    }
}

#[test]
fn the_askers_own_view_is_no_witness_where_there_is_another() {
    let mut scene = begun();
    scene.said("Done");
    scene.view(0, &[(0, true), (1, true)]);
    assert!(!lowered(&scene));
}

#[test]
fn the_asker_is_enough_where_it_is_the_only_one() {
    let mut scene = Scene::shrinking(2, Step::Leave);
    scene.doors(None);
    scene.node(1).members = unknown();
    scene.said("Done");
    scene.view(0, &[(0, true)]);
    assert_eq!(at(&scene.after(0)), Step::Shrink);
}

/// Both nodes of two were restarted without their data: each sees only itself, and nobody has left.
#[test]
fn a_sole_survivor_that_has_restarted_does_not_bear_witness_to_an_ended_process() {
    let mut scene = Scene::shrinking(2, Step::Leave);
    scene.node(1).members = unknown();
    scene.node(1).reach = Reach::Refused;
    scene.node(1).listeners = unknown();
    scene.view(0, &[(0, true)]);
    assert_eq!(at(&scene.after(0)), Step::Shrink);
    scene.pod(0).restarts = 1;
    assert_eq!(at(&scene.after(0)), Step::Leave);
    scene.pod(0).restarts = 0;
    scene.pod(0).uid = "other".into();
    assert_eq!(at(&scene.after(0)), Step::Leave);
}

#[test]
fn a_leave_that_was_never_asked_for_is_never_proven() {
    let mut scene = Scene::shrinking(2, Step::Cancel);
    scene.pod(1).restarts = 1;
    scene.node(1).members = unknown();
    scene.said("Done");
    scene.view(0, &[(0, true)]);
    assert_eq!(at(&scene.after(0)), Step::Shrink);
    scene.intent.as_mut().unwrap().asked = false;
    assert_eq!(at(&scene.after(0)), Step::Cancel);
}

#[test]
fn a_leaver_that_sees_the_others_has_not_left() {
    for step in [Step::Leave, Step::Verify] {
        let mut scene = Scene::shrinking(3, step);
        scene.doors(None);
        scene.said("Done");
        scene.view(1, &[(0, true), (1, true)]);
        assert!(!lowered(&scene), "pod 2 has all three in its view");
        scene.node(2).members = unknown();
        assert!(lowered(&scene));
        scene.view(2, &[(0, true), (1, true)]);
        assert!(lowered(&scene), "its own view is without it, as in the moment before it ends");
    }
}

#[test]
fn one_of_several_that_sees_only_itself_proves_nothing() {
    let mut scene = begun();
    scene.said("Done");
    scene.view(1, &[(1, true)]);
    assert!(!lowered(&scene));
    scene.node(0).name = None;
    assert!(!lowered(&scene), "nor while the others have not said their names");
}

#[rstest]
#[case::refused(|s: &mut Scene| s.node(2).reach = Reach::Refused, true)]
#[case::silent(|s: &mut Scene| s.node(2).reach = Reach::Silent, false)]
#[case::pod_gone(|s: &mut Scene| s.gone(), true)]
#[case::another_pod(|s: &mut Scene| { s.pod(2).uid = "other".into(); s.view(0, &[(0, true), (1, true)]); }, true)]
#[case::restarted(|s: &mut Scene| s.pod(2).restarts = 1, true)]
#[case::alive(|_: &mut Scene| (), false)]
fn an_ended_process_stands_in_for_a_lost_answer(#[case] happen: fn(&mut Scene), #[case] enough: bool) {
    let mut scene = begun();
    scene.node(2).listeners = unknown();
    scene.node(2).members = unknown();
    scene.facts.calls.leave = Call::Unknown("end of file".into());
    scene.view(1, &[(0, true), (1, true)]);
    happen(&mut scene);
    assert_eq!(lowered(&scene), enough);
}

/// After a crash of ours nothing is known of the call, and kubelet may not have counted yet.
#[test]
fn a_cluster_of_one_that_all_others_have_dropped_has_left() {
    let mut scene = begun();
    scene.doors(Some(ListenerState::Running));
    scene.view(2, &[(2, true)]);
    scene.view(1, &[(0, true), (1, true)]);
    assert!(!lowered(&scene), "pod 0 has it still");
    scene.view(0, &[(0, true), (1, true)]);
    assert!(lowered(&scene));
}

#[test]
fn a_node_that_all_have_dropped_is_neither_asked_again_nor_undone() {
    let mut scene = begun();
    scene.doors(Some(ListenerState::Running));
    scene.node(2).members = unknown();
    scene.dropped();
    scene.facts.wish = 3;
    scene.turn(1_000);
    let out = scene.turn(80_000);
    assert_eq!((at(&out), &out.effects), (Step::Leave, &vec![]));
}

#[test]
fn the_patch_is_guarded_by_uid_and_number_and_sent_until_it_is_seen() {
    let mut scene = Scene::shrinking(3, Step::Shrink);
    scene.intent.as_mut().unwrap().verified = true;
    let patch = [Effect::SetReplicas { uid: "set".into(), from: 3, to: 2, pod: Some("pod-2".into()) }];
    assert_eq!(scene.after(0).effects, patch);
    assert_eq!(scene.after(9_000).effects, patch);
    scene.facts.target.replicas = 2;
    assert_eq!((at(&scene.after(0)), scene.after(0).effects), (Step::PodGone, vec![]));
}

/// A record of another version, or one that somebody wrote by hand.
#[test]
fn no_size_is_lowered_by_a_record_that_does_not_say_verified() {
    let mut scene = Scene::shrinking(3, Step::Shrink);
    assert!(!lowered(&scene));
    assert_eq!(at(&scene.after(0)), Step::Verify);
    scene.node(2).members = unknown();
    scene.dropped();
    assert!(lowered(&scene));
}

#[test]
fn no_claim_is_deleted_before_pod_and_views_are_seen_gone() {
    let mut scene = Scene::shrinking(3, Step::Volume);
    scene.facts.target.replicas = 2;
    scene.dropped();
    assert_eq!((at(&scene.after(0)), scene.after(0).effects), (Step::PodGone, vec![]), "the pod is there");
    scene.gone();
    let deletion = Effect::DeleteClaim { name: "data-2".into(), uid: "claim-2".into() };
    assert_eq!(scene.after(0).effects, [deletion]);
    scene.view(0, &[(0, true), (1, true), (2, false)]);
    assert_eq!(scene.after(0).effects, [], "it came back as a member");
    scene.node(0).members = unknown();
    assert_eq!(scene.after(0).effects, [], "pod 0 was not seen");
    scene.dropped();
    scene.facts.claims.remove(&Ordinal(2));
    assert_eq!(at(&scene.after(0)), Step::Quiet);
}

#[test]
fn the_volume_waits_for_every_survivor_after_the_pod_is_gone() {
    let mut scene = Scene::shrinking(3, Step::PodGone);
    scene.facts.target.replicas = 2;
    scene.gone();
    scene.view(1, &[(0, true), (1, true)]);
    assert_eq!((at(&scene.after(0)), scene.after(0).effects), (Step::PodGone, vec![]));
}

/// Without a volume, a pod that is made again is a fresh node, which may have joined already.
#[test]
fn a_fresh_pod_in_the_place_of_one_that_left_is_not_shrunk_away() {
    let mut scene = Scene::shrinking(3, Step::Shrink);
    scene.intent.as_mut().unwrap().verified = true;
    scene.pod(2).uid = "other".into();
    scene.facts.claims.remove(&Ordinal(2));
    let out = scene.after(0);
    assert!(!out.effects.iter().any(|effect| matches!(effect, Effect::SetReplicas { .. })));
    let intent = out.intent.unwrap();
    assert_eq!((intent.kind, intent.epoch), (lifecycle::Kind::Grow, 2));
}

/// Ours from three to two, another hand's to one, while the pod goes: who is not there cannot agree.
#[test]
fn survivors_are_those_whom_another_hand_has_left() {
    let mut scene = Scene::shrinking(3, Step::PodGone);
    scene.intent.as_mut().unwrap().verified = true;
    scene.dropped();
    scene.gone();
    scene.facts.target.replicas = 1;
    scene.facts.pods.remove(&Ordinal(1));
    scene.node(1).members = unknown();
    scene.view(0, &[(0, true), (1, false), (2, true)]);
    assert_eq!(at(&scene.after(1_000)), Step::PodGone, "it lists the leaver still");
    scene.view(0, &[(0, true), (1, false)]);
    assert_ne!(at(&scene.after(1_000)), Step::PodGone);
    // Told to, the broker forgets the dead one.
    scene.view(0, &[(0, true)]);
    assert_ne!(at(&scene.after(1_000)), Step::PodGone);
}

/// Another hand raises the size over the one that has left, and its new pod stands on the old claim.
#[rstest]
#[case(Step::Shrink, 4)]
#[case(Step::PodGone, 3)]
fn a_twin_is_fenced_before_all_survivors_agree(#[case] step: Step, #[case] replicas: u32) {
    let mut scene = Scene::shrinking(3, step);
    scene.intent.as_mut().unwrap().verified = true;
    scene.dropped();
    scene.facts.target.replicas = replicas;
    scene.pod(2).uid = "twin".into();
    scene.pod(2).serving = Some(true);
    scene.doors(Some(ListenerState::Running));
    scene.view(2, &[(2, true)]);
    scene.node(1).members = unknown();
    let out = scene.after(1_000);
    let fences = |effect: &Effect| matches!(effect, Effect::LabelServing { pod_uid, serving: false, .. } if pod_uid == "twin");
    assert!(out.effects.iter().any(fences), "{:?}", out.effects);
}
