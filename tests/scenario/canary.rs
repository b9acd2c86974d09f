//! A broker that lets nobody in without a password: the canary needs one of its own.

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;

use crate::world::{NAMESPACE, World, minutes, seconds};

fn login(world: &World, password: &str) {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "canary", "namespace": NAMESPACE },
        "data": { "username": bytes("vernescale"), "password": bytes(password) },
    });
    world.kubernetes.apply(&secret).expect("the Secret is made");
}

/// Clients are not looked at here: they have no password either.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn only_with_its_password(#[case] via: Via) {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let builder = World::builder(via).replicas(1).clients(0).spec(&spec).broker(|broker| {
        broker.allow_anonymous = false;
        broker.users.insert("vernescale".into(), "right".into());
    });
    let mut world = builder.start().await;
    world.start_controller("a");
    world.until("anonymously", minutes(4), |world| world.condition("CanaryLost").is_some()).await;
    let told = world.condition("CanaryLost").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("spec.canarySecretRef"), "{told}");

    world.edit_spec(&json!({ "canarySecretRef": { "name": "canary" } }));
    let missing = |world: &World| world.condition("CanaryLoginMissing").is_some();
    world.until("the Secret is missed", seconds(10), missing).await;
    login(&world, "wrong");
    world.until("the Secret is found", seconds(40), |world| !missing(world)).await;
    let before = world.taps.times("Canary");
    world.pass(seconds(60)).await;
    let tried = world.taps.times("Canary") - before;
    assert!((2..=60).contains(&tried), "{tried} in a minute: neither given up nor in a hurry");
    assert!(world.condition("CanaryLost").is_some(), "{}", world.dump());
    assert_eq!(world.serving(), 1, "a newcomer is served that nobody has tried\n{}", world.dump());

    login(&world, "right");
    world.until("both serve", minutes(2), |world| world.settled(2)).await;
}
