//! What people have set that we cannot work with: a condition that says what to
//! do, a size that stands in both directions, and work again once it is mended,
//! without a restart of the controller.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, DeleteParams, PropagationPolicy};
use rstest::rstest;
use serde_json::{Value, json};
use vernescale::api::Via;

use crate::cluster::{Builder, Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::our_resource::delete;

/// Two nodes, of which one is to go.
pub(crate) fn two_and_one_too_many(via: Via) -> Builder {
    let spec = json!({ "wishFrom": "Scale", "replicas": 1, "settle": "1s", "window": "10s" });
    Cluster::builder(via).replicas(2).clients(2).spec(&spec)
}

/// The condition is there and says this; neither one less nor one more is made of it.
pub(crate) async fn stands(cluster: &mut Cluster, condition: &str, remedy: &str) {
    cluster
        .until(&format!("{condition} is told"), seconds(40), |cluster| cluster.condition(condition).is_some())
        .await;
    let message = cluster.condition(condition).map(|told| told.message).unwrap_or_default();
    assert!(message.contains(remedy), "{message}");
    let size = cluster.replicas();
    for wish in [1, 3] {
        cluster.wish(wish);
        // Numbers are known after 20 s, so that nothing else holds the size.
        cluster.pass(seconds(30)).await;
        assert_eq!(cluster.replicas(), size, "with a wish of {wish}\n{}", cluster.dump());
        assert!(cluster.condition(condition).is_some(), "still told\n{}", cluster.dump());
    }
}

/// It is mended: the same controller goes to one node, and back to two, and no client pays for it.
pub(crate) async fn works_again(cluster: &mut Cluster) {
    changes(cluster).await;
    cluster.assert_invariants().await;
}

async fn changes(cluster: &mut Cluster) {
    for size in [1, 2] {
        cluster.wish(size);
        cluster.until(&format!("mended: {size} serve"), minutes(4), |cluster| cluster.settled(size)).await;
    }
}

/// Settings of the StatefulSet on which the order of our steps does not rest.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Parallel,
    Partition,
    OnDelete,
}

impl Bad {
    fn spec(self) -> Value {
        match self {
            Self::Parallel => json!({ "podManagementPolicy": "Parallel" }),
            Self::Partition => {
                json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } } })
            }
            Self::OnDelete => json!({ "updateStrategy": { "type": "OnDelete" } }),
        }
    }

    /// The condition, and what it says that people should do.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Parallel => ("PodManagementPolicy", "Recreate it with OrderedReady"),
            Self::Partition => ("UpdatePartition", "Set the partition to 0"),
            Self::OnDelete => ("UpdateOnDelete", "Set updateStrategy.type to RollingUpdate"),
        }
    }
}

fn merged(object: &mut Value, spec: &Value) {
    if object["kind"] == "StatefulSet" {
        json_patch::merge(&mut object["spec"], spec);
    }
}

/// `kubectl delete statefulset --cascade=orphan`: its pods go on.
async fn orphan(cluster: &Cluster) {
    let sets = Api::<StatefulSet>::namespaced(cluster.kubernetes.client(), NAMESPACE);
    let params =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    sets.delete(NAME, &params).await.expect("it is deleted");
}

/// What stands there, as somebody would apply it again.
fn manifest(cluster: &Cluster) -> Value {
    let set = cluster.kubernetes.object("statefulsets", NAMESPACE, NAME).expect("it is there");
    let metadata = json!({ "name": NAME, "namespace": NAMESPACE, "labels": set["metadata"]["labels"] });
    json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": set["spec"] })
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_statefulset_that_we_cannot_order(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Bad::Parallel, Bad::Partition, Bad::OnDelete)] bad: Bad,
) {
    let builder = two_and_one_too_many(via).objects(move |object| merged(object, &bad.spec()));
    let mut cluster = builder.start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    let (condition, remedy) = bad.told();
    stands(&mut cluster, condition, remedy).await;
    cluster.wish(2);
    let mut mended = manifest(&cluster);
    let good = json!({
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
    });
    merged(&mut mended, &good);
    if matches!(bad, Bad::Parallel) {
        // Nobody can change it in place.
        orphan(&cluster).await;
    }
    cluster.kubernetes.apply(&mended).expect("it is mended");
    cluster.until("nothing is told", seconds(20), |cluster| cluster.condition(condition).is_none()).await;
    works_again(&mut cluster).await;
}

/// Ordinals that do not begin at 0. Putting it right takes a pod away without a leave, by the hand of
/// whoever does it: it stays behind as a dead member, which is removed as its condition says.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn ordinals_that_begin_later(#[case] via: Via) {
    let start = json!({ "ordinals": { "start": 1 } });
    let builder = two_and_one_too_many(via).objects(move |object| merged(object, &start));
    // The pod that comes by that hand has joined before it is served.
    let mut cluster = builder.install(|install| install.probe_delay = seconds(30)).start().await;
    cluster.start_controller("a");
    stands(&mut cluster, "OrdinalsStart", "Remove it").await;
    cluster.wish(2);
    let mut mended = manifest(&cluster);
    merged(&mut mended, &json!({ "ordinals": { "start": 0 } }));
    cluster.kubernetes.apply(&mended).expect("it is mended");
    let dead = cluster.node(2).expect("it runs");
    cluster
        .until("nothing is told", seconds(20), |cluster| cluster.condition("OrdinalsStart").is_none())
        .await;
    let told = |cluster: &Cluster| cluster.condition("MemberDead").map(|told| told.message);
    cluster.until("it is a dead member", minutes(3), |cluster| told(cluster).is_some()).await;
    let remedy = format!("cluster leave node={dead}");
    assert!(told(&cluster).is_some_and(|message| message.contains(&remedy)), "{}", cluster.dump());
    let argv: Vec<String> = remedy.split(' ').map(String::from).collect();
    let asked = cluster.node(1).expect("it runs");
    assert!(cluster.fleet.admin(&asked, &argv).await.stdout.contains("Done"), "{}", cluster.dump());
    // Its data as well: no other node may come upon it.
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.kubernetes.client(), NAMESPACE);
    claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    let well = |cluster: &Cluster| {
        cluster.settled(2) && cluster.dead_members().is_empty() && told(cluster).is_none()
    };
    cluster.until("two nodes are left", minutes(1), well).await;
    cluster.load(1.0).await;
    // Without the invariants: what that hand did has refused clients.
    changes(&mut cluster).await;
    assert_eq!(cluster.dead_members(), Vec::<String>::new(), "{}", cluster.dump());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_statefulset_of_another_name(#[case] via: Via) {
    let spec = json!({ "targetRef": { "name": "vernemq" } });
    let mut cluster = two_and_one_too_many(via).spec(&spec).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "TargetMissing", "create it, or delete this resource").await;
    let mut anew = delete(&cluster, 2).await;
    cluster.until("it is gone", seconds(10), |cluster| cluster.resource().is_none()).await;
    anew["spec"]["targetRef"]["name"] = NAME.into();
    cluster.kubernetes.apply(&anew).expect("it is taken");
    works_again(&mut cluster).await;
}

/// No slice of it lists a pod: that does not mean that no client is sent there.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_client_service_of_another_name(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).spec(&json!({ "clientService": "mqtt" })).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "ClientServiceMissing", "correct spec.clientService").await;
    assert_eq!(cluster.status().protection_level, Some(1), "nobody is kept from a node");
    cluster.edit_spec(&json!({ "clientService": NAME }));
    cluster.wish(2);
    cluster.until("nothing is told", seconds(10), |w| w.condition("ClientServiceMissing").is_none()).await;
    cluster.until("they are fenced", seconds(5), |w| w.status().protection_level == Some(2)).await;
    works_again(&mut cluster).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_statefulset_that_is_made_later(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    cluster.load(1.0).await;
    let kept = manifest(&cluster);
    orphan(&cluster).await;
    cluster.start_controller("a");
    stands(&mut cluster, "TargetMissing", "StatefulSet `vmq`").await;
    cluster.wish(2);
    cluster.kubernetes.apply(&kept).expect("it is made again");
    works_again(&mut cluster).await;
}

/// Names are what the brokers say, whatever they are made of: a leave of a name that is wrong by a
/// letter would print `Done` and be none.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn other_names_than_usual_work(#[case] via: Via) {
    let rename = |object: &mut Value| {
        if object["metadata"]["name"] == "vmq-headless" {
            object["metadata"]["name"] = json!("brokers");
        }
        merged(object, &json!({ "serviceName": "brokers" }));
    };
    let builder = two_and_one_too_many(via).objects(rename).cluster_domain("k8s.example.org");
    let mut cluster = builder.start().await;
    let name = cluster.node(1).expect("it runs").0;
    assert_eq!(name, "VerneMQ@vmq-1.brokers.mqtt.svc.k8s.example.org");
    cluster.load(1.0).await;
    cluster.start_controller("a");
    works_again(&mut cluster).await;
    assert!(cluster.condition("HeadlessServiceMissing").is_none(), "{}", cluster.dump());
}
