//! Listeners and logins as people have them: the routing probe finds its way in, or says before anything is raised why no
//! newcomer could be served. The clients of these scenarios speak plain MQTT 3.1.1 without a login, and are not looked at.

use std::time::Duration;

use k8s_openapi::ByteString;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::model::{ListenerSetting, Settings as Broker, Transport};
use vernescale::api::Via;
use vernescale::vernemq::routing_probe::CLIENT_IDS;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::front::{authority, front_of};
use crate::steering::until_step;

/// One node, two wanted.
async fn growing(via: Via, broker: impl FnOnce(&mut Broker), spec: Value) -> Cluster {
    let wish = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let builder = Cluster::builder(via).replicas(1).clients(0).spec(&wish).spec(&spec).broker(broker);
    let mut cluster = builder.start().await;
    cluster.start_controller("a");
    cluster
}

fn told(cluster: &Cluster, name: &str) -> String {
    cluster.condition(name).map(|told| told.message).unwrap_or_default()
}

/// The login database knows two client ids, in the broker's own mountpoint.
fn by_client_id(broker: &mut Broker) {
    broker.known_clients = Some(CLIENT_IDS.map(|id| (String::new(), id.to_owned())).into());
}

fn listeners(all: Vec<ListenerSetting>) -> impl FnOnce(&mut Broker) {
    move |broker| broker.listeners = all
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn logins_that_are_kept_by_client_id(#[case] via: Via) {
    let nobody = |broker: &mut Broker| broker.known_clients = Some([].into());
    let mut cluster = growing(via, nobody, json!({})).await;
    cluster
        .until("it is told", seconds(30), |cluster| cluster.condition("RoutingProbeRefused").is_some())
        .await;
    let message = told(&cluster, "RoutingProbeRefused");
    assert_eq!(cluster.status().routing_probe_clients, CLIENT_IDS, "as they are told");
    assert!(CLIENT_IDS.iter().all(|id| message.contains(id)), "{message}");
    cluster.pass(seconds(30)).await;
    assert_eq!(cluster.replicas(), 1, "nothing is raised that could not be served\n{}", cluster.dump());
    // Somebody enters the two.
    cluster.fleet.with_model(|model, _| by_client_id(model.settings_mut()));
    cluster.until("both serve", minutes(2), |cluster| cluster.settled(2)).await;
    assert_eq!(told(&cluster, "RoutingProbeRefused"), "");
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn one_of_several_listeners_will_do(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(
        |broker: &mut Broker| broker.listeners = vec![ListenerSetting::unix("/run/m.sock"), ListenerSetting::on(1883)],
        |broker: &mut Broker| broker.listeners = vec![ListenerSetting { versions: vec![5], ..ListenerSetting::on(1883) }],
        |broker: &mut Broker| {
            broker.listeners = vec![ListenerSetting { proxy: true, ..ListenerSetting::on(1883) }, ListenerSetting::on(1884)];
        },
        |broker: &mut Broker| {
            by_client_id(broker);
            let tenant = ListenerSetting { mountpoint: "tenant".into(), ..ListenerSetting::on(1883) };
            broker.listeners = vec![tenant, ListenerSetting::on(1884)];
        },
        |broker: &mut Broker| broker.old_listener_show = true,
    )]
    broker: fn(&mut Broker),
) {
    let mut cluster = growing(via, broker, json!({})).await;
    cluster.until("both serve", minutes(2), |cluster| cluster.settled(2)).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_listener_behind_a_proxy_has_to_be_named(#[case] via: Via) {
    let behind = vec![ListenerSetting { proxy: true, ..ListenerSetting::on(1883) }];
    let mut cluster = growing(via, listeners(behind), json!({})).await;
    let says =
        |cluster: &Cluster| told(cluster, "RoutingProbeUntried").contains("spec.routingProbe.proxyProtocol");
    cluster.until("it is told", minutes(1), says).await;
    // Not known for so long is a warning; the answer stands while the next is on its way.
    let warns = |cluster: &Cluster| {
        cluster.condition("RoutingProbeUntried").is_some_and(|told| told.reason == "Warning")
    };
    cluster.until("people are warned", minutes(1), warns).await;
    for _ in 0..30 {
        cluster.pass(seconds(1)).await;
        assert!(says(&cluster) && warns(&cluster), "{}", cluster.dump());
    }
    assert_eq!(cluster.replicas(), 1, "what is not known is no yes\n{}", cluster.dump());
    cluster.edit_spec(&json!({ "routingProbe": { "proxyProtocol": true } }));
    cluster.until("both serve", minutes(2), |cluster| cluster.settled(2)).await;
}

/// What is wrong is told where no raise is wanted, too, and so is what is there instead.
#[tokio::test(start_paused = true)]
async fn a_port_that_is_not_there() {
    let spec = json!({ "replicas": 1, "routingProbe": { "port": 1999 } });
    let mut cluster = growing(Via::ManagementApi, |_| (), spec).await;
    cluster
        .until("it is told", seconds(30), |cluster| cluster.condition("RoutingProbeRefused").is_some())
        .await;
    let message = told(&cluster, "RoutingProbeRefused");
    assert!(
        message.contains("port 1999 (spec.routingProbe.port)") && message.contains("port 1883"),
        "{message}"
    );
    cluster.edit_spec(&json!({ "routingProbe": { "port": 1883 } }));
    cluster
        .until("it is well", seconds(10), |cluster| cluster.condition("RoutingProbeRefused").is_none())
        .await;
}

/// A suspended Unix socket is opened again by an undo, as every other.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn an_undo_opens_a_unix_socket_again(#[case] via: Via) {
    let both = vec![ListenerSetting::unix("/run/m.sock"), ListenerSetting::on(1883)];
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let builder = Cluster::builder(via).replicas(2).clients(4).spec(&spec).broker(listeners(both));
    let mut cluster = builder.start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.wish(1);
    until_step(&mut cluster, "Drain").await;
    cluster.wish(2);
    cluster.until("it is undone", minutes(2), |cluster| cluster.settled(2)).await;
    let node = cluster.node(1).expect("it runs");
    let shown = cluster.fleet.with_model(|model, _| model.status(&node));
    let own = shown.nodes.into_iter().find(|(name, _)| *name == node).expect("it speaks of itself").1;
    let suspended = simulator::model::ListenerStatus::Suspended;
    assert!(own.listeners.iter().all(|one| one.status != suspended), "{:?}", own.listeners);
    // Through exec `listener show` is not asked.
    let crashes = told(&cluster, "ListenerShowCrashes");
    assert_eq!(crashes.contains("of pod 0, 1 answers HTTP 500"), via == Via::ManagementApi, "{crashes}");
}

/// A TLS listener is used where it is named, and proven.
#[tokio::test(start_paused = true)]
async fn a_listener_that_speaks_tls() {
    let (pem, acceptor) = authority(&format!("{NAME}-headless"), NAMESPACE);
    let (port, mut front) = front_of(acceptor, 1883).await;
    // As in `tls`: a paused clock goes to the next timer with each packet that is waited for.
    front.spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let tls = ListenerSetting { transport: Transport::Mqtts, ..ListenerSetting::on(port) };
    let spec = json!({ "replicas": 1, "routingProbe": { "port": port } });
    let all = listeners(vec![ListenerSetting::on(1883), tls]);
    let mut cluster = growing(Via::ManagementApi, all, spec).await;
    cluster
        .until("it is told", seconds(30), |cluster| cluster.condition("RoutingProbeRefused").is_some())
        .await;
    assert!(
        told(&cluster, "RoutingProbeRefused").contains("spec.routingProbe.caSecretRef"),
        "{}",
        cluster.dump()
    );

    let (other, _) = authority(&format!("{NAME}-headless"), NAMESPACE);
    let secret = |pem: String| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mqtt-ca", "namespace": NAMESPACE },
            "data": { "ca.crt": ByteString(pem.into_bytes()) },
        })
    };
    cluster.edit_spec(&json!({ "routingProbe": { "caSecretRef": { "name": "mqtt-ca" } } }));
    cluster
        .until("it is missed", seconds(10), |cluster| cluster.condition("RoutingProbeCaMissing").is_some())
        .await;
    cluster.kubernetes.apply(&secret(other)).expect("the Secret is made");
    let unproven =
        |cluster: &Cluster| told(cluster, "RoutingProbeRefused").contains("TLS: vmq-0.vmq-headless.mqtt.svc");
    cluster.until("another authority proves nothing", minutes(1), unproven).await;
    cluster.kubernetes.apply(&secret(pem)).expect("the Secret is made");
    cluster
        .until("it is proven", minutes(1), |cluster| cluster.condition("RoutingProbeRefused").is_none())
        .await;
}
