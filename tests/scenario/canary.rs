//! A broker that lets nobody in without a password: the canary needs one of its own.

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

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
    let refused = |world: &World| world.condition("CanaryRefused").map(|told| told.message);
    world.until("anonymously", seconds(30), |world| refused(world).is_some()).await;
    let told = refused(&world).unwrap_or_default();
    assert!(told.contains("spec.canarySecretRef") && told.contains("CONNACK 0x05"), "{told}");

    world.edit_spec(&json!({ "canarySecretRef": { "name": "canary" } }));
    let missing = |world: &World| world.condition("CanaryLoginMissing").is_some();
    world.until("the Secret is missed", seconds(10), missing).await;
    login(&world, "wrong");
    let wrong = |world: &World| refused(world).is_some_and(|told| told.contains("CONNACK 0x04"));
    world.until("the Secret is found", seconds(40), wrong).await;
    world.pass(seconds(60)).await;
    // Nothing is raised that could not be served.
    assert_eq!((world.pod_count(), refused(&world).is_some()), (1, true), "{}", world.dump());

    login(&world, "right");
    world.until("both are there", minutes(2), |world| world.pod_count() == 2).await;
    assert_eq!(refused(&world), None);
    // Somebody changes the password in between.
    let password = |world: &World, password: &str| {
        let password = password.to_owned();
        world.fleet.with_model(|model, _| model.settings_mut().users.insert("vernescale".into(), password));
    };
    password(&world, "another");
    world.until("it is told", minutes(4), |world| world.condition("CanaryLost").is_some()).await;
    let before = world.hooks.times("Canary");
    world.pass(seconds(60)).await;
    let tried = world.hooks.times("Canary") - before;
    assert!((2..=60).contains(&tried), "{tried} in a minute: neither given up nor in a hurry");
    assert_eq!(world.serving(), 1, "a newcomer is served that nobody has tried\n{}", world.dump());
    password(&world, "right");
    world.until("both serve", minutes(2), |world| world.settled(2)).await;
}
