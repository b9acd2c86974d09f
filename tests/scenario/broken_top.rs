//! The highest ordinal breaks for good: people are told the price, and nothing
//! is removed.

use std::time::Duration;

use lifecycle::Limits;
use rstest::rstest;
use serde_json::json;
use simulator::model::{Process, Signal};
use vernescale::api::Via;

use crate::steering::{asked_to_leave, claim, sizes_written, steered};
use crate::told::not_ready;
use crate::world::{NAMESPACE, World, minutes, seconds};

/// The process of this ordinal ends whenever it begins, as one whose data is spoilt.
pub(crate) fn break_for_good(world: &World, ordinal: u32) -> tokio::task::JoinHandle<()> {
    let (fleet, node) = (world.fleet.clone(), world.node(ordinal).expect("the pod has run"));
    tokio::spawn(async move {
        loop {
            if matches!(fleet.process(&node), Process::Booting | Process::Running) {
                fleet.signal(&node, Signal::Kill);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

// Without load and without the bars: a broker that is killed refuses and loses by itself.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_broken_top_ordinal_is_told_and_left_alone(#[case] via: Via) {
    let soon = |limits: &mut Limits| limits.held = minutes(2);
    let mut world = steered(via, 3).spec(&json!({ "deadAfter": "1m" })).limits(soon).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    let data = claim(&world, 2).expect("it has a volume");

    let broken = break_for_good(&world, 2);
    world.until("it is seen", seconds(10), |world| world.condition("MemberDown").is_some()).await;
    assert!(world.condition("MemberDead").is_none(), "its pod may bring it back");
    let took = world.until("it is dead", minutes(3), |world| world.condition("MemberDead").is_some()).await;
    assert!(took >= seconds(45), "dead after {took:?}");
    let told = world.condition("MemberDead").expect("it stands").message;
    let node = world.node(2).expect("the pod has run");
    assert!(told.contains("price") && told.contains("message") && told.contains(&node.0), "{told}");
    assert_eq!(not_ready(&world).as_deref(), Some("MemberDead"), "something Critical stands");

    // Even where it is not wanted.
    world.wish(2);
    world.pass(minutes(1)).await;
    assert_eq!(sizes_written(&world), Vec::<u64>::new(), "{}", world.dump());
    assert!(!asked_to_leave(&world), "{}", world.dump());
    assert_eq!((world.pod_count(), claim(&world, 2)), (3, Some(data)));
    assert!(world.condition("MemberDead").is_some(), "{}", world.dump());
    let waits = |world: &World| world.condition("ShrinkWaits").map(|told| told.reason);
    assert_eq!(waits(&world).as_deref(), Some("Info"), "{}", world.dump());
    let warned = |world: &World| waits(world).as_deref() == Some("Warning");
    let took = world.until("people are warned", minutes(1), warned).await;
    assert!(took >= seconds(50), "warned after {took:?}");
    let events = world.kubernetes.objects("events", NAMESPACE);
    let told: Vec<_> = events.iter().filter(|event| event["reason"] == "ShrinkWaits").collect();
    let kinds: Vec<_> = told.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["Normal", "Warning"], "{told:?}");

    // It is healed: the shrink goes on, and without a restart of ours.
    broken.abort();
    world.until("two nodes", minutes(10), |world| world.settled(2)).await;
    assert!(world.condition("MemberDead").is_none() && waits(&world).is_none());
    assert_eq!(not_ready(&world), None, "{}", world.dump());
    let ended =
        world.status().conditions.into_iter().find(|one| one.type_ == "MemberDead").expect("it is kept");
    assert_eq!((ended.status.as_str(), ended.reason.as_str()), ("False", "Ended"));
    assert!(ended.message.starts_with("no dead member is listed, since 20"), "{}", ended.message);
    assert_eq!(world.dead_members(), Vec::<String>::new());
}
