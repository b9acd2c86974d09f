//! Listeners as people set them: a limit for each acceptor, a full one, and four transports that a shrink closes and
//! its undo opens (`disc2_max_connections.txt`, `disc2_listeners_all_transports.txt`).

use lifecycle::NodeName;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::model::{
    ConnId, Connect, Goodbye, HealthPage, ListenerSetting, ListenerStatus, Protocol, Transport,
};
use vernescale::api::Via;

use crate::one_leave::{begin, ends_well, node, three};
use crate::steering::{serves, steered, until_step, until_undone};
use crate::world::{World, minutes, seconds};

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
fn visit(world: &World, at: &NodeName, count: usize) -> Vec<ConnId> {
    let visitor = |n| Connect::new(format!("visitor-{at}-{n}"), Protocol::V4, true);
    (0..count).map(|n| world.fleet.with_model(|model, now| model.connect(at, visitor(n), now))).collect()
}

fn leave(world: &World, visitors: &[ConnId]) {
    for conn in visitors {
        world.fleet.with_model(|model, now| model.disconnect(*conn, Goodbye::Clean, now));
    }
}

/// Twenty-six clients on two nodes, with the margin sixteen on each: more than `max_connections`, and fewer than it
/// takes.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_node_takes_its_limit_for_each_acceptor(#[case] via: Via) {
    let mut world = three(via).broker(|broker| broker.listeners = vec![limited(10)]).start().await;
    visit(&world, &node(&world, 0), 20);
    begin(&mut world).await;
    world.until("it is asked to leave", minutes(4), |world| world.hooks.times("Leave") > 0).await;
    ends_well(&mut world).await;
}

/// Twenty-one on two nodes are thirteen on each with the margin: three more than fit.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn survivors_that_would_be_full_hold_the_size(#[case] via: Via) {
    let builder = three(via).broker(|broker| broker.listeners = vec![limited(2)]).objects(two_acceptors);
    let mut world = builder.start().await;
    let visitors: Vec<_> = (0..3).flat_map(|ordinal| visit(&world, &node(&world, ordinal), 5)).collect();
    begin(&mut world).await;
    let told = |world: &World| world.condition("WouldOverload").map(|told| told.message).unwrap_or_default();
    world.until("it would overload them", minutes(1), |world| !told(world).is_empty()).await;
    assert!(
        told(&world).contains("mqtt:1883") && told(&world).contains("5 × 2 acceptors"),
        "{}",
        told(&world)
    );
    world.pass(minutes(1)).await;
    assert_eq!((world.replicas(), world.hooks.times("Suspend")), (3, 0), "{}", world.dump());
    leave(&world, &visitors);
    world.until("it is asked to leave", minutes(4), |world| world.hooks.times("Leave") > 0).await;
    ends_well(&mut world).await;
}

/// The next client hangs, and the broker says nowhere that it does.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_full_listener_is_told(#[case] via: Via) {
    let spec = json!({ "replicas": 3 });
    let builder = three(via).spec(&spec).broker(|broker| broker.listeners = vec![limited(2)]);
    let mut world = builder.objects(two_acceptors).start().await;
    world.start_controller("a");
    let full = |world: &World| world.condition("ListenerFull").map(|told| told.message).unwrap_or_default();
    let one = node(&world, 1);
    let visitors = visit(&world, &one, 9);
    world.pass(seconds(20)).await;
    assert_eq!(full(&world), "", "one more fits");
    let come = |id: &str| {
        let connect = Connect::new(id, Protocol::V4, true);
        world.fleet.with_model(|model, now| model.connect(&one, connect, now))
    };
    let (tenth, late) = (come("tenth"), come("late"));
    world.until("it is full", seconds(20), |world| full(world).contains("mqtt:1883")).await;
    assert!(
        full(&world).contains("of pod 1 (10 ") && full(&world).contains("The next client"),
        "{}",
        full(&world)
    );
    let online = |world: &World| world.fleet.with_model(|model, _| model.connection_of("late"));
    assert_eq!(online(&world), None, "it hangs");
    let health = world.fleet.with_model(|model, _| model.health(&one, HealthPage::Health).status);
    assert_eq!(health, 200, "the broker says nothing of it");
    leave(&world, &visitors);
    leave(&world, &[tenth]);
    world.until("there is room", seconds(20), |world| full(world).is_empty()).await;
    assert_eq!(online(&world), Some(late), "whoever hung is taken");
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
fn listeners(world: &World, at: &NodeName, state: ListenerStatus) -> usize {
    let page = world.fleet.with_model(|model, _| model.status(at));
    let own = page.nodes.into_iter().find(|(name, _)| name == at).map(|(_, status)| status.listeners);
    let mqtt = own.into_iter().flatten().filter(|one| one.kind.starts_with("mqtt"));
    mqtt.filter(|one| one.status == state).count()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn an_undo_opens_each_of_four_transports(#[case] via: Via) {
    let mut world = steered(via, 3).broker(|broker| broker.listeners = four()).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    world.wish(2);
    until_step(&mut world, "Drain").await;
    let leaver = node(&world, 2);
    assert_eq!(listeners(&world, &leaver, ListenerStatus::Suspended), 4, "a suspension closes all of them");
    world.wish(3);
    until_undone(&mut world, "WishRaised").await;
    assert_eq!(
        listeners(&world, &leaver, ListenerStatus::Running),
        4,
        "undone, and closed\n{}",
        world.dump()
    );
    let health = world.fleet.with_model(|model, _| model.health(&leaver, HealthPage::Health).status);
    assert_eq!(health, 200, "all that it listens by is ready");
    world.until("it serves again", seconds(3), |world| serves(world, 2)).await;
    world.assert_bars().await;
}
