use lifecycle::{Listener, Node, Observed, Reach};
use serde_json::json;

use super::*;
use autoscaler::metrics::{NodeView, Source};

/// Connections of `max_connections` 5 on a running listener.
fn shown(kind: &str, port: u16, active: Option<u64>) -> ShownListener {
    let address = "10.0.0.1".into();
    ShownListener {
        listener: Listener { kind: kind.into(), address, port, state: ListenerState::Running },
        connections_max: Some(5),
        active,
        mountpoint: String::new(),
    }
}

fn answered(ordinal: u32, client_listeners: Option<Vec<ShownListener>>) -> (Ordinal, Answered) {
    let unknown = || "not asked".to_owned();
    let node = Node {
        name: Some(NodeName(format!("n{ordinal}"))),
        reach: Reach::Answers,
        members: Observed::Unknown(unknown()),
        listeners: Observed::Unknown(unknown()),
        counts: Observed::Unknown(unknown()),
        objects: Observed::Unknown(unknown()),
        groups: None,
        version: Observed::Unknown(unknown()),
    };
    let (sample, gauges, ahead, trouble) = (None, None, None, None);
    (
        Ordinal(ordinal),
        Answered { node, sample, gauges, client_listeners, ahead, list_crashes: false, trouble },
    )
}

fn statefulset(acceptors: Option<&str>) -> StatefulSet {
    let set = |count| json!({ "name": "DOCKER_VERNEMQ_LISTENER__NR_OF_ACCEPTORS", "value": count });
    let env: Vec<_> = acceptors.into_iter().map(set).collect();
    let container = json!({ "name": "vernemq", "env": env });
    let spec = json!({ "selector": {}, "serviceName": "vmq", "template": { "spec": { "containers": [container] } } });
    serde_json::from_value(json!({ "spec": spec })).unwrap()
}

type Nodes = Vec<Option<Vec<ShownListener>>>;

struct Scene {
    statefulset: StatefulSet,
    nodes: BTreeMap<Ordinal, Answered>,
    fleet: FleetView,
    still: Still,
}

impl Scene {
    fn new(acceptors: Option<&str>, nodes: Nodes) -> Self {
        let nodes =
            (0..).zip(nodes).map(|(ordinal, client_listeners)| answered(ordinal, client_listeners)).collect();
        let fleet = FleetView { at: Time(0), nodes: BTreeMap::new() };
        Self { statefulset: statefulset(acceptors), nodes, fleet, still: Still::new() }
    }

    fn conns_max(&self) -> ConnsMax {
        Listeners::new(&self.statefulset, "vernemq", &self.nodes).conns_max()
    }

    /// Severity and message at this second.
    fn full(&mut self, second: u64) -> Option<(Severity, String)> {
        let listeners = Listeners::new(&self.statefulset, "vernemq", &self.nodes);
        let told = listeners.full(&mut self.still, &self.fleet, Time(second * 1_000))?;
        Some((told.severity, told.message))
    }
}

fn rooms(conns_max: ConnsMax) -> Vec<(String, u64, Option<u64>)> {
    match conns_max {
        ConnsMax::Limited(rooms) => {
            rooms.into_iter().map(|room| (room.name, room.limit, room.held)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_limit_is_max_connections_times_the_acceptors() {
    let node = |held| Some(vec![shown("mqtt", 1883, Some(held)), shown("mqttws", 8080, Some(700))]);
    let assumed = rooms(Scene::new(None, vec![node(11), node(3)]).conns_max());
    assert_eq!(assumed, [("connections of mqtt:1883 (5 × 10 acceptors, assumed)".into(), 50, Some(14))]);
    let set = rooms(Scene::new(Some("2"), vec![node(1), node(3)]).conns_max());
    assert_eq!(set, [("connections of mqtt:1883 (5 × 2 acceptors)".into(), 10, Some(4))]);
    let proven = rooms(Scene::new(None, vec![node(61), node(3)]).conns_max());
    assert_eq!(proven[0].1, 65, "61 are there: it has thirteen acceptors at least");
}

#[test]
fn what_holds_no_limit_or_is_not_read_is_no_limit_and_not_known() {
    let websocket = || Some(vec![shown("mqttws", 8080, Some(700)), shown("mqttwss", 8443, Some(0))]);
    assert_eq!(Scene::new(None, vec![websocket(), websocket()]).conns_max(), ConnsMax::Unlimited);
    let infinity = ShownListener { connections_max: None, ..shown("mqtt", 1883, Some(4)) };
    assert_eq!(Scene::new(None, vec![Some(vec![infinity])]).conns_max(), ConnsMax::Unlimited);
    let plain = || Some(vec![shown("mqtt", 1883, Some(1))]);
    assert_eq!(Scene::new(None, vec![plain(), None]).conns_max(), ConnsMax::Unknown);
    let leaves = rooms(Scene::new(None, vec![plain(), Some(Vec::new())]).conns_max());
    assert_eq!(leaves.len(), 1, "a node whose listeners a leave has deleted takes no part");
}

#[test]
fn uncounted_listeners_have_their_room_together() {
    let node = || Some(vec![shown("mqtt", 1883, None), shown("mqtts", 8883, None)]);
    let together = rooms(Scene::new(None, vec![node(), node()]).conns_max());
    assert_eq!(together.len(), 1);
    assert_eq!((together[0].1, together[0].2), (100, None));
    assert!(together[0].0.contains("mqtts:8883 5 × 10 acceptors, assumed"), "{}", together[0].0);
}

#[test]
fn a_full_listener_is_told() {
    let node = |held| Some(vec![shown("mqtt", 1883, Some(held))]);
    let mut scene = Scene::new(Some("2"), vec![node(3), node(10)]);
    let (severity, message) = scene.full(0).expect("one is full");
    assert_eq!(severity, Severity::Critical);
    assert!(message.starts_with("mqtt:1883 of pod 1 (10 of 5 × 2 acceptors) takes no more"), "{message}");
    assert_eq!(Scene::new(Some("2"), vec![node(3), node(9)]).full(0), None);
    assert_eq!(Scene::new(None, vec![node(50)]).full(0).unwrap().0, Severity::Critical);
    assert_eq!(Scene::new(None, vec![node(51)]).full(0), None, "it has more than were assumed");
    let mut suspended = shown("mqtt", 1883, Some(10));
    suspended.listener.state = ListenerState::Suspended;
    assert_eq!(Scene::new(Some("2"), vec![Some(vec![suspended])]).full(0), None, "it takes nobody by itself");
}

/// With two acceptors it is full at ten, and from here nobody knows how many there are.
#[test]
fn a_listener_that_stands_at_a_multiple_may_be_full() {
    let node = |held| Some(vec![shown("mqtt", 1883, Some(held))]);
    let mut scene = Scene::new(None, vec![node(10)]);
    assert_eq!((scene.full(0), scene.full(59)), (None, None));
    assert_eq!(scene.full(60).map(|told| told.0), Some(Severity::Info));
    let moved = Scene::new(None, vec![node(9)]);
    scene.nodes = moved.nodes;
    assert_eq!(scene.full(61), None);
    scene.nodes = Scene::new(None, vec![node(10)]).nodes;
    assert_eq!(scene.full(62), None, "it has moved meanwhile");
    let mut known = Scene::new(Some("10"), vec![node(10)]);
    assert_eq!((known.full(0), known.full(60)), (None, None));
}

#[test]
fn through_exec_the_metrics_count() {
    let mut scene = Scene::new(Some("2"), vec![Some(vec![shown("mqtt", 1883, None)])]);
    assert_eq!(scene.full(0), None, "not known");
    let metrics = BTreeMap::from([(LIMITED_CONNECTIONS.to_owned(), Metric::Gauge(Reading::Known(10.0)))]);
    let node = NodeView {
        source: Source::Metrics,
        age: None,
        interval: None,
        fresh: true,
        last_reset: None,
        metrics,
        others: Vec::new(),
    };
    scene.fleet.nodes.insert(NodeName("n0".into()), node);
    let (severity, message) = scene.full(1).expect("full");
    assert_eq!(severity, Severity::Critical);
    assert!(message.contains("(10 connections together)"), "{message}");
}
