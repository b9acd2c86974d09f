//! The ways in which leaves are known to go wrong, one by one.

use lifecycle::{Effect, Step};
use rstest::rstest;

use crate::cluster::{PodListener, Process};
use crate::drive::Drive;

/// A shrink from three to two that has just asked for the leave.
fn leave_asked(exec: bool) -> Drive {
    let mut drive = Drive::new(3, 2, true, exec);
    while !drive.last.effects.iter().any(|effect| matches!(effect, Effect::Leave { .. })) {
        drive.cluster.tick();
        drive.turn();
    }
    drive
}

/// Rounds until `done`, within five minutes.
fn until(drive: &mut Drive, done: impl Fn(&Drive) -> bool) {
    let end = drive.cluster.now + 300_000;
    while !done(drive) {
        assert!(drive.cluster.now < end, "did not happen: {:?}, {:?}", drive.intent, drive.last);
        drive.round();
    }
}

fn step_is(step: Step) -> impl Fn(&Drive) -> bool {
    move |drive| drive.intent.as_ref().is_some_and(|intent| intent.step == step)
}

#[test]
fn a_member_that_goes_down_after_the_gate_has_the_leave_revoked() {
    let mut drive = leave_asked(false);
    drive.cluster.pods.get_mut(&1).unwrap().process = Process::Down { back: drive.cluster.now + 30_000 };
    until(&mut drive, |drive| drive.told.contains(&"MemberDown"));
    until(&mut drive, |drive| drive.cluster.leave.is_none());
    until(&mut drive, step_is(Step::Done));
    assert!(drive.cluster.members.contains_key(&2), "it left after all");
    assert_eq!(drive.cluster.pods[&2].listener, PodListener::Running);
    drive.settle(300);
}

#[test]
fn an_armed_leave_through_exec_is_told_and_followed() {
    let mut drive = leave_asked(true);
    drive.cluster.pods.get_mut(&1).unwrap().process = Process::Down { back: drive.cluster.now + 90_000 };
    until(&mut drive, |drive| drive.told.contains(&"LeaveArmed"));
    until(&mut drive, |drive| drive.cluster.replicas == 2);
    drive.settle(300);
}

#[rstest]
fn a_lost_reply_is_made_up_for_by_looking(#[values(true, false)] exec: bool) {
    let mut drive = leave_asked(exec);
    drive.cluster.lose_reply = true;
    drive.settle(120);
    assert_eq!(leaves(&drive), 0);
}

/// How many failures of a leave were told.
fn leaves(drive: &Drive) -> usize {
    drive.told.iter().filter(|reason| reason.starts_with("Leave")).count()
}

#[rstest]
fn a_leave_that_takes_three_minutes_is_cut_at_60_s_and_waited_for(#[values(true, false)] exec: bool) {
    let mut drive = leave_asked(exec);
    drive.cluster.pods.get_mut(&2).unwrap().queues = 3_600;
    let asked = drive.cluster.now;
    drive.settle(300);
    assert!(drive.cluster.now > asked + 170_000, "it was not long");
    assert_eq!(leaves(&drive), 0, "{:?}", drive.told);
}

#[test]
fn a_stuck_leave_shrinks_nothing_and_a_restart_of_the_leaver_ends_it() {
    let mut drive = leave_asked(false);
    drive.cluster.stuck_until = u64::MAX;
    until(&mut drive, |drive| drive.told.contains(&"LeaveStuck"));
    assert_eq!(drive.cluster.replicas, 3);
    drive.cluster.stuck_until = 0;
    drive.cluster.pods.get_mut(&2).unwrap().process = Process::Down { back: drive.cluster.now + 2_000 };
    until(&mut drive, step_is(Step::Done));
    assert_eq!(drive.cluster.members.len(), 3);
    drive.settle(300);
}

#[rstest]
fn a_container_restarted_between_leave_and_shrink_is_not_served_nor_asked_again(
    #[values(true, false)] crash: bool,
) {
    let mut drive = leave_asked(false);
    drive.cluster.kube_refuses_until = drive.cluster.now + 20_000;
    until(&mut drive, |drive| drive.cluster.pods[&2].restarts == 1);
    if crash {
        drive.cluster.crash();
    }
    until(&mut drive, |drive| drive.told.contains(&"ShrinkRefused"));
    assert!(!drive.cluster.pods[&2].routed);
    drive.settle(120);
}

#[test]
fn the_patch_follows_the_leave_within_the_time_that_the_container_leaves() {
    let mut drive = leave_asked(false);
    until(&mut drive, |drive| !drive.cluster.members.contains_key(&2));
    until(&mut drive, |drive| drive.cluster.replicas == 2);
    let left = drive.cluster.removed[&2];
    assert!(drive.cluster.now - left <= 1_700, "{} ms", drive.cluster.now - left);
}

#[test]
fn an_unhealthy_lower_ordinal_does_not_keep_the_pod_of_a_node_that_has_left() {
    let mut drive = leave_asked(false);
    until(&mut drive, |drive| drive.cluster.replicas == 2);
    drive.cluster.pods.get_mut(&0).unwrap().unready_until = drive.cluster.now + 60_000;
    let unready = drive.cluster.pods[&0].unready_until;
    until(&mut drive, |drive| !drive.cluster.pods.contains_key(&2));
    assert!(drive.cluster.now < unready, "only when pod 0 was ready again");
    drive.settle(120);
}

#[test]
fn a_rollout_during_the_drain_cancels() {
    let mut drive = Drive::new(3, 2, true, false);
    until(&mut drive, step_is(Step::Drain));
    drive.cluster.rollout_until = drive.cluster.now + 30_000;
    until(&mut drive, step_is(Step::Done));
    assert!(drive.told.contains(&"RolloutUnderWay"));
    assert_eq!(
        (drive.cluster.pods[&2].listener, drive.cluster.pods[&2].serving),
        (PodListener::Running, Some(true))
    );
    drive.settle(300);
}

#[test]
fn a_wish_raised_during_the_shrink_waits_and_grows_with_a_fresh_claim() {
    let mut drive = leave_asked(false);
    until(&mut drive, step_is(Step::PodGone));
    let (pod, claim) = (drive.cluster.pods[&2].uid.clone(), drive.cluster.claims[&2].uid.clone());
    drive.wish = 3;
    drive.settle(300);
    assert_ne!(drive.cluster.pods[&2].uid, pod);
    assert_ne!(drive.cluster.claims[&2].uid, claim, "old data was used again");
}

#[rstest]
fn a_foreign_raise_at_any_time_of_a_shrink_ends_well(
    #[values(true, false)] volumes: bool,
    #[values(1, 2)] more: u32,
) {
    for second in 0..40 {
        let mut drive = Drive::new(3, 2, volumes, false);
        let at = drive.cluster.now + second * 500;
        until(&mut drive, |drive| drive.cluster.now >= at);
        drive.cluster.replicas = 3 + more;
        drive.settle(900);
    }
}

#[test]
fn a_foreign_fall_is_told_and_nothing_is_done_about_it() {
    let mut drive = Drive::new(3, 3, true, false);
    drive.round();
    drive.cluster.replicas = 2;
    drive.wish = 2;
    until(&mut drive, |drive| drive.told.contains(&"ForeignFall"));
    until(&mut drive, |drive| drive.told.contains(&"MemberDead"));
    assert!(drive.cluster.members.contains_key(&2));
    drive.wish = 1;
    for _ in 0..100 {
        drive.round();
        assert_eq!(drive.last.effects, [], "I3: a member is dead");
    }
}

#[test]
fn replicas_that_fall_by_another_hand_during_a_drain_end_the_shrink() {
    let mut drive = Drive::new(3, 2, true, false);
    until(&mut drive, step_is(Step::Drain));
    drive.cluster.replicas = 1;
    until(&mut drive, step_is(Step::Done));
    assert!(drive.told.contains(&"ForeignScale"));
    assert_eq!(drive.cluster.replicas, 1);
}
