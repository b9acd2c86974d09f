//! In the middle of a shrink the brokers' HTTP listener answers anything for a while: a proxy that is
//! being set up, a key that is being changed, a node that hangs.

use std::sync::Arc;

use rstest::rstest;
use tokio::time::sleep;
use vernescale::api::Via;

use crate::bad_answers::{Answer, ELSEWHERE, Now, answer_everywhere, ports};
use crate::cluster::{Cluster, minutes, seconds};
use crate::one_leave::{begin, ends_well, three};
use crate::steering::until_step;

/// One after the other, three seconds each: less than the thirty that a suspend may take.
const ANSWERS: [Answer; 8] = [
    Answer::Unauthorized,
    Answer::NotUnderstood,
    Answer::Crashed,
    Answer::Html,
    Answer::NotServed,
    Answer::Empty,
    Answer::Text,
    Answer::Silence,
];

/// From right after the next record of this step. Ends with the test.
fn after_record(cluster: &Cluster, step: &str, now: &Now) {
    let now = Arc::clone(now);
    cluster.hooks.after(&format!("record {step}"), move || async move {
        // The next call meets the first of them.
        *now.lock().expect("not poisoned") = Some(ANSWERS[0]);
        tokio::spawn(async move {
            for answer in ANSWERS {
                *now.lock().expect("not poisoned") = Some(answer);
                sleep(seconds(3)).await;
            }
            *now.lock().expect("not poisoned") = None;
        });
    });
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_shrink_waits_for_answers(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("Suspend", "Drain", "Leave", "Cancel")] step: &str,
) {
    let mut cluster = three(via).spec(&ports(via, ELSEWHERE)).start().await;
    let now = Now::default();
    let _front = answer_everywhere(&cluster, &now).await;
    after_record(&cluster, step, &now);
    begin(&mut cluster).await;
    if step == "Cancel" {
        until_step(&mut cluster, "Drain").await;
        cluster.wish(3);
    }
    let trouble = |cluster: &Cluster| cluster.hooks.times(&format!("record {step}")) > 0;
    cluster.until("it begins", minutes(6), trouble).await;
    let none = |_: &Cluster| now.lock().expect("not poisoned").is_none();
    cluster.until("it is over", minutes(1), none).await;
    if step == "Cancel" {
        cluster.until("the shrink is undone", minutes(1), |cluster| cluster.settled(3)).await;
        cluster.wish(2);
    }
    if step == "Suspend" || step == "Drain" {
        assert_eq!(cluster.replicas(), 3, "nobody has heard that it has left\n{}", cluster.dump());
        assert_eq!(
            cluster.hooks.times("record Cancel"),
            0,
            "not heard is no reason to undo it\n{}",
            cluster.dump()
        );
    }
    ends_well(&mut cluster).await;
}
