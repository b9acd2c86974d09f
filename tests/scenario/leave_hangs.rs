//! A member goes down after the gate: the leave that was asked waits for it, and
//! would happen when it is back, whatever is wanted by then (docs/broker/leave.md, "While a member is down").

use std::time::Duration;

use lifecycle::Outcome;
use serde_json::{Value, json};
use simulator::model::{Command, Signal, Via as Door};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::one_leave::{begin, node, outcome, park, restarted, three};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// Pod 1's broker dies between the record of the leave and the call; the others know when it is made.
fn lose_a_member(world: &World) {
    let (fleet, lost) = (world.fleet.clone(), node(world, 1));
    world.hooks.after("record Leave", move || async move {
        fleet.signal(&lost, Signal::Kill);
        sleep(Duration::from_millis(200)).await;
    });
}

fn want(world: &World, size: u32) {
    let edit = |resource: &mut Value| resource["spec"]["replicas"] = json!(size);
    assert!(world.kubernetes.edit("vernemqautoscalers", NAMESPACE, NAME, edit));
}

/// The crash is the story's own, and refuses connects; whatever a leave may break is looked at.
async fn assert_own_bars(world: &mut World) {
    world.load(0.0).await;
    world.pass(seconds(20)).await;
    assert_eq!(world.load.lost(), Vec::<String>::new(), "messages lost\n{}", world.dump());
    assert_eq!(world.dead_members(), Vec::<String>::new(), "{}", world.dump());
}

/// Only the management API: closing its connection revokes a leave that has not begun.
#[tokio::test(start_paused = true)]
async fn it_is_revoked_by_closing_and_the_node_stays() {
    let mut world = three(Via::ManagementApi).start().await;
    lose_a_member(&world);
    begin(&mut world).await;
    world.until("it is revoked", minutes(6), |world| world.hooks.times("RevokeLeave") == 1).await;
    assert_eq!(world.hooks.times("Leave"), 1);
    // Closing and beginning can cross: the listeners are read for a while before anything else.
    let undoing = |world: &World| world.hooks.times("record Cancel") == 1;
    let reread = world.until("the undo begins", seconds(20), undoing).await;
    assert!(reread >= seconds(2), "after {reread:?}\n{}", world.dump());
    let undone = |world: &World| outcome(world) == Some(Outcome::Cancelled);
    world.until("it is undone", minutes(1), undone).await;
    want(&world, 3);
    world.until("all serve", minutes(1), |world| world.settled(3) && world.dead_members().is_empty()).await;
    // The member is back, and nothing fires.
    world.pass(minutes(1)).await;
    assert!(world.settled(3) && world.dead_members().is_empty(), "{}", world.dump());
    want(&world, 2);
    world.until("two nodes are left", minutes(6), |world| world.settled(2)).await;
    assert_own_bars(&mut world).await;
}

/// Only the management API, too: closing came too late, and it begins when the undo has. The undo
/// sees the listeners gone: it opens none of them again, and waits for the leave instead.
#[tokio::test(start_paused = true)]
async fn one_that_begins_during_the_undo_is_finished() {
    let mut world = three(Via::ManagementApi).start().await;
    lose_a_member(&world);
    let (fleet, leaver) = (world.fleet.clone(), node(&world, 2));
    let asker = node(&world, 0);
    world.hooks.after("record Cancel", move || async move {
        while !fleet.with_model(|model, _| model.members_seen_by(&asker).values().all(|running| *running)) {
            sleep(Duration::from_millis(20)).await;
        }
        let node = Some(leaver.clone());
        let leave = Command::ClusterLeave { node, kill: true, summary_interval: 1, timeout: 30 };
        fleet.with_model(|model, now| model.request(&asker, leave, Door::Admin, now));
        while fleet.with_model(|model, _| model.listening(&leaver)) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    park(&mut world, 2, 600).await;
    begin(&mut world).await;
    world.until("the undo begins", minutes(6), |world| world.hooks.times("record Cancel") == 1).await;
    let leaver = node(&world, 2);
    let left = |world: &World| world.replicas() == 2;
    world
        .until("the size is lowered", minutes(2), |world| {
            let open = world.fleet.with_model(|model, _| model.listening(&leaver));
            assert!(!open || restarted(world, 2).0 > 0, "its listener was opened again\n{}", world.dump());
            left(world)
        })
        .await;
    world.until("two nodes are left", minutes(2), |world| world.settled(2)).await;
    assert_eq!(outcome(&world), Some(Outcome::Completed), "{}", world.dump());
    assert_own_bars(&mut world).await;
}

/// Only exec: nothing revokes it. It is said to be armed, and followed when it fires.
#[tokio::test(start_paused = true)]
async fn through_exec_it_stays_armed_and_is_followed() {
    let mut world = three(Via::Exec).start().await;
    lose_a_member(&world);
    begin(&mut world).await;
    let armed = |world: &World| world.condition("LeaveArmed").is_some();
    world.until("it is said to be armed", minutes(6), armed).await;
    assert_eq!((world.replicas(), world.hooks.times("record Cancel")), (3, 0), "{}", world.dump());
    world.until("two nodes are left", minutes(2), |world| world.settled(2)).await;
    assert_eq!(outcome(&world), Some(Outcome::Completed), "{}", world.dump());
    assert!(world.condition("LeaveArmed").is_none(), "still said\n{}", world.dump());
    assert_eq!(world.hooks.times("Leave"), 1, "asked once");
    assert_own_bars(&mut world).await;
}

/// Only exec, too: the call has ended at its 60 s, the member is down still. Nothing is undone: the
/// leave fires when the member is back, and would take a node that we serve again.
#[tokio::test(start_paused = true)]
async fn through_exec_it_is_armed_still_when_its_call_has_ended() {
    let mut world = three(Via::Exec).start().await;
    lose_a_member(&world);
    begin(&mut world).await;
    world.until("it is asked", minutes(6), |world| world.hooks.times("Leave") == 1).await;
    let broken = break_for_good(&world, 1);
    let ended = |world: &World| world.hooks.times("Leave answered") == 1;
    world.until("its call ends", seconds(80), ended).await;
    world.pass(seconds(30)).await;
    assert!(world.condition("LeaveArmed").is_some(), "{}", world.dump());
    assert_eq!((world.replicas(), world.hooks.times("record Cancel")), (3, 0), "{}", world.dump());
    broken.abort();
    world.until("two nodes are left", minutes(5), |world| world.settled(2)).await;
    // A broker that is killed again and again loses by itself.
    assert_eq!(world.dead_members(), Vec::<String>::new(), "{}", world.dump());
}
