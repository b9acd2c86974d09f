//! The lifecycle against a toy cluster with faults: invariants after every step (I1–I7, I10, I11),
//! and the wished size once the faults stop (I5).

#![expect(clippy::unwrap_used, reason = "where the toy is broken, the test must stop")]

mod brokers;
mod cluster;
mod drive;
mod faults;
mod kube;
mod observe;
mod replaced;
mod resume;
mod scenarios;
mod stuck;

use crate::drive::Drive;

#[rstest::rstest]
fn goes_up_and_down_and_up_again(#[values(true, false)] volumes: bool, #[values(true, false)] exec: bool) {
    let mut drive = Drive::new(1, 4, volumes, exec);
    drive.settle(600);
    drive.wish = 1;
    drive.settle(600);
    drive.wish = 3;
    drive.settle(600);
}
