//! A pod that is made again has another address, and a caching resolver gives out the old one for half a minute
//! (`disc2_dns_headless.txt`): nothing of ours goes by name, nor by an address that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use serde_json::Value;
use tokio::net::TcpListener;
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::steering::steered;

fn address(cluster: &Cluster, ordinal: u32) -> Option<String> {
    let pod = cluster.kubernetes.object("pods", NAMESPACE, &format!("{NAME}-{ordinal}"))?;
    pod.pointer("/status/podIP").and_then(Value::as_str).map(str::to_owned)
}

/// Counts who comes to an address that is nobody's any more.
async fn nobody_comes(address: &str, port: u16, came: &Arc<AtomicUsize>) {
    let listener = TcpListener::bind((address, port)).await.expect("nobody has it any more");
    let came = Arc::clone(came);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            came.fetch_add(1, Ordering::Relaxed);
        }
    });
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_made_again_is_asked_where_it_is_now(#[case] via: Via) {
    let mut cluster = steered(via, 2).clients(0).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    let old = address(&cluster, 0).expect("it has one");
    let pods = Api::<Pod>::namespaced(cluster.kubernetes.client(), NAMESPACE);
    pods.delete(&format!("{NAME}-0"), &DeleteParams::default()).await.expect("it is deleted");
    let anew = |cluster: &Cluster| address(cluster, 0).is_some_and(|now| now != old);
    cluster.until("it is made again", minutes(2), anew).await;
    let came = Arc::new(AtomicUsize::new(0));
    for port in [1883, 8888] {
        nobody_comes(&old, port, &came).await;
    }
    // It is read, it is the peer of a newcomer's routing probe and of its rehearsal, and it asks another to leave.
    cluster.until("it is a member again", minutes(2), |cluster| cluster.settled(2)).await;
    for size in [3, 2] {
        cluster.wish(size);
        cluster.until("the size is there", minutes(4), |cluster| cluster.settled(size)).await;
    }
    assert_eq!(came.load(Ordering::Relaxed), 0, "asked at {old}, where it was");
}
