//! The controller on a real API server with the real StatefulSet controller:
//! what the simulated Kubernetes got wrong would show here. Time is real, so
//! nothing about it is asserted; waits end with a deadline.
//!
//! Needs Go (to build the control plane, once), or a cluster to work on (`VERNESCALE_TEST_KUBECONFIG`, the file
//! of one without vernescale; it is as it was afterwards). Skipped with a reason where there is neither, which is
//! an error under `CI=true`.

mod a_given_cluster;
mod admission;
mod apply;
mod by_exec;
mod cluster;
mod control_plane;
#[path = "../support/exec_frames.rs"]
mod exec_frames;
mod exec_kubelet;
#[path = "../support/tls.rs"]
mod front;
mod given;
mod kubelet;
mod network;
mod older;
mod over_https;
mod own;
mod process;
mod programs;
mod refusals;
mod seen;
mod the_binary;

use std::sync::Arc;

use cluster::{Cluster, Setup};
use control_plane::ControlPlane;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use simulator::kubernetes::Storage;

/// Each of the three ways to ask for a leave, in a namespace of its own: they wait for most of their time.
#[tokio::test]
async fn up_and_down_by_every_transport() {
    let Some(plane) = ControlPlane::start().await else { return };
    tokio::join!(
        one_to_three_to_one_among_conflicts(&plane),
        by_exec::scenario(&plane),
        over_https::scenario(&plane)
    );
}

/// By the scale subresource of our resource, while somebody else writes to the StatefulSet all the time. With claims: a node
/// that has left does not leave its data to its successor.
async fn one_to_three_to_one_among_conflicts(plane: &Arc<ControlPlane>) {
    let cluster = Cluster::on(plane, Setup { storage: Storage::Claims, ..Setup::default() }).await;
    let controller = cluster.start_controller().await;
    let writer = cluster.write_all_the_time();
    cluster.wish(3).await;
    cluster.until("three nodes serve, each seen by all", |w| w.serving == 3 && w.agreed(3)).await;
    let before = cluster.claims().await;
    cluster.wish(1).await;
    cluster.until("one node is left, alone", |w| w.replicas == 1 && w.pods == 1 && w.agreed(1)).await;
    cluster.wish(2).await;
    cluster.until("two nodes serve, each seen by both", |w| w.serving == 2 && w.agreed(2)).await;
    let after = cluster.claims().await;
    let same = |name: &str| before.get(name) == after.get(name);
    assert!(same("data-vmq-0") && !same("data-vmq-1"), "{before:?}, then {after:?}");
    assert_eq!((before.len(), after.len()), (3, 2), "{before:?}, then {after:?}");
    writer.abort();
    controller.abort();
    let seen = cluster.seen().await;
    assert_eq!(seen.restarts, 0, "no container ran again on the data of a node that had left: {seen:?}");
    assert!(
        cluster.reasons().await.contains("ShrinkCompleted"),
        "a shrink completes only after a verified leave: {:?}",
        cluster.reasons().await
    );
    assert!(cluster.conflicts() > 0, "no write of ours met a 409: this test has lost its point");
}

/// The API server is restarted while a leave is under way.
#[tokio::test]
async fn a_restart_of_the_api_server_in_the_middle_of_a_shrink() {
    if given::will_not_do("its API server is not ours to restart") {
        return;
    }
    let Some(cluster) = Cluster::start().await else { return };
    let controller = cluster.start_controller().await;
    cluster.wish(2).await;
    cluster.until("two nodes serve", |w| w.serving == 2 && w.agreed(2)).await;
    cluster.wish(1).await;
    cluster
        .until("the shrink has begun", |w| {
            w.intent.as_deref().is_some_and(|intent| intent.contains("Shrink"))
        })
        .await;
    cluster.plane.restart_apiserver().await;
    cluster.until("one node is left", |w| w.replicas == 1 && w.pods == 1 && w.agreed(1)).await;
    controller.abort();
}

/// The guard refuses a foreign shrink, lets raises pass, and does not stand in the controller's way.
#[tokio::test]
async fn the_guard_refuses_everybody_but_the_controller() {
    let Some(cluster) = Cluster::start().await else { return };
    let controller = cluster.start_controller().await;
    cluster.wish(2).await;
    cluster.until("two nodes serve", |w| w.serving == 2 && w.agreed(2)).await;
    cluster.apply_file("tests/cluster/guard.yaml").await;
    let sets = cluster.sets();
    let params = PatchParams::default();
    let lower = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    let refusal = cluster.until_refused(|| sets.patch_scale("vmq", &params, &lower)).await;
    assert!(refusal.contains("would leave dead members behind"), "{refusal}");
    let direct: Result<StatefulSet, _> = sets.patch("vmq", &PatchParams::default(), &lower).await;
    let refusal = direct.expect_err("a patch of the StatefulSet itself goes round the guard").to_string();
    assert!(refusal.contains("would leave dead members behind"), "{refusal}");
    cluster.wish(1).await;
    cluster.until("the controller has shrunk it", |w| w.replicas == 1 && w.pods == 1).await;
    let raise = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
    controller.abort();
    sets.patch_scale("vmq", &PatchParams::default(), &raise).await.expect("a raise passes the guard");
}
