//! The controller dies at every single point of a change, and what comes after it finds its way.

use crate::drive::Drive;

/// Runs a change without a crash, to know how many points there are, then dies at each.
pub(crate) fn die_everywhere(start: &Drive, least: usize) {
    let mut whole = start.clone();
    whole.settle(600);
    assert!(whole.points > least, "the change has few steps: {}", whole.points);
    for point in 0..whole.points {
        let mut drive = start.clone();
        drive.die_at = Some(point);
        drive.settle(900);
        assert!(drive.points > point, "the crash at {point} was not reached");
    }
}

#[rstest::rstest]
fn a_shrink_survives_a_crash_at_every_point(#[values(true, false)] exec: bool) {
    die_everywhere(&Drive::new(3, 2, true, exec), 20);
}

#[rstest::rstest]
fn a_shrink_to_one_node_survives_a_crash_at_every_point(#[values(true, false)] exec: bool) {
    die_everywhere(&Drive::new(2, 1, true, exec), 20);
}

#[rstest::rstest]
fn a_growth_survives_a_crash_at_every_point(#[values(true, false)] exec: bool) {
    die_everywhere(&Drive::new(1, 2, true, exec), 20);
}

#[rstest::rstest]
fn a_cancel_survives_a_crash_at_every_point(#[values(true, false)] exec: bool) {
    let mut drive = Drive::new(3, 2, true, exec);
    while drive.cluster.pods[&2].online > 15 {
        drive.round();
    }
    drive.wish = 3;
    die_everywhere(&drive, 20);
}
