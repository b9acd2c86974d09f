//! A leave that was asked for: every way in which its call can end, against what is seen.

use lifecycle::{Call, Effect, Limits, ListenerState, Ordinal, Step};
use rstest::rstest;

use crate::fixture::{Fixture, at, reasons, tells, unknown};

fn asks(fixture: &Fixture, millis: u64) -> bool {
    fixture.after(millis).effects.iter().any(|effect| matches!(effect, Effect::Leave { .. }))
}

fn revokes(fixture: &Fixture, millis: u64) -> bool {
    fixture.after(millis).effects.contains(&Effect::RevokeLeave)
}

#[test]
fn a_resumed_leave_that_has_not_begun_reads_again_and_then_asks_again() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    assert!(!asks(&fixture, 0));
    fixture.turn(0);
    assert!(!asks(&fixture, 1_900), "closing and beginning can cross");
    assert!(asks(&fixture, 2_000));
}

#[test]
fn a_waiting_leave_is_left_alone_while_all_is_well() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.facts.calls.leave = Call::InFlight;
    assert_eq!(fixture.after(60_000).effects, []);
}

#[rstest]
#[case::member_down(|s: &mut Fixture| s.view(1, &[(0, true), (1, true), (2, true), (9, false)]))]
#[case::wish(|s: &mut Fixture| s.facts.wish = 3)]
#[case::rollout(|s: &mut Fixture| s.facts.target.rollout = true)]
#[case::restarted(|s: &mut Fixture| s.pod(2).restarts = 1)]
fn a_waiting_leave_is_revoked_and_undone_only_after_the_doors_were_read_again(
    #[case] disturb: fn(&mut Fixture),
) {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.facts.calls.leave = Call::InFlight;
    disturb(&mut fixture);
    assert!(revokes(&fixture, 1_000));
    fixture.turn(1_000);
    fixture.facts.calls.leave = Call::Unknown("closed by us".into());
    assert_eq!(at(&fixture.turn(1_200)), Step::Leave);
    assert_eq!(at(&fixture.turn(3_200)), Step::Cancel);
}

#[test]
fn a_leave_that_began_while_it_was_revoked_is_watched() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.facts.calls.leave = Call::Unknown("closed by us".into());
    fixture.facts.wish = 3;
    fixture.turn(1_000);
    fixture.listeners(None);
    let out = fixture.turn(3_200);
    assert_eq!((at(&out), &out.effects), (Step::Leave, &vec![]));
    assert_eq!(out.wait.unwrap().name, "QueuesMigrated");
}

#[rstest]
#[case::mixed_build(Call::Answered("Unknown error: noproc".into()))]
#[case::wrong_name(Call::Answered("Done".into()))]
#[case::no_key(Call::Refused("HTTP 401".into()))]
fn an_answer_while_the_node_goes_on_is_a_refusal(#[case] call: Call) {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.facts.calls.leave = call;
    assert_eq!(at(&fixture.turn(0)), Step::Leave);
    let out = fixture.turn(2_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Cancel, vec!["LeaveRefused"]));
}

#[test]
fn through_exec_nothing_is_decided_until_all_members_have_run_for_ten_seconds() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.intent.as_mut().unwrap().armed = true;
    fixture.facts.calls.leave = Call::Answered("RPC to 'VerneMQ@vmq-0' failed: timeout".into());
    fixture.view(1, &[(0, true), (1, true), (2, true), (9, false)]);
    assert_eq!(reasons(&fixture.turn(61_000))[..1], ["LeaveArmed"]);
    assert_eq!(at(&fixture.turn(75_000)), Step::Leave);
    fixture.view(1, &[(0, true), (1, true), (2, true)]);
    assert_eq!(at(&fixture.turn(76_000)), Step::Leave);
    assert_eq!(at(&fixture.turn(85_900)), Step::Leave);
    assert_eq!(at(&fixture.turn(86_000)), Step::Cancel);
}

/// The spec may say something else by now: what was asked through exec stays armed.
#[test]
fn how_it_was_asked_is_on_record() {
    let mut fixture = Fixture::shrinking(3, Step::Drain);
    fixture.intent.as_mut().unwrap().sessions = 0;
    let revocable = std::mem::replace(&mut fixture.limits, Limits::default().for_exec());
    assert_eq!(at(&fixture.turn(0)), Step::Leave);
    fixture.limits = revocable;
    fixture.facts.calls.leave = Call::InFlight;
    fixture.view(1, &[(0, true), (1, false), (2, true)]);
    let out = fixture.turn(1_000);
    assert_eq!((reasons(&out)[0], out.effects), ("LeaveArmed", vec![]));
}

#[test]
fn queues_that_fall_keep_a_leave_from_being_called_stuck() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    for second in 0..300 {
        fixture.counts(2).queues = 22_000 - i64::try_from(second).unwrap();
        let out = fixture.turn(second * 1_000);
        assert_eq!((reasons(&out), at(&out)), (vec![], Step::Leave));
    }
    let told = (300..400).find(|second| reasons(&fixture.turn(second * 1_000)) == ["LeaveStuck"]);
    assert!(told.is_some_and(|second| (359..=366).contains(&second)), "{told:?}");
}

#[test]
fn progress_is_recorded_every_few_seconds_only() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    let mut writes = 0;
    for tenth in 0..600 {
        fixture.counts(2).queues = 22_000 - i64::try_from(tenth).unwrap();
        let before = fixture.intent.clone();
        writes += u32::from(fixture.turn(tenth * 100).intent != before);
    }
    assert!((10..=13).contains(&writes), "{writes} writes of the annotation in a minute");
}

#[test]
fn online_queues_left_behind_are_asked_for_again_or_undone_with_a_start() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    fixture.said("error, still online queues, check the logs, and retry!");
    assert!(asks(&fixture, 1_000));
    fixture.facts.wish = 3;
    assert_eq!(at(&fixture.turn(1_000)), Step::Cancel);
    let out = fixture.turn(1_200);
    assert!(matches!(&out.effects[..], [Effect::Reopen { deleted: true, .. }]), "{:?}", out.effects);
}

#[test]
fn a_begun_leave_is_not_given_up_for_a_wish() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    fixture.facts.wish = 3;
    fixture.facts.calls.leave = Call::InFlight;
    assert_eq!((at(&fixture.after(1_000)), fixture.after(1_000).effects), (Step::Leave, vec![]));
}

#[test]
fn a_pod_that_goes_before_its_leave_is_through_turns_back() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.gone();
    fixture.view(0, &[(0, true), (1, true), (2, false)]);
    fixture.view(1, &[(0, true), (1, true), (2, false)]);
    assert_eq!((at(&fixture.after(1_000)), fixture.after(1_000).effects), (Step::Cancel, vec![]));
}

#[rstest]
fn another_pod_in_the_leavers_place_is_fenced_before_anything_is_known(
    #[values(Step::Leave, Step::Verify, Step::Shrink)] step: Step,
) {
    let mut fixture = Fixture::shrinking(3, step);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.node(1).members = crate::fixture::unknown();
    fixture.pod(2).uid = "other".into();
    fixture.pod(2).serving = Some(true);
    let label = Effect::LabelServing { ordinal: Ordinal(2), pod_uid: "other".into(), serving: false };
    assert!(fixture.after(1_000).effects.contains(&label));
}

#[test]
fn done_for_a_node_that_stays_a_member_is_undone() {
    let mut fixture = Fixture::shrinking(3, Step::Verify);
    assert_eq!(at(&fixture.after(29_000)), Step::Verify);
    let out = fixture.after(31_000);
    assert_eq!((at(&out), reasons(&out)), (Step::Cancel, vec!["VerifyFailed"]));
    fixture.listeners(Some(ListenerState::Running));
    fixture.view(0, &[(0, true), (1, true)]);
    assert_eq!(at(&fixture.after(31_000)), Step::Verify, "the views differ: nothing is safe to do");
}

#[test]
fn after_a_foreign_raise_of_the_size_the_pod_that_left_is_made_anew() {
    let mut fixture = Fixture::shrinking(3, Step::Shrink);
    fixture.intent.as_mut().unwrap().verified = true;
    fixture.facts.target.replicas = 4;
    assert_eq!(fixture.after(0).effects, [], "not all survivors were seen without it");
    fixture.dropped();
    let pod = Effect::DeletePod { ordinal: Ordinal(2), uid: "pod-2".into() };
    let claim = Effect::DeleteClaim { name: "data-2".into(), uid: "claim-2".into() };
    assert_eq!(fixture.after(0).effects, [claim, pod]);
    fixture.pod(2).uid = "pod-9".into();
    fixture.pod(2).serving = Some(true);
    assert!(fixture.after(0).effects.len() == 3, "another pod on the old claim must not be served either");
    fixture.facts.claims.remove(&Ordinal(2));
    let out = fixture.after(0);
    assert!(out.finished.unwrap().leave_verified);
    assert_eq!((out.intent.as_ref().unwrap().epoch, out.intent.unwrap().step), (2, Step::FenceNewcomer));
}

/// A SIGTERM ends a leave that is stuck: the leaver is silent from then on, and the survivors drop it 1.4 s later
/// (`pods_stuck_leave.txt`). What was late before is another thing.
#[test]
fn an_outcome_is_late_only_when_it_has_been_unknown_for_so_long() {
    let mut fixture = Fixture::shrinking(3, Step::Leave);
    fixture.listeners(None);
    fixture.turn(0);
    assert!(tells(&fixture.turn(600_000), "LeaveStuck", "SIGTERM"));
    let said = |fixture: &Fixture, millis| reasons(&fixture.after(millis)).contains(&"LeaveOutcomeUnknown");
    fixture.node(2).listeners = unknown();
    let out = fixture.turn(600_300);
    assert_eq!(out.wait.map(|wait| wait.name), Some("LeaveOutcome"));
    assert!(!said(&fixture, 660_300) && said(&fixture, 660_301));
    fixture.listeners(None);
    fixture.turn(640_000);
    fixture.node(2).listeners = unknown();
    fixture.turn(641_000);
    assert!(!said(&fixture, 701_000) && said(&fixture, 701_001), "it was known in between");
}
