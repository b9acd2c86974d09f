//! `$SYS`, `/metrics` and `/status.json`: every name of the recordings, no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::timeout;

use crate::support::{Raw, Trio, get, no_key, recording, subscribe_packet};

/// Metric topics by node, from lines of `… $SYS/<node>/<metric> <value>`.
fn recorded_topics() -> BTreeMap<String, BTreeSet<String>> {
    let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in recording("sys_default_n1.txt").lines() {
        assert!(line.contains("retain=0 qos=0 "));
        let topic = line.split(" $SYS/").nth(1).unwrap().split(' ').next().unwrap();
        let (node, metric) = topic.split_once('/').unwrap();
        topics.entry(node.into()).or_default().insert(metric.into());
    }
    topics
}

#[tokio::test(start_paused = true)]
async fn sys_has_the_recorded_150_topics_of_every_node_on_any_node() {
    let trio = Trio::start(80, no_key()).await;
    // The recording had a client on each node.
    let _others =
        [Raw::connect(trio.mqtt(2), 4, "sys2", 2).await, Raw::connect(trio.mqtt(3), 4, "sys3", 2).await];
    let (mut raw, _) = Raw::connect(trio.mqtt(1), 4, "sys", 2).await;
    raw.send(&subscribe_packet(4, "$SYS/#", 2, 1)).await;
    assert_eq!(raw.packet().await.as_deref(), Some("9003000102"));
    let mut topics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let until = tokio::time::sleep(Duration::from_millis(20_050));
    tokio::pin!(until);
    let mut messages = 0;
    loop {
        let packet = tokio::select! {
            packet = raw.next_packet() => packet.unwrap(),
            () = &mut until => break,
        };
        assert_eq!(packet[0], 0x30, "QoS 0, not retained");
        let start = if packet[1] & 0x80 == 0 { 2 } else { 3 };
        let length = usize::from(u16::from_be_bytes([packet[start], packet[start + 1]]));
        let (topic, payload) = packet[start + 2..].split_at(length);
        let topic = std::str::from_utf8(topic).unwrap().strip_prefix("$SYS/").unwrap();
        let (node, metric) = topic.split_once('/').unwrap();
        topics.entry(node.into()).or_default().insert(metric.into());
        std::str::from_utf8(payload).unwrap().parse::<i64>().expect("bare integer text");
        messages += 1;
    }
    assert_eq!(topics, recorded_topics());
    assert_eq!(messages, 450, "once each in an interval");
    assert!(timeout(Duration::from_secs(1), raw.next_packet()).await.is_err() || messages == 450);
}

#[tokio::test(start_paused = true)]
async fn metrics_has_the_recorded_series() {
    let trio = Trio::start(81, no_key()).await;
    let page = get(trio.http(1), "/metrics").await.unwrap();
    assert!(page.kind.unwrap().starts_with("text/plain"));
    // Series with their labels but without values; types with their names.
    let shape = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with("# HELP"));
        lines
            .map(|line| if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap().0 }.into())
            .collect()
    };
    let recorded = shape(&recording("metrics_n1_after_load.prom"));
    let ours = shape(&page.body);
    let missing: Vec<_> = recorded.difference(&ours).collect();
    // Histograms that were never used are not there (`sys_2.2.0.txt`).
    let unused = ["vernemq_metadata_delete_microseconds", "vernemq_metadata_put_microseconds"];
    let first_use = |line: &&&String| !unused.iter().any(|family| line.contains(family));
    let missing: Vec<_> = missing.iter().filter(first_use).collect();
    let extra: Vec<_> = ours.difference(&recorded).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
}

#[tokio::test(start_paused = true)]
async fn the_status_page_has_the_recorded_members_in_order() {
    let trio = Trio::start(82, no_key()).await;
    let page = get(trio.http(1), "/status.json").await.unwrap();
    // Keys and strings in their order; numbers are the moment's.
    let shape = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let recorded = recording("http_api.txt");
    let recorded = recorded.lines().find(|line| line.starts_with("[{\"VerneMQ1@")).unwrap();
    assert_eq!(shape(&page.body), shape(recorded));
}
