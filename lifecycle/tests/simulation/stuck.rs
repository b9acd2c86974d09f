//! A growth that cannot finish, and a wish that moves meanwhile: it keeps nothing else from coming.

use lifecycle::{Effect, Kind, Step};
use rstest::rstest;

use crate::cluster::Trouble;
use crate::drive::Drive;
use crate::replaced::ends;
use crate::resume::die_everywhere;

const ALL: [(Trouble, &str); 5] = [
    (Trouble::Unmade, "NewcomerNotFenced"),
    (Trouble::Unready, "JoinFailed"),
    (Trouble::Alone, "JoinFailed"),
    (Trouble::Behind, "JoinFailed"),
    (Trouble::Unheard, "RoutingProbeLost"),
];

/// Two nodes, a third that does not come to its end, and that has been told.
fn stuck((trouble, reason): (Trouble, &str), volumes: bool, exec: bool) -> Drive {
    let mut drive = Drive::new(2, 3, volumes, exec);
    drive.cluster.trouble = Some(trouble);
    rounds(&mut drive, 400, |drive| drive.told.contains(&reason));
    let growing = drive.intent.as_ref().is_some_and(|intent| intent.active() && intent.kind == Kind::Grow);
    assert!(growing && drive.cluster.replicas == 3, "{trouble:?}: {:?}", drive.intent);
    drive
}

fn rounds(drive: &mut Drive, seconds: u64, done: impl Fn(&Drive) -> bool) {
    let end = drive.cluster.now + seconds * 1_000;
    while !done(drive) {
        assert!(drive.cluster.now < end, "did not happen: {:?}, {:?}", drive.intent, drive.last);
        drive.round();
    }
}

#[rstest]
fn a_smaller_size_that_is_wanted_comes(
    #[values(0, 1, 2, 3, 4)] trouble: usize,
    #[values(true, false)] volumes: bool,
    #[values(true, false)] exec: bool,
    #[values(1, 2)] wish: u32,
) {
    let mut drive = stuck(ALL[trouble], volumes, exec);
    drive.wish = wish;
    let mut asked = false;
    rounds(&mut drive, 120, |drive| drive.cluster.replicas == 2);
    let was_member = !matches!(ALL[trouble].0, Trouble::Unmade | Trouble::Alone);
    asked |= drive.intent.as_ref().is_some_and(|intent| intent.asked && intent.verified);
    assert_eq!(asked, was_member, "a member leaves; one that is none has nothing to leave");
    drive.settle(300);
    for worse in ["VerifyFailed", "MemberDead", "ForeignFall"] {
        assert!(!drive.told.contains(&worse), "{:?}", drive.told);
    }
}

#[rstest]
fn it_survives_a_crash_at_every_point(
    #[values(0, 1, 2, 3, 4)] trouble: usize,
    #[values(true, false)] volumes: bool,
) {
    let mut drive = stuck(ALL[trouble], volumes, false);
    drive.wish = 2;
    drive.points = 0;
    die_everywhere(&drive, 8);
}

/// It is wanted again at each point of its way out, and whatever was wrong with it is mended.
#[rstest]
fn one_that_is_wanted_again_is_a_newcomer_again(
    #[values(0, 1, 2, 3, 4)] trouble: usize,
    #[values((true, false), (false, true))] (volumes, exec): (bool, bool),
) {
    let mut out = stuck(ALL[trouble], volumes, exec);
    out.wish = 2;
    for _ in 0..30 {
        let mut drive = out.clone();
        out.round();
        serves_no_newcomer(&out);
        drive.wish = 3;
        drive.round();
        serves_no_newcomer(&drive);
        // Undone or not, it is not served before it is proven.
        drive.cluster.trouble = None;
        // One that joins in the last second of its pod is a dead member, and told.
        ends(&mut drive, "wanted again");
    }
}

fn serves_no_newcomer(drive: &Drive) {
    let lets_in = |effect: &Effect| matches!(effect, Effect::LabelServing { ordinal, serving: true, .. } if ordinal.0 == 2);
    let served = drive.last.effects.iter().any(lets_in);
    assert!(!served || drive.cluster.trouble.is_none(), "an undo lets in what was never in step");
}

#[rstest]
fn a_further_raise_says_what_it_waits_for_and_comes_once_that_is_mended(
    #[values(0, 1, 2, 3, 4)] trouble: usize,
) {
    let mut drive = stuck(ALL[trouble], true, false);
    drive.wish = 4;
    rounds(&mut drive, 10, |drive| drive.told.contains(&"GrowWaits"));
    assert!(drive.last.conditions.iter().any(|told| told.reason == ALL[trouble].1), "{:?}", drive.last);
    drive.cluster.trouble = None;
    drive.settle(600);
}

/// One that joins in the reconcile in which it was given up is a member after all, and leaves like one.
#[test]
fn one_that_joins_while_it_is_given_up_leaves_like_a_member() {
    let mut drive = stuck(ALL[2], true, false);
    drive.wish = 2;
    drive.cluster.kube_refuses_until = drive.cluster.now + 5_000;
    rounds(&mut drive, 10, |drive| drive.intent.as_ref().is_some_and(|intent| intent.step == Step::Shrink));
    drive.cluster.trouble = None;
    drive.cluster.join();
    assert!(drive.cluster.members.contains_key(&2), "it has joined");
    drive.settle(900);
    assert!(!drive.told.contains(&"VerifyFailed"), "{:?}", drive.told);
}
