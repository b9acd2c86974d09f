//! The brokers' HTTP listener speaks TLS, with a certificate that a private authority has signed.

use std::time::Duration;

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::bad_input::{stands, two_and_one_too_many};
use crate::front::{authority, front};
use crate::world::{NAME, NAMESPACE, World, minutes};

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
    let mut world = two_and_one_too_many(via).spec(&spec).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    stands(&mut world, "ManagementTls", "the Secret of spec.management.caSecretRef").await;

    world.edit_spec(&json!({ "management": { "caSecretRef": { "name": "misspelt" } } }));
    let missing = "key `ca.crt` of Secret mqtt/misspelt: the Secret does not exist";
    stands(&mut world, "ManagementCaMissing", missing).await;
    assert!(world.condition("ManagementTls").is_some(), "unproven meanwhile\n{}", world.dump());
    assert_eq!(world.status().members, Some(0), "nothing was asked of them\n{}", world.dump());

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-ca", "namespace": NAMESPACE },
        "data": { "ca.crt": ByteString(pem.into_bytes()) },
    });
    world.kubernetes.apply(&secret).expect("the Secret is made");
    // A paused clock goes to the next timer while packets are waited for, so that a question of so many of them may
    // run into its deadline: from here on time is real. The Secret is read at once when the resource has changed.
    tokio::time::resume();
    world.edit_spec(&json!({ "management": { "caSecretRef": { "name": "vernemq-ca" } } }));
    let read =
        |world: &World| world.condition("ManagementCaMissing").is_none() && world.status().members == Some(2);
    world.until("both members are seen", minutes(2), read).await;
    let proven = |world: &World| world.condition("ManagementTls").is_none();
    world.until("the listeners are proven", minutes(2), proven).await;
}
