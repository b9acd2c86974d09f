//! The highest ordinal breaks for good: people are told the price, and nothing
//! is removed.

use std::time::Duration;

use lifecycle::Limits;
use rstest::rstest;
use serde_json::json;
use simulator::model::{Process, Signal};
use vernescale::api::Via;

use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};
use crate::steering::{asked_to_leave, claim, sizes_written, steered};
use crate::told::not_ready;

/// The process of this ordinal ends whenever it begins, as one whose data is spoilt.
pub(crate) fn break_for_good(cluster: &Cluster, ordinal: u32) -> tokio::task::JoinHandle<()> {
    let (fleet, node) = (cluster.fleet.clone(), cluster.node(ordinal).expect("the pod has run"));
    tokio::spawn(async move {
        loop {
            if matches!(fleet.process(&node), Process::Booting | Process::Running) {
                fleet.signal(&node, Signal::Kill);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

// Without load and without the invariants: a broker that is killed refuses and loses by itself.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_broken_top_ordinal_is_told_and_left_alone(#[case] via: Via) {
    let soon = |limits: &mut Limits| limits.held = minutes(2);
    let mut cluster = steered(via, 3).spec(&json!({ "deadAfter": "1m" })).limits(soon).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    let data = claim(&cluster, 2).expect("it has a volume");

    let broken = break_for_good(&cluster, 2);
    cluster.until("it is seen", seconds(10), |cluster| cluster.condition("MemberDown").is_some()).await;
    assert!(cluster.condition("MemberDead").is_none(), "its pod may bring it back");
    let took =
        cluster.until("it is dead", minutes(3), |cluster| cluster.condition("MemberDead").is_some()).await;
    assert!(took >= seconds(45), "dead after {took:?}");
    let told = cluster.condition("MemberDead").expect("it stands").message;
    let node = cluster.node(2).expect("the pod has run");
    assert!(told.contains("price") && told.contains("message") && told.contains(&node.0), "{told}");
    assert_eq!(not_ready(&cluster).as_deref(), Some("MemberDead"), "something Critical stands");

    // Even where it is not wanted.
    cluster.wish(2);
    cluster.pass(minutes(1)).await;
    assert_eq!(sizes_written(&cluster), Vec::<u64>::new(), "{}", cluster.dump());
    assert!(!asked_to_leave(&cluster), "{}", cluster.dump());
    assert_eq!((cluster.pod_count(), claim(&cluster, 2)), (3, Some(data)));
    assert!(cluster.condition("MemberDead").is_some(), "{}", cluster.dump());
    let waits = |cluster: &Cluster| cluster.condition("ShrinkWaits").map(|told| told.reason);
    assert_eq!(waits(&cluster).as_deref(), Some("Info"), "{}", cluster.dump());
    let warned = |cluster: &Cluster| waits(cluster).as_deref() == Some("Warning");
    let took = cluster.until("people are warned", minutes(1), warned).await;
    assert!(took >= seconds(50), "warned after {took:?}");
    let events = cluster.kubernetes.objects("events", NAMESPACE);
    let told: Vec<_> = events.iter().filter(|event| event["reason"] == "ShrinkWaits").collect();
    let kinds: Vec<_> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["Normal", "Warning"], "{told:?}");

    // It is healed: the shrink goes on, and without a restart of ours.
    broken.abort();
    cluster.until("two nodes", minutes(10), |cluster| cluster.settled(2)).await;
    assert!(cluster.condition("MemberDead").is_none() && waits(&cluster).is_none());
    assert_eq!(not_ready(&cluster), None, "{}", cluster.dump());
    let ended =
        cluster.status().conditions.into_iter().find(|one| one.type_ == "MemberDead").expect("it is kept");
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("False", "Ended"));
    assert!(ended.message.starts_with("no dead member is listed, since 20"), "{}", ended.message);
    assert_eq!(cluster.dead_members(), Vec::<String>::new());
}
