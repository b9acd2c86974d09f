use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use autoscaler::metrics::{Kind, kind_of};

fn node(topic: &str) -> (String, String, Option<String>) {
    match parse(topic).unwrap() {
        Topic::Node { node, metric, bound } => (node.to_owned(), metric, bound),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_topic_of_a_real_cluster_is_known() {
    let mut metrics = BTreeSet::new();
    for line in include_str!("../../../tests/recordings/sys_default_n1.txt").lines() {
        let topic = line.split(' ').nth(3).unwrap();
        let (node, metric, bound) = node(topic);
        assert!(node.starts_with("VerneMQ") && node.contains('@'), "{node}");
        assert_ne!(kind_of(&metric), Kind::Untyped, "{metric}");
        metrics.insert((metric, bound));
    }
    assert_eq!(metrics.len(), 150);
}

#[test]
fn a_metric_is_found_behind_an_odd_node_name() {
    let publish = |node: &str| (node.to_owned(), "mqtt_publish_received".to_owned(), None);
    for name in ["VerneMQ@a/b", "VerneMQ\"@h", "V\n@h", "V\\@h", "V@h/mqtt", "V@h/", "ü@h"] {
        assert_eq!(node(&format!("$SYS/{name}/mqtt/publish/received")), publish(name), "{name:?}");
    }
    assert_eq!(
        node("$SYS/V@a/b/metadata/get/microseconds/bucket/inf"),
        ("V@a/b".into(), "metadata_get_microseconds_bucket".into(), Some("+Inf".into()))
    );
    for (name, odd) in [("V@h", false), ("V\"@h", true), ("V@h/", true), ("V\n@h", true), ("V\\@h", true)] {
        assert_eq!(is_odd(name), odd, "{name:?}");
    }
}

#[test]
fn an_unknown_metric_begins_after_the_first_level() {
    assert_eq!(node("$SYS/V@h/brand/new/metric"), ("V@h".into(), "brand_new_metric".into(), None));
}

#[test]
fn what_is_no_metric_is_told_apart() {
    for (topic, error) in [
        ("sensors/1", Error::Form),
        ("$SYS", Error::Form),
        ("$SYS/", Error::Form),
        ("$SYS/V@h", Error::Form),
        ("$SYS/V@h/", Error::Form),
        ("$SYS//x", Error::Form),
        ("$SYS/V@h/some metric", Error::MetricName),
        ("$SYS/V@h/1st", Error::MetricName),
    ] {
        assert_eq!(parse(topic), Err(error), "{topic}");
    }
    assert_eq!(parse(&format!("$SYS/V@h/{}", "x/".repeat(300))), Err(Error::TooLong));
    assert_eq!(parse(&format!("$SYS/V@{}/mqtt/publish/received", "n".repeat(254))), Err(Error::TooLong));
    assert_eq!(parse("$SYS/broker/uptime"), Ok(Topic::Mosquitto("uptime")));
    // A known metric behind it makes no node of it.
    assert_eq!(parse("$SYS/brokers/emqx@h/metrics/bytes/received"), Ok(Topic::Foreign(Tree::Emqx)));
    assert_eq!(parse("$SYS/a/b/mqtt/publish/received"), Ok(Topic::Foreign(Tree::Unknown)));
}

proptest! {
    #[test]
    fn any_topic_is_survived(topic in "\\PC*", rest in "[a-z/_\"\n]{0,80}") {
        let _ = parse(&topic);
        if let Ok(Topic::Node { node, metric, .. }) = parse(&format!("$SYS/V@h{rest}")) {
            prop_assert!(!node.is_empty() && is_name(&metric, true));
        }
    }

    /// Whatever the node is called, its known metrics are found under exactly that name.
    #[test]
    fn any_node_keeps_its_name(name in "[^/\u{0}]{1,40}@[^\u{0}]{1,40}") {
        prop_assume!(name.len() <= NODE_MAX && !name.ends_with('/'));
        let topic = format!("$SYS/{name}/mqtt/publish/received");
        prop_assert_eq!(node(&topic).0, name);
    }
}
