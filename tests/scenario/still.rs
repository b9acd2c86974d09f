//! A StatefulSet that stands still: a pod that it should make is never made, until somebody writes to it.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;
use vernescale::kubernetes::touch::TOUCHED;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::steering::{edit, steered};

fn touched(cluster: &Cluster) -> Option<String> {
    let set = cluster.kubernetes.object("statefulsets", NAMESPACE, NAME)?;
    set["metadata"]["annotations"][TOUCHED].as_str().map(str::to_owned)
}

fn told(cluster: &Cluster) -> bool {
    cluster.condition("StatefulSetStill").is_some()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_does_not_make_a_newcomer_is_touched(#[case] via: Via) {
    let mut cluster = steered(via, 2).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.kubernetes.faults().stand_still(true);
    cluster.wish(3);
    cluster.until("the size is raised", seconds(20), |cluster| cluster.replicas() == 3).await;
    cluster.pass(seconds(27)).await;
    assert_eq!((touched(&cluster), cluster.pod_count()), (None, 2), "too soon\n{}", cluster.dump());
    cluster.until("it is told", seconds(10), told).await;
    cluster.until("it is touched, and three serve", minutes(2), |cluster| cluster.settled(3)).await;
    assert_eq!(cluster.hooks.times("Touch"), 1, "{}", cluster.dump());
    assert!(touched(&cluster).is_some() && !told(&cluster), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// Somebody deletes a pod, and it is not made again: at any time, not only in a change of ours.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_does_not_make_a_pod_again_is_touched_where_we_may_write(#[values(true, false)] may: bool) {
    let mut cluster = steered(Via::ManagementApi, 3).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    if !may {
        edit(&cluster, &json!({ "mode": "Shadow" }));
    }
    cluster.kubernetes.faults().stand_still(true);
    let pods = Api::<Pod>::namespaced(cluster.kubernetes.client_named("somebody"), NAMESPACE);
    pods.delete(&format!("{NAME}-1"), &DeleteParams::default()).await.expect("it is taken");
    cluster.until("it is gone", minutes(1), |cluster| cluster.pod_count() == 2).await;
    cluster.until("it is told", minutes(1), told).await;
    if may {
        let whole = |cluster: &Cluster| cluster.settled(3) && cluster.dead_members().is_empty();
        cluster.until("it is made again", minutes(2), whole).await;
    } else {
        cluster.pass(minutes(2)).await;
        assert_eq!((touched(&cluster), cluster.hooks.times("Touch"), cluster.pod_count()), (None, 0, 2));
        let message = cluster.condition("StatefulSetStill").map(|told| told.message).unwrap_or_default();
        assert!(message.contains("in this mode we do not"), "{message}");
    }
}
