//! A member goes down after the gate: the leave that was asked waits for it, and
//! would happen when it is back, whatever is wanted by then (docs/broker/leave.md, "While a member is down").

use std::time::Duration;

use lifecycle::Outcome;
use serde_json::{Value, json};
use simulator::model::{Command, Signal, Via as Transport};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, node, outcome, park, restarted, three};

/// Pod 1's broker dies between the record of the leave and the call; the others know when it is made.
fn lose_a_member(cluster: &Cluster) {
    let (fleet, lost) = (cluster.fleet.clone(), node(cluster, 1));
    cluster.hooks.after("record Leave", move || async move {
        fleet.signal(&lost, Signal::Kill);
        sleep(Duration::from_millis(200)).await;
    });
}

fn want(cluster: &Cluster, size: u32) {
    let edit = |resource: &mut Value| resource["spec"]["replicas"] = json!(size);
    assert!(cluster.kubernetes.edit("vernemqautoscalers", NAMESPACE, NAME, edit));
}

/// The crash is the scenario's own, and refuses connects; whatever a leave may break is looked at.
async fn assert_own_bars(cluster: &mut Cluster) {
    cluster.load(0.0).await;
    cluster.pass(seconds(20)).await;
    assert_eq!(cluster.load.lost(), Vec::<String>::new(), "messages lost\n{}", cluster.dump());
    assert_eq!(cluster.dead_members(), Vec::<String>::new(), "{}", cluster.dump());
}

/// Only the management API: closing its connection revokes a leave that has not begun.
#[tokio::test(start_paused = true)]
async fn it_is_revoked_by_closing_and_the_node_stays() {
    let mut cluster = three(Via::ManagementApi).start().await;
    lose_a_member(&cluster);
    begin(&mut cluster).await;
    cluster.until("it is revoked", minutes(6), |cluster| cluster.hooks.times("RevokeLeave") == 1).await;
    assert_eq!(cluster.hooks.times("Leave"), 1);
    // Closing and beginning can cross: the listeners are read for a while before anything else.
    let undoing = |cluster: &Cluster| cluster.hooks.times("record Cancel") == 1;
    let reread = cluster.until("the undo begins", seconds(20), undoing).await;
    assert!(reread >= seconds(2), "after {reread:?}\n{}", cluster.dump());
    let undone = |cluster: &Cluster| outcome(cluster) == Some(Outcome::Cancelled);
    cluster.until("it is undone", minutes(1), undone).await;
    want(&cluster, 3);
    cluster
        .until("all serve", minutes(1), |cluster| cluster.settled(3) && cluster.dead_members().is_empty())
        .await;
    // The member is back, and nothing fires.
    cluster.pass(minutes(1)).await;
    assert!(cluster.settled(3) && cluster.dead_members().is_empty(), "{}", cluster.dump());
    want(&cluster, 2);
    cluster.until("two nodes are left", minutes(6), |cluster| cluster.settled(2)).await;
    assert_own_bars(&mut cluster).await;
}

/// Only the management API, too: closing came too late, and it begins when the undo has. The undo
/// sees the listeners gone: it opens none of them again, and waits for the leave instead.
#[tokio::test(start_paused = true)]
async fn one_that_begins_during_the_undo_is_finished() {
    let mut cluster = three(Via::ManagementApi).start().await;
    lose_a_member(&cluster);
    let (fleet, leaver) = (cluster.fleet.clone(), node(&cluster, 2));
    let coordinator = node(&cluster, 0);
    cluster.hooks.after("record Cancel", move || async move {
        while !fleet
            .with_model(|model, _| model.members_seen_by(&coordinator).values().all(|running| *running))
        {
            sleep(Duration::from_millis(20)).await;
        }
        let node = Some(leaver.clone());
        let leave = Command::ClusterLeave { node, kill: true, summary_interval: 1, timeout: 30 };
        fleet.with_model(|model, now| model.request(&coordinator, leave, Transport::Admin, now));
        while fleet.with_model(|model, _| model.listening(&leaver)) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    park(&mut cluster, 2, 600).await;
    begin(&mut cluster).await;
    cluster.until("the undo begins", minutes(6), |cluster| cluster.hooks.times("record Cancel") == 1).await;
    let leaver = node(&cluster, 2);
    let left = |cluster: &Cluster| cluster.replicas() == 2;
    cluster
        .until("the size is lowered", minutes(2), |cluster| {
            let open = cluster.fleet.with_model(|model, _| model.listening(&leaver));
            assert!(
                !open || restarted(cluster, 2).0 > 0,
                "its listener was opened again\n{}",
                cluster.dump()
            );
            left(cluster)
        })
        .await;
    cluster.until("two nodes are left", minutes(2), |cluster| cluster.settled(2)).await;
    assert_eq!(outcome(&cluster), Some(Outcome::Completed), "{}", cluster.dump());
    assert_own_bars(&mut cluster).await;
}

/// Only exec: nothing revokes it. It is said to be armed, and followed when it fires.
#[tokio::test(start_paused = true)]
async fn through_exec_it_stays_armed_and_is_followed() {
    let mut cluster = three(Via::Exec).start().await;
    lose_a_member(&cluster);
    begin(&mut cluster).await;
    let armed = |cluster: &Cluster| cluster.condition("LeaveArmed").is_some();
    cluster.until("it is said to be armed", minutes(6), armed).await;
    assert_eq!((cluster.replicas(), cluster.hooks.times("record Cancel")), (3, 0), "{}", cluster.dump());
    cluster.until("two nodes are left", minutes(2), |cluster| cluster.settled(2)).await;
    assert_eq!(outcome(&cluster), Some(Outcome::Completed), "{}", cluster.dump());
    assert!(cluster.condition("LeaveArmed").is_none(), "still said\n{}", cluster.dump());
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked once");
    assert_own_bars(&mut cluster).await;
}

/// Only exec, too: the call has ended at its 60 s, the member is down still. Nothing is undone: the
/// leave fires when the member is back, and would take a node that we serve again.
#[tokio::test(start_paused = true)]
async fn through_exec_it_is_armed_still_when_its_call_has_ended() {
    let mut cluster = three(Via::Exec).start().await;
    lose_a_member(&cluster);
    begin(&mut cluster).await;
    cluster.until("it is asked", minutes(6), |cluster| cluster.hooks.times("Leave") == 1).await;
    let broken = break_for_good(&cluster, 1);
    let ended = |cluster: &Cluster| cluster.hooks.times("Leave answered") == 1;
    cluster.until("its call ends", seconds(80), ended).await;
    cluster.pass(seconds(30)).await;
    assert!(cluster.condition("LeaveArmed").is_some(), "{}", cluster.dump());
    assert_eq!((cluster.replicas(), cluster.hooks.times("record Cancel")), (3, 0), "{}", cluster.dump());
    broken.abort();
    cluster.until("two nodes are left", minutes(5), |cluster| cluster.settled(2)).await;
    // A broker that is killed again and again loses by itself.
    assert_eq!(cluster.dead_members(), Vec::<String>::new(), "{}", cluster.dump());
}
