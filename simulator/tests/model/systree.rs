//! `$SYS` (`sys_*.txt`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use simulator::model::{Command, Connect, Protocol, PublishOutcome, Settings, Signal, Version};

use crate::harness::{Harness, leave, name, settings};
use crate::recording;

const DEFAULT: &str = recording!("sys_default_n1.txt");

/// Node and metric of a recorded or delivered topic.
fn split(topic: &str) -> (&str, &str) {
    topic.strip_prefix("$SYS/").expect("a $SYS topic").split_once('/').expect("a node")
}

/// Recorded lines: seconds, retain, QoS, topic, payload.
fn recorded() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str, &'static str)>
{
    DEFAULT.lines().map(|line| {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("a word");
        (word(), word(), word(), word(), word())
    })
}

#[test]
fn each_node_publishes_the_recorded_topics_qos_0_not_retained() {
    let mut harness = Harness::cluster(3, settings());
    // The recording had a subscriber on each node.
    for k in 2..=3 {
        harness.session(k, &format!("watch{k}"), Protocol::V4, true);
    }
    let conn = harness.session(1, "watch", Protocol::V4, true);
    harness.subscribe(conn, "$SYS/#", 1);
    assert!(harness.seen(conn).got.is_empty(), "nothing until the next tick");
    harness.run(20_050);
    let mut want: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, retain, qos, topic, payload) in recorded() {
        assert_eq!((retain, qos), ("retain=0", "qos=0"));
        assert!(payload.parse::<i64>().is_ok());
        let (node, metric) = split(topic);
        want.entry(node).or_default().insert(metric);
    }
    let mut got: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for g in &harness.seen(conn).got {
        assert_eq!((g.qos, g.retain), (0, false));
        let (node, metric) = split(&g.topic);
        got.entry(node).or_default().push(metric);
    }
    assert_eq!(got.len(), want.len());
    for (node, metrics) in &got {
        assert_eq!(metrics.len(), 150, "{node}");
        assert_eq!(metrics.iter().copied().collect::<BTreeSet<_>>(), want[node], "{node}");
    }
    assert_eq!(harness.metric(1, "mqtt_publish_received"), 0, "$SYS itself does not count as received");
    // Of its deliveries the second recorded tick tells: `queue/message/in 450` and so on.
    for metric in ["mqtt_publish_sent", "queue_message_in", "queue_message_out", "router_matches_local"] {
        let topic = format!("/{}", metric.replace('_', "/"));
        let most = recorded()
            .filter(|r| r.3.contains("VerneMQ2@") && r.3.ends_with(&topic))
            .map(|r| r.4.parse::<i64>().expect("a number"))
            .max()
            .expect("recorded");
        // The recording had a subscriber on each node: three times our one on n1.
        assert_eq!(
            harness.metric(1, metric),
            if metric.starts_with("router") { most } else { 450.min(most) },
            "{metric}"
        );
    }
}

/// The same topics; one histogram, and with it nine topics, is there only after its first use. The last second of the
/// recording is cut.
#[test]
fn topics_of_2_2_0_are_the_same() {
    let recorded = recording!("sys_2.2.0.txt");
    let mut harness = Harness::cluster_of(Version::V2_2_0, 1);
    let names = |harness: &Harness| -> BTreeSet<String> {
        harness.model.sys_metrics(&name(1)).into_iter().map(|(metric, _)| metric.replace('_', "/")).collect()
    };
    let of = |node: &str| -> BTreeSet<String> {
        let topics = recorded.lines().filter_map(|line| line.split(' ').nth(1));
        let ours = topics.filter_map(|topic| topic.strip_prefix("$SYS/")?.split_once('/'));
        ours.filter(|(of, _)| of.starts_with(node)).map(|(_, metric)| metric.to_owned()).collect()
    };
    assert_eq!(names(&harness), of("VerneMQ3@"));
    let conn = harness.session(1, "c", Protocol::V4, true);
    harness.goodbye(conn);
    assert_eq!(names(&harness), of("VerneMQ1@"));
}

#[test]
fn values_are_sums_over_labels() {
    let after = recording!("sys_after_load_seen_from_n2.txt");
    let mut harness = Harness::cluster(1, settings());
    for (protocol, id) in [(Protocol::V4, "a"), (Protocol::V5, "b")] {
        let conn = harness.session(1, id, protocol, true);
        for _ in 0..30_000 {
            harness.publish(conn, "x", "x", 0);
        }
    }
    let sys = harness.model.sys_metrics(&name(1));
    let value = sys.iter().find(|(metric, _)| metric == "mqtt_publish_received").expect("there").1;
    assert!(crate::recording::line(after, "VerneMQ1@", 0).ends_with(&format!("received {value}")));
}

/// Arrival times of `…/mqtt/publish/received` by node, in milliseconds.
fn arrivals(rec: &str) -> BTreeMap<String, Vec<u64>> {
    let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in rec.lines() {
        let (at, rest) = line.split_once(' ').expect("a time");
        let topic = rest.split(' ').nth(1).expect("a topic");
        let (seconds, nanos) = at.split_once('.').expect("a fraction");
        let ms = seconds.parse::<u64>().expect("s") * 1_000 + nanos[..3].parse::<u64>().expect("ms");
        times.entry(split(topic).0.into()).or_default().push(ms);
    }
    times
}

#[test]
fn an_interval_of_two_seconds_drifts_by_two_milliseconds_and_each_node_has_its_phase() {
    let rec = recording!("sys_interval2000_through_kill_n3.txt");
    let settings = Settings { systree_interval: Duration::from_secs(2), ..settings() };
    let mut harness = Harness::cluster(3, settings);
    let conn = harness.session(2, "watch", Protocol::V4, true);
    harness.subscribe(conn, "$SYS/+/mqtt/publish/received", 0);
    let mut got: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..12_000 {
        harness.run(1);
        let now = harness.now;
        for g in std::mem::take(&mut harness.clients.get_mut(&conn).expect("there").got) {
            got.entry(split(&g.topic).0.into()).or_default().push(now);
        }
    }
    let gaps = |times: &[u64]| times.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
    let want = arrivals(rec);
    for node in ["VerneMQ1@127.0.0.11", "VerneMQ2@127.0.0.12"] {
        let recorded = gaps(&want[node]);
        let (low, high) = (recorded.iter().min().expect("gaps"), recorded.iter().max().expect("gaps"));
        assert!(
            gaps(&got[node]).iter().all(|gap| low <= gap && gap <= high),
            "{node} {:?}",
            gaps(&got[node])
        );
    }
    let phases: BTreeSet<u64> = got.values().map(|times| times[0] % 2_000).collect();
    assert_eq!(phases.len(), 3, "each its own");
    harness.signal(3, Signal::Kill);
    harness.run(6_000);
    let after: Vec<_> = harness.seen(conn).got.iter().map(|g| split(&g.topic).0.to_owned()).collect();
    assert!(!after.contains(&name(3).0), "a dead node simply stops appearing");
    assert!(after.len() >= 4, "the living go on in a netsplit");
}

/// n3 is killed after its third tick. Whoever had subscribed before gets the others' ticks as before,
/// though it cannot publish any more, and a newcomer is refused.
#[test]
fn a_netsplit_with_the_defaults_stops_no_tick_of_the_living() {
    let rec = recording!("sys_during_netsplit_defaults.txt");
    let dead = name(3).0;
    let want = arrivals(rec);
    let killed = *want[&dead].last().expect("it ticked");
    let end = want.values().flatten().max().expect("ticks");
    let settings = Settings { systree_interval: Duration::from_secs(2), ..settings() };
    let mut harness = Harness::cluster(3, settings);
    let conn = harness.session(2, "watch", Protocol::V4, true);
    harness.subscribe(conn, "$SYS/+/mqtt/publish/received", 0);
    let of = |harness: &Harness, node: &str| {
        harness.seen(conn).got.iter().filter(|g| split(&g.topic).0 == node).count()
    };
    harness
        .until(20_000, |harness| of(harness, &dead) == want[&dead].len())
        .expect("as many ticks as recorded");
    harness.signal(3, Signal::Kill);
    harness.clients.get_mut(&conn).expect("there").got.clear();
    harness.run(end - killed);
    assert_eq!(of(&harness, &dead), 0, "nothing announces its end");
    for node in [name(1).0, name(2).0] {
        let (got, recorded) = (of(&harness, &node), want[&node].iter().filter(|at| **at > killed).count());
        assert!(
            got.abs_diff(recorded) <= 1,
            "{node}: {got} ticks, recorded {recorded}, each at its own phase"
        );
    }
    for g in &harness.seen(conn).got {
        let line =
            format!("retain={} {} {}", u8::from(g.retain), g.topic, String::from_utf8_lossy(&g.payload));
        assert!(rec.contains(&line), "{line}");
    }
    assert_ne!(harness.publish(conn, "x", "x", 1), PublishOutcome::Accepted);
    let late = harness.connect(1, Connect::new("late", Protocol::V4, true));
    assert!(harness.seen(late).refused.is_some(), "as an exporter that comes now");
}

#[test]
fn a_singleton_is_invisible_to_a_subscriber_elsewhere() {
    let settings = Settings { systree_interval: Duration::from_secs(2), ..settings() };
    let mut harness = Harness::cluster(3, settings);
    harness.http(1, leave(&name(3), 30));
    harness.run(4_000);
    harness.boot(3);
    harness.run(5_000);
    let conn = harness.session(1, "watch", Protocol::V4, true);
    harness.subscribe(conn, "$SYS/#", 0);
    harness.run(6_000);
    let nodes: BTreeSet<_> = harness.seen(conn).got.iter().map(|g| split(&g.topic).0.to_owned()).collect();
    assert_eq!(nodes, BTreeSet::from([name(1).0, name(2).0]));
    assert_eq!(harness.http(3, Command::NodeHistory).0.map(|a| a.http_status()), Some(200));
}
