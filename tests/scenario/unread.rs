//! A list of the API server cannot be read in the middle of a shrink: what was not read is not empty.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams};
use lifecycle::Outcome;
use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use simulator::model::ManagementAuth;
use vernescale::api::Via;

use crate::bad_input::two_and_one_too_many;
use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, outcome, three};
use crate::steering::until_step;

/// Longer than what any of these steps waits for anything.
const TROUBLE: u64 = 90;

/// Empty, each would say that its step is through: nobody is sent there any more, the pod is gone, its claim is.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_shrink_waits_for_the_list(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(("Fence", "endpointslices"), ("PodGone", "pods"), ("Volume", "persistentvolumeclaims"))] at: (
        &'static str,
        &'static str,
    ),
) {
    let (step, list) = at;
    let mut cluster = three(via).start().await;
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after(&format!("record {step}"), move || async move {
        kubernetes.faults().add(Rule::new(Fault::ServerError).resource(list).verb(Verb::List));
    });
    begin(&mut cluster).await;
    until_step(&mut cluster, step).await;
    let told = |cluster: &Cluster| {
        cluster.condition("ReconcileFailed").is_some_and(|told| told.message.contains(list))
    };
    cluster.until("it is told", seconds(10), told).await;
    cluster.pass(seconds(TROUBLE)).await;
    assert_eq!((cluster.step().as_deref(), outcome(&cluster)), (Some(step), None), "{}", cluster.dump());
    assert!(told(&cluster), "it is told as long as it lasts: {}", cluster.dump());

    cluster.kubernetes.faults().clear();
    cluster.until("it goes on", minutes(2), |cluster| outcome(cluster) == Some(Outcome::Completed)).await;
    ends_well(&mut cluster).await;
}

/// The key of the management API is still the one that was read last; that there is none any more is an answer, and is
/// heard as soon as the API server gives one.
#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_read_is_the_last_one() {
    let key = "a-key-of-this-cluster-for-tests";
    let spec = json!({ "management": { "secretRef": { "name": "vernemq-key", "key": "key" } } });
    let builder = two_and_one_too_many(Via::ManagementApi).spec(&spec);
    let mut cluster = builder.broker(|broker| broker.management_auth = ManagementAuth::Keys).start().await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vernemq-key", "namespace": NAMESPACE },
        "data": { "key": ByteString(key.as_bytes().to_vec()) },
    });
    cluster.kubernetes.apply(&secret).expect("the Secret is made");
    for ordinal in 0..2 {
        let node = cluster.node(ordinal).expect("it runs");
        let words = ["api-key", "add", &format!("key={key}"), "scope=mgmt"].map(str::to_owned);
        assert_eq!(cluster.fleet.admin(&node, &words).await.code, 0);
    }
    cluster.wish(2);
    cluster.load(1.0).await;
    cluster.start_controller("a");
    cluster.until("both are seen", seconds(10), |cluster| cluster.status().members == Some(2)).await;
    let faults = cluster.kubernetes.clone();
    let rule = faults.faults().add(Rule::new(Fault::ServerError).resource("secrets").verb(Verb::Get));
    cluster.until("it is read again", seconds(40), |_| faults.faults().hits(rule) > 0).await;
    let missing = |cluster: &Cluster| cluster.condition("ManagementKeyMissing");
    for _ in 0..30 {
        cluster.pass(seconds(1)).await;
        assert_eq!((cluster.status().members, missing(&cluster)), (Some(2), None), "{}", cluster.dump());
        assert!(cluster.condition("ManagementUnauthorized").is_none(), "{}", cluster.dump());
    }
    assert!(faults.faults().hits(rule) > 10, "read again soon, not after half a minute");

    let secrets = Api::<Secret>::namespaced(cluster.kubernetes.client(), NAMESPACE);
    secrets.delete("vernemq-key", &DeleteParams::default()).await.expect("it is deleted");
    cluster.kubernetes.faults().clear();
    cluster.until("it is told", seconds(5), |cluster| missing(cluster).is_some()).await;
    assert!(missing(&cluster).is_some_and(|told| told.message.contains("the Secret does not exist")));
}
