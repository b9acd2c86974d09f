//! Brokers that want a key on every page, each of its own scope.

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::json;
use simulator::model::ManagementAuth;
use vernescale::api::Via;

use crate::bad_input::{stands, two_and_one_too_many};
use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};

const KEY: &str = "a-key-of-this-cluster-for-tests";

async fn add(cluster: &Cluster, scope: &str) {
    for ordinal in 0..2 {
        let node = cluster.node(ordinal).expect("it runs");
        let words = ["api-key", "add", &format!("key={KEY}"), &format!("scope={scope}")].map(str::to_owned);
        assert_eq!(cluster.fleet.admin(&node, &words).await.code, 0);
    }
}

fn told(cluster: &Cluster) -> String {
    cluster.condition("ManagementUnauthorized").map(|told| told.message).unwrap_or_default()
}

/// The key that opens `/api/v1` goes to the pages, too; which of them wants which scope is said.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_key_for_every_page(#[case] via: Via) {
    let spec = json!({ "management": { "secretRef": { "name": "vernemq-key", "key": "key" } } });
    let builder = two_and_one_too_many(via).spec(&spec).broker(|broker| {
        broker.management_auth = ManagementAuth::Keys;
        broker.keyed_pages = vec!["metrics", "status"];
    });
    let mut cluster = builder.start().await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-key", "namespace": NAMESPACE },
        "data": { "key": ByteString(KEY.as_bytes().to_vec()) },
    });
    cluster.kubernetes.apply(&secret).expect("the Secret is made");
    add(&cluster, "mgmt").await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "ManagementUnauthorized", "keys do not spread between nodes").await;
    let message = told(&cluster);
    let words =
        ["/status.json wants scope status", "/metrics wants scope metrics", "scope=status, scope=metrics"];
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    assert!(!message.contains("mgmt") && !message.contains("is not set"), "{message}");
    cluster.wish(2);
    add(&cluster, "status").await;
    cluster.until("one is left", seconds(20), |cluster| !told(cluster).contains("scope status")).await;
    add(&cluster, "metrics").await;
    cluster.until("all are open", seconds(20), |cluster| told(cluster).is_empty()).await;
    // A newcomer would have none of them: whoever makes pods puts them there (API_KEY of the image).
    cluster.wish(1);
    cluster.until("one serves", minutes(4), |cluster| cluster.settled(1)).await;
    cluster.assert_invariants().await;
}

/// Where no Secret is named, nobody is sent to look for a key in one.
#[tokio::test(start_paused = true)]
async fn no_key_where_one_is_wanted() {
    let builder = two_and_one_too_many(Via::ManagementApi);
    let mut cluster = builder.broker(|broker| broker.keyed_pages = vec!["metrics"]).start().await;
    cluster.start_controller("a");
    stands(&mut cluster, "ManagementUnauthorized", "spec.management.secretRef is not set").await;
    let message = told(&cluster);
    assert!(message.contains("/metrics wants scope metrics") && !message.contains("status"), "{message}");
}
