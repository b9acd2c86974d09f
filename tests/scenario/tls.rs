//! The brokers' HTTP listener speaks TLS, with a certificate that a private authority has signed.

use std::time::Duration;

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::bad_input::{stands, two_and_one_too_many};
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes};
use crate::front::{authority, front};

/// Nothing is sent to a listener that is not proven; with the authority's certificate it is asked.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_private_authority(#[case] via: Via) {
    let (pem, acceptor) = authority(&format!("{NAME}-headless"), NAMESPACE);
    let (port, mut front) = front(acceptor).await;
    // A paused clock goes to the next timer with each packet that is waited for, and here a question takes a
    // dozen of them: with timers a tenth of a second apart it would run into its deadline.
    front.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let spec = json!({ "management": { "scheme": "Https", "port": port, "metricsPort": port } });
    let mut cluster = two_and_one_too_many(via).spec(&spec).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "ManagementTls", "the Secret of spec.management.caSecretRef").await;

    cluster.edit_spec(&json!({ "management": { "caSecretRef": { "name": "misspelt" } } }));
    let missing = "key `ca.crt` of Secret mqtt/misspelt: the Secret does not exist";
    stands(&mut cluster, "ManagementCaMissing", missing).await;
    assert!(cluster.condition("ManagementTls").is_some(), "unproven meanwhile\n{}", cluster.dump());
    assert_eq!(cluster.status().members, Some(0), "nothing was asked of them\n{}", cluster.dump());

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-ca", "namespace": NAMESPACE },
        "data": { "ca.crt": ByteString(pem.into_bytes()) },
    });
    cluster.kubernetes.apply(&secret).expect("the Secret is made");
    // A paused clock goes to the next timer while packets are waited for, so that a question of so many of them may
    // run into its deadline: from here on time is real. The Secret is read at once when the resource has changed.
    tokio::time::resume();
    cluster.edit_spec(&json!({ "management": { "caSecretRef": { "name": "vernemq-ca" } } }));
    let read = |cluster: &Cluster| {
        cluster.condition("ManagementCaMissing").is_none() && cluster.status().members == Some(2)
    };
    cluster.until("both members are seen", minutes(2), read).await;
    let proven = |cluster: &Cluster| cluster.condition("ManagementTls").is_none();
    cluster.until("the listeners are proven", minutes(2), proven).await;
}
