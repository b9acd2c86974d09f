//! Two versions of the broker side by side: a leave asked of the other one is answered `noproc` and does nothing
//! (`disc2_mixed_versions.txt`), so that none is begun.

use rstest::rstest;
use simulator::model::Signal;
use vernescale::api::Via;

use crate::one_leave::node;
use crate::steering::steered;
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// As `kubectl set image pod/vmq-2`: its container is started anew, on its data.
async fn run(world: &mut World, tag: &str) {
    let image = format!("vernemq/vernemq:{tag}");
    world.kubernetes.edit("pods", NAMESPACE, &format!("{NAME}-2"), |pod| {
        pod["spec"]["containers"][0]["image"] = image.into();
    });
    let top = node(world, 2);
    world.fleet.signal(&top, Signal::Term);
    world.pass(seconds(10)).await;
    let back = |world: &World| {
        let page = world.fleet.with_model(|model, _| model.status(&node(world, 2)));
        let version = page.nodes.into_iter().find(|(name, _)| *name == top).map(|(_, own)| own.version);
        version.as_deref() == Some(tag) && world.dead_members().is_empty() && world.serving() == 3
    };
    world.until("it is a member again", minutes(1), back).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn no_leave_is_asked_between_two_versions(#[case] via: Via) {
    let mut world = steered(via, 3).clients(0).start().await;
    world.start_controller("a");
    run(&mut world, "2.2.0").await;
    world.pass(seconds(10)).await;
    world.wish(2);
    let told = |world: &World| world.condition("MixedVersions").map(|told| told.message).unwrap_or_default();
    world.until("it is told", seconds(30), |world| !told(world).is_empty()).await;
    assert!(told(&world).contains("one fixed image tag"), "{}", told(&world));
    world.pass(minutes(2)).await;
    assert_eq!((world.replicas(), world.hooks.times("Suspend")), (3, 0), "{}", world.dump());
    assert!(!told(&world).is_empty(), "still told");
    run(&mut world, "2.1.2").await;
    world.until("it is asked to leave", minutes(4), |world| world.hooks.times("Leave") > 0).await;
    // Not by the bars: the restarts of this story refuse clients.
    let whole = |world: &World| world.settled(2) && world.dead_members().is_empty();
    world.until("two nodes are left", minutes(2), whole).await;
    assert_eq!(world.hooks.times("Leave"), 1, "{}", world.dump());
}
