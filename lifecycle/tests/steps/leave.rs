//! A leave that was asked for: every way in which its call can end, against what is seen.

use lifecycle::{Call, Effect, Limits, ListenerState, Ordinal, Step};
use rstest::rstest;

use crate::scene::{Scene, at, reasons, tells, unknown};

fn asks(scene: &Scene, millis: u64) -> bool {
    scene.after(millis).effects.iter().any(|effect| matches!(effect, Effect::Leave { .. }))
}

fn revokes(scene: &Scene, millis: u64) -> bool {
    scene.after(millis).effects.contains(&Effect::RevokeLeave)
}

#[test]
fn a_resumed_leave_that_has_not_begun_reads_again_and_then_asks_again() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    assert!(!asks(&scene, 0));
    scene.turn(0);
    assert!(!asks(&scene, 1_900), "closing and beginning can cross");
    assert!(asks(&scene, 2_000));
}

#[test]
fn a_waiting_leave_is_left_alone_while_all_is_well() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.facts.calls.leave = Call::InFlight;
    assert_eq!(scene.after(60_000).effects, []);
}

#[rstest]
#[case::member_down(|s: &mut Scene| s.view(1, &[(0, true), (1, true), (2, true), (9, false)]))]
#[case::wish(|s: &mut Scene| s.facts.wish = 3)]
#[case::rollout(|s: &mut Scene| s.facts.target.rollout = true)]
#[case::restarted(|s: &mut Scene| s.pod(2).restarts = 1)]
fn a_waiting_leave_is_revoked_and_undone_only_after_the_doors_were_read_again(
    #[case] disturb: fn(&mut Scene),
) {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.facts.calls.leave = Call::InFlight;
    disturb(&mut scene);
    assert!(revokes(&scene, 1_000));
    scene.turn(1_000);
    scene.facts.calls.leave = Call::Unknown("closed by us".into());
    assert_eq!(at(&scene.turn(1_200)), Step::Leave);
    assert_eq!(at(&scene.turn(3_200)), Step::Cancel);
}

#[test]
fn a_leave_that_began_while_it_was_revoked_is_watched() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.facts.calls.leave = Call::Unknown("closed by us".into());
    scene.facts.wish = 3;
    scene.turn(1_000);
    scene.doors(None);
    let out = scene.turn(3_200);
    assert_eq!((at(&out), &out.effects), (Step::Leave, &vec![]));
    assert_eq!(out.wait.unwrap().name, "QueuesMigrated");
}

#[rstest]
#[case::mixed_build(Call::Answered("Unknown error: noproc".into()))]
#[case::wrong_name(Call::Answered("Done".into()))]
#[case::no_key(Call::Refused("HTTP 401".into()))]
fn an_answer_while_the_node_goes_on_is_a_refusal(#[case] call: Call) {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.facts.calls.leave = call;
    assert_eq!(at(&scene.turn(0)), Step::Leave);
    let out = scene.turn(2_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Cancel, vec!["LeaveRefused"]));
}

#[test]
fn through_exec_nothing_is_decided_until_all_members_have_run_for_ten_seconds() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.intent.as_mut().unwrap().armed = true;
    scene.facts.calls.leave = Call::Answered("RPC to 'VerneMQ@vmq-0' failed: timeout".into());
    scene.view(1, &[(0, true), (1, true), (2, true), (9, false)]);
    assert_eq!(reasons(&scene.turn(61_000))[..1], ["LeaveArmed"]);
    assert_eq!(at(&scene.turn(75_000)), Step::Leave);
    scene.view(1, &[(0, true), (1, true), (2, true)]);
    assert_eq!(at(&scene.turn(76_000)), Step::Leave);
    assert_eq!(at(&scene.turn(85_900)), Step::Leave);
    assert_eq!(at(&scene.turn(86_000)), Step::Cancel);
}

/// The spec may say something else by now: what was asked through exec stays armed.
#[test]
fn how_it_was_asked_is_on_record() {
    let mut scene = Scene::shrinking(3, Step::Drain);
    scene.intent.as_mut().unwrap().sessions = 0;
    let revocable = std::mem::replace(&mut scene.limits, Limits::default().for_exec());
    assert_eq!(at(&scene.turn(0)), Step::Leave);
    scene.limits = revocable;
    scene.facts.calls.leave = Call::InFlight;
    scene.view(1, &[(0, true), (1, false), (2, true)]);
    let out = scene.turn(1_000);
    assert_eq!((reasons(&out)[0], out.effects), ("LeaveArmed", vec![]));
}

#[test]
fn queues_that_fall_keep_a_leave_from_being_called_stuck() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    for second in 0..300 {
        scene.counts(2).queues = 22_000 - i64::try_from(second).unwrap();
        let out = scene.turn(second * 1_000);
        assert_eq!((reasons(&out), at(&out)), (vec![], Step::Leave));
    }
    let told = (300..400).find(|second| reasons(&scene.turn(second * 1_000)) == ["LeaveStuck"]);
    assert!(told.is_some_and(|second| (359..=366).contains(&second)), "{told:?}");
}

#[test]
fn progress_is_recorded_every_few_seconds_only() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    let mut writes = 0;
    for tenth in 0..600 {
        scene.counts(2).queues = 22_000 - i64::try_from(tenth).unwrap();
        let before = scene.intent.clone();
        writes += u32::from(scene.turn(tenth * 100).intent != before);
    }
    assert!((10..=13).contains(&writes), "{writes} writes of the annotation in a minute");
}

#[test]
fn online_queues_left_behind_are_asked_for_again_or_undone_with_a_start() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    scene.said("error, still online queues, check the logs, and retry!");
    assert!(asks(&scene, 1_000));
    scene.facts.wish = 3;
    assert_eq!(at(&scene.turn(1_000)), Step::Cancel);
    let out = scene.turn(1_200);
    assert!(matches!(&out.effects[..], [Effect::Reopen { deleted: true, .. }]), "{:?}", out.effects);
}

#[test]
fn a_begun_leave_is_not_given_up_for_a_wish() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    scene.facts.wish = 3;
    scene.facts.calls.leave = Call::InFlight;
    assert_eq!((at(&scene.after(1_000)), scene.after(1_000).effects), (Step::Leave, vec![]));
}

#[test]
fn a_pod_that_goes_before_its_leave_is_through_turns_back() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.gone();
    scene.view(0, &[(0, true), (1, true), (2, false)]);
    scene.view(1, &[(0, true), (1, true), (2, false)]);
    assert_eq!((at(&scene.after(1_000)), scene.after(1_000).effects), (Step::Cancel, vec![]));
}

#[rstest]
fn another_pod_in_the_leavers_place_is_fenced_before_anything_is_known(
    #[values(Step::Leave, Step::Verify, Step::Shrink)] step: Step,
) {
    let mut scene = Scene::shrinking(3, step);
    scene.intent.as_mut().unwrap().verified = true;
    scene.node(1).members = crate::scene::unknown();
    scene.pod(2).uid = "other".into();
    scene.pod(2).serving = Some(true);
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "other".into(), serving: false };
    assert!(scene.after(1_000).effects.contains(&label));
}

#[test]
fn done_for_a_node_that_stays_a_member_is_undone() {
    let mut scene = Scene::shrinking(3, Step::Verify);
    assert_eq!(at(&scene.after(29_000)), Step::Verify);
    let out = scene.after(31_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Cancel, vec!["VerifyFailed"]));
    scene.doors(Some(ListenerState::Running));
    scene.view(0, &[(0, true), (1, true)]);
    assert_eq!(at(&scene.after(31_000)), Step::Verify, "the views differ: nothing is safe to do");
}

#[test]
fn after_a_foreign_raise_of_the_size_the_pod_that_left_is_made_anew() {
    let mut scene = Scene::shrinking(3, Step::Shrink);
    scene.intent.as_mut().unwrap().verified = true;
    scene.facts.target.replicas = 4;
    assert_eq!(scene.after(0).effects, [], "not all survivors were seen without it");
    scene.dropped();
    let pod = Effect::DeletePod { ordinal: Ordinal(2), uid: "pod-2".into() };
    let claim = Effect::DeleteClaim { name: "data-2".into(), uid: "claim-2".into() };
    assert_eq!(scene.after(0).effects, [claim, pod]);
    scene.pod(2).uid = "pod-9".into();
    scene.pod(2).serving = Some(true);
    assert!(scene.after(0).effects.len() == 3, "another pod on the old claim must not be served either");
    scene.facts.claims.remove(&Ordinal(2));
    let out = scene.after(0);
    assert!(out.finished.unwrap().leave_verified);
    assert_eq!((out.intent.as_ref().unwrap().epoch, out.intent.unwrap().step), (2, Step::FenceNewcomer));
}

/// A SIGTERM ends a leave that is stuck: the leaver is silent from then on, and the survivors drop it 1.4 s later
/// (`pods_stuck_leave.txt`). What was late before is another thing.
#[test]
fn an_outcome_is_late_only_when_it_has_been_unknown_for_so_long() {
    let mut scene = Scene::shrinking(3, Step::Leave);
    scene.doors(None);
    scene.turn(0);
    assert!(tells(&scene.turn(600_000), "LeaveStuck", "SIGTERM"));
    let said = |scene: &Scene, millis| reasons(&scene.after(millis)).contains(&"LeaveOutcomeUnknown");
    scene.node(2).listeners = unknown();
    let out = scene.turn(600_300);
    assert_eq!(out.wait.map(|wait| wait.name), Some("LeaveOutcome"));
    assert!(!said(&scene, 660_300) && said(&scene, 660_301));
    scene.doors(None);
    scene.turn(640_000);
    scene.node(2).listeners = unknown();
    scene.turn(641_000);
    assert!(!said(&scene, 701_000) && said(&scene, 701_001), "it was known in between");
}
