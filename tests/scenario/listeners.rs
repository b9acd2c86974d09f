//! Listeners as people set them: a limit for each acceptor, a full one, and four transports that a shrink closes and
//! its undo opens (`disc2_max_connections.txt`, `disc2_listeners_all_transports.txt`).

use lifecycle::NodeName;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::model::{
    ConnId, Connect, Goodbye, HealthPage, ListenerSetting, ListenerStatus, Protocol, Transport,
};
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::one_leave::{begin, ends_well, node, three};
use crate::steering::{serves, steered, until_step, until_undone};

/// `max_connections` 5.
fn limited(acceptors: u32) -> ListenerSetting {
    ListenerSetting { max_conns: Some(5), acceptors, ..ListenerSetting::on(1883) }
}

/// The pod template says that there are two.
fn two_acceptors(object: &mut Value) {
    if let Some(env) =
        object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut)
    {
        env.push(json!({ "name": "DOCKER_VERNEMQ_LISTENER__NR_OF_ACCEPTORS", "value": "2" }));
    }
}

/// So many clients come to this node, and stay.
fn visit(cluster: &Cluster, at: &NodeName, count: usize) -> Vec<ConnId> {
    let visitor = |n| Connect::new(format!("visitor-{at}-{n}"), Protocol::V4, true);
    (0..count).map(|n| cluster.fleet.with_model(|model, now| model.connect(at, visitor(n), now))).collect()
}

fn leave(cluster: &Cluster, visitors: &[ConnId]) {
    for conn in visitors {
        cluster.fleet.with_model(|model, now| model.disconnect(*conn, Goodbye::Clean, now));
    }
}

/// Twenty-six clients on two nodes, with the margin sixteen on each: more than `max_connections`, and fewer than it
/// takes.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_node_takes_its_limit_for_each_acceptor(#[case] via: Via) {
    let mut cluster = three(via).broker(|broker| broker.listeners = vec![limited(10)]).start().await;
    visit(&cluster, &node(&cluster, 0), 20);
    begin(&mut cluster).await;
    cluster.until("it is asked to leave", minutes(4), |cluster| cluster.hooks.times("Leave") > 0).await;
    ends_well(&mut cluster).await;
}

/// Twenty-one on two nodes are thirteen on each with the margin: three more than fit.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn survivors_that_would_be_full_hold_the_size(#[case] via: Via) {
    let builder = three(via).broker(|broker| broker.listeners = vec![limited(2)]).objects(two_acceptors);
    let mut cluster = builder.start().await;
    let visitors: Vec<_> = (0..3).flat_map(|ordinal| visit(&cluster, &node(&cluster, ordinal), 5)).collect();
    begin(&mut cluster).await;
    let told =
        |cluster: &Cluster| cluster.condition("WouldOverload").map(|told| told.message).unwrap_or_default();
    cluster.until("it would overload them", minutes(1), |cluster| !told(cluster).is_empty()).await;
    assert!(
        told(&cluster).contains("mqtt:1883") && told(&cluster).contains("5 × 2 acceptors"),
        "{}",
        told(&cluster)
    );
    cluster.pass(minutes(1)).await;
    assert_eq!((cluster.replicas(), cluster.hooks.times("Suspend")), (3, 0), "{}", cluster.dump());
    leave(&cluster, &visitors);
    cluster.until("it is asked to leave", minutes(4), |cluster| cluster.hooks.times("Leave") > 0).await;
    ends_well(&mut cluster).await;
}

/// The next client hangs, and the broker says nowhere that it does.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_full_listener_is_told(#[case] via: Via) {
    let spec = json!({ "replicas": 3 });
    let builder = three(via).spec(&spec).broker(|broker| broker.listeners = vec![limited(2)]);
    let mut cluster = builder.objects(two_acceptors).start().await;
    cluster.start_controller("a");
    let full =
        |cluster: &Cluster| cluster.condition("ListenerFull").map(|told| told.message).unwrap_or_default();
    let one = node(&cluster, 1);
    let visitors = visit(&cluster, &one, 9);
    cluster.pass(seconds(20)).await;
    assert_eq!(full(&cluster), "", "one more fits");
    let come = |id: &str| {
        let connect = Connect::new(id, Protocol::V4, true);
        cluster.fleet.with_model(|model, now| model.connect(&one, connect, now))
    };
    let (tenth, late) = (come("tenth"), come("late"));
    cluster.until("it is full", seconds(20), |cluster| full(cluster).contains("mqtt:1883")).await;
    assert!(
        full(&cluster).contains("of pod 1 (10 ") && full(&cluster).contains("The next client"),
        "{}",
        full(&cluster)
    );
    let online = |cluster: &Cluster| cluster.fleet.with_model(|model, _| model.connection_of("late"));
    assert_eq!(online(&cluster), None, "it hangs");
    let health = cluster.fleet.with_model(|model, _| model.health(&one, HealthPage::Health).status);
    assert_eq!(health, 200, "the broker says nothing of it");
    leave(&cluster, &visitors);
    leave(&cluster, &[tenth]);
    cluster.until("there is room", seconds(20), |cluster| full(cluster).is_empty()).await;
    assert_eq!(online(&cluster), Some(late), "whoever hung is taken");
}

fn four() -> Vec<ListenerSetting> {
    let all = [
        (Transport::Mqtt, 1883),
        (Transport::Mqttws, 8080),
        (Transport::Mqttwss, 8443),
        (Transport::Mqtts, 8883),
    ];
    all.map(|(transport, port)| ListenerSetting { transport, ..ListenerSetting::on(port) }).to_vec()
}

/// How many listeners of a node for clients are in this state.
fn listeners(cluster: &Cluster, at: &NodeName, state: ListenerStatus) -> usize {
    let page = cluster.fleet.with_model(|model, _| model.status(at));
    let own = page.nodes.into_iter().find(|(name, _)| name == at).map(|(_, status)| status.listeners);
    let mqtt = own.into_iter().flatten().filter(|one| one.kind.starts_with("mqtt"));
    mqtt.filter(|one| one.status == state).count()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn an_undo_opens_each_of_four_transports(#[case] via: Via) {
    let mut cluster = steered(via, 3).broker(|broker| broker.listeners = four()).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.wish(2);
    until_step(&mut cluster, "Drain").await;
    let leaver = node(&cluster, 2);
    assert_eq!(listeners(&cluster, &leaver, ListenerStatus::Suspended), 4, "a suspension closes all of them");
    cluster.wish(3);
    until_undone(&mut cluster, "WishRaised").await;
    assert_eq!(
        listeners(&cluster, &leaver, ListenerStatus::Running),
        4,
        "undone, and closed\n{}",
        cluster.dump()
    );
    let health = cluster.fleet.with_model(|model, _| model.health(&leaver, HealthPage::Health).status);
    assert_eq!(health, 200, "all that it listens by is ready");
    cluster.until("it serves again", seconds(3), |cluster| serves(cluster, 2)).await;
    cluster.assert_invariants().await;
}
