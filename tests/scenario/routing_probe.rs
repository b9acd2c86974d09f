//! A broker that lets nobody in without a password: the routing probe needs one of its own.

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};

fn login(cluster: &Cluster, password: &str) {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "routing-probe", "namespace": NAMESPACE },
        "data": { "username": bytes("vernescale"), "password": bytes(password) },
    });
    cluster.kubernetes.apply(&secret).expect("the Secret is made");
}

/// Clients are not looked at here: they have no password either.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn only_with_its_password(#[case] via: Via) {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let builder = Cluster::builder(via).replicas(1).clients(0).spec(&spec).broker(|broker| {
        broker.allow_anonymous = false;
        broker.users.insert("vernescale".into(), "right".into());
    });
    let mut cluster = builder.start().await;
    cluster.start_controller("a");
    let refused = |cluster: &Cluster| cluster.condition("RoutingProbeRefused").map(|told| told.message);
    cluster.until("anonymously", seconds(30), |cluster| refused(cluster).is_some()).await;
    let told = refused(&cluster).unwrap_or_default();
    assert!(told.contains("spec.routingProbeSecretRef") && told.contains("CONNACK 0x05"), "{told}");

    cluster.edit_spec(&json!({ "routingProbeSecretRef": { "name": "routing-probe" } }));
    let missing = |cluster: &Cluster| cluster.condition("RoutingProbeLoginMissing").is_some();
    cluster.until("the Secret is missed", seconds(10), missing).await;
    login(&cluster, "wrong");
    let wrong = |cluster: &Cluster| refused(cluster).is_some_and(|told| told.contains("CONNACK 0x04"));
    cluster.until("the Secret is found", seconds(40), wrong).await;
    cluster.pass(seconds(60)).await;
    // Nothing is raised that could not be served.
    assert_eq!((cluster.pod_count(), refused(&cluster).is_some()), (1, true), "{}", cluster.dump());

    login(&cluster, "right");
    cluster.until("both are there", minutes(2), |cluster| cluster.pod_count() == 2).await;
    assert_eq!(refused(&cluster), None);
    // Somebody changes the password in between.
    let password = |cluster: &Cluster, password: &str| {
        let password = password.to_owned();
        cluster.fleet.with_model(|model, _| model.settings_mut().users.insert("vernescale".into(), password));
    };
    password(&cluster, "another");
    cluster.until("it is told", minutes(4), |cluster| cluster.condition("RoutingProbeLost").is_some()).await;
    let before = cluster.hooks.times("RoutingProbe");
    cluster.pass(seconds(60)).await;
    let tried = cluster.hooks.times("RoutingProbe") - before;
    assert!((2..=60).contains(&tried), "{tried} in a minute: neither given up nor in a hurry");
    assert_eq!(cluster.serving(), 1, "a newcomer is served that nobody has tried\n{}", cluster.dump());
    password(&cluster, "right");
    cluster.until("both serve", minutes(2), |cluster| cluster.settled(2)).await;
}
