//! Right after a rollout without volumes queues lie on members that no client's record names, and a leave that begins
//! then sticks: it is waited for until they are gone.

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::Storage;
use simulator::model::Spread;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::gives_way::{restart_all, rolled_out};
use crate::one_leave::{begin, outcome, park, queues, three};
use lifecycle::Outcome;

/// Persistent clients that are away all the time.
const AWAY: usize = 12;

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn after_a_rollout_a_leave_waits_until_they_are_gone(#[case] via: Via) {
    let fresh = three(via).spec(&json!({ "replicas": 3 })).install(|install| {
        install.storage = Storage::EmptyDir;
        // Each has joined again before clients are sent to it.
        install.probe_delay = seconds(15);
    });
    let left_over = |broker: &mut simulator::model::Settings| {
        broker.timing.left_over = Spread::new(20_000, 60_000);
    };
    let mut cluster = fresh.broker(left_over).start().await;
    park(&mut cluster, 0, AWAY).await;
    begin(&mut cluster).await;
    cluster.pass(seconds(10)).await;
    restart_all(&cluster);
    cluster.until("every pod is made again", minutes(10), rolled_out).await;
    cluster.until("some are left over", seconds(30), |cluster| queues(cluster, 2) >= 12).await;
    cluster.wish(2);
    let unsettled = |cluster: &Cluster| cluster.condition("QueuesUnsettled").is_some();
    cluster.until("it is told", seconds(30), unsettled).await;
    let told = cluster.condition("QueuesUnsettled").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("has been ready for 600 s at the latest"), "{told}");
    let took = cluster
        .until("two nodes are left", minutes(6), |cluster| {
            assert!(cluster.condition("LeaveStuck").is_none(), "it began too soon\n{}", cluster.dump());
            let active = cluster.intent().is_some_and(|intent| intent.active());
            assert!(!active || !unsettled(cluster), "begun against it\n{}", cluster.dump());
            cluster.settled(2)
        })
        .await;
    assert!(took >= seconds(30), "they were not gone for the settle time: {took:?}");
    assert_eq!(outcome(&cluster), Some(Outcome::Completed), "{}", cluster.dump());
    // The other invariants do not apply: a rollout stops brokers under their clients.
    assert_eq!(cluster.dead_members(), Vec::<String>::new());
}
