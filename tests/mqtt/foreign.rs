//! `$SYS` of other brokers: told as such, and never a node.

use std::time::Duration;

use tokio::time::sleep;

use crate::broker::Broker;
use crate::log::Log;
use crate::scrape::{Page, Scraped};
use crate::{anywhere, options};

/// As EMQX' documentation lists them.
const EMQX: [(&str, &str); 8] = [
    ("$SYS/brokers", "emqx@127.0.0.1"),
    ("$SYS/brokers/emqx@127.0.0.1/version", "5.8.1"),
    ("$SYS/brokers/emqx@127.0.0.1/uptime", "3 minutes, 2 seconds"),
    ("$SYS/brokers/emqx@127.0.0.1/stats/connections/count", "12"),
    ("$SYS/brokers/emqx@127.0.0.1/metrics/bytes/received", "8192"),
    ("$SYS/brokers/emqx@127.0.0.1/metrics/messages/received", "77"),
    ("$SYS/brokers/emqx@127.0.0.1/metrics/packets/publish/received", "77"),
    ("$SYS/brokers/emqx@127.0.0.1/clients/c1/connected", "{}"),
];
/// As the extension of `HiveMQ` sends them; some are named as mosquitto's, and come first.
const HIVEMQ: [(&str, &str); 5] = [
    ("$SYS/broker/clients/connected", "12"),
    ("$SYS/broker/clients/total", "20"),
    ("$SYS/broker/uptime", "180"),
    ("$SYS/broker/messages/publish/received", "77"),
    ("$SYS/broker/load/bytes/received", "8192"),
];

async fn subscribed() -> (Broker, Scraped) {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    (broker, exporter)
}

/// Sends once a minute, as both do, and returns the page after each time.
async fn sends(broker: &Broker, exporter: &Scraped, tree: &[(&str, &str)], minutes: usize) -> Vec<Page> {
    let mut pages = Vec::new();
    for minute in 1..=minutes {
        for (topic, payload) in tree {
            broker.publish(topic, *payload);
        }
        let sent = Some(f64::from(u32::try_from(minute * tree.len()).unwrap()));
        let all = |page: &Page| page.value("vernescale_messages_total", &[]) == sent;
        pages.push(exporter.until("all messages", all).await);
        sleep(Duration::from_mins(1)).await;
        pages.push(exporter.page().await);
    }
    pages
}

fn has_no_node(page: &Page) -> bool {
    page.series.iter().all(|series| !series.labels.contains_key("node"))
}

#[tokio::test(start_paused = true)]
async fn emqx_is_no_node_of_vernemq() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    for page in sends(&broker, &exporter, &EMQX, 5).await {
        assert_eq!(page.reason(), "foreign_tree");
        assert!(has_no_node(&page), "{}", page.body);
    }
    let page = exporter.page().await;
    assert_eq!((page.events("foreign_tree"), page.events("up"), page.events("no_messages")), (1.0, 0.0, 0.0));
    assert!((page.bad("foreign_tree") - 40.0).abs() < 0.5);
    // Which broker, and what to do.
    assert!(log.text().contains("looks like that of EMQX or a relative of it"), "{}", log.text());
    assert!(log.text().contains("point --broker at a VerneMQ or mosquitto"), "{}", log.text());
    // It is gone: that is told, too.
    sleep(Duration::from_mins(3)).await;
    assert_eq!(exporter.page().await.reason(), "no_messages");
}

#[tokio::test(start_paused = true)]
async fn hivemq_is_not_taken_for_mosquitto() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    for page in sends(&broker, &exporter, &HIVEMQ, 3).await {
        assert_eq!(page.reason(), "foreign_tree");
        assert!(has_no_node(&page), "{}", page.body);
    }
    assert!(log.text().contains("looks like HiveMQ's"), "{}", log.text());
    // A mosquitto that takes its place is read.
    broker.cut();
    exporter.until("a new subscription", |_| broker.subscribes() == 2).await;
    broker.send("$SYS/broker/clients/connected", "3", true);
    broker.publish("$SYS/broker/uptime", "10 seconds");
    let page = exporter.reason("up").await;
    let connected = |page: &Page| page.value("active_mqtt_connections", &[]);
    assert_eq!(connected(&exporter.until("a value", |page| connected(page).is_some()).await), Some(3.0));
    assert!((page.events("foreign_tree") - 1.0).abs() < 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_tree_beside_ours_changes_nothing() {
    let (broker, exporter) = subscribed().await;
    broker.publish("$SYS/VerneMQ1@127.0.0.11/mqtt/publish/received", "7");
    exporter.reason("up").await;
    for (topic, payload) in EMQX {
        broker.publish(topic, payload);
    }
    let page = exporter.until("all of them", |page| page.bad("foreign_tree") > 7.5).await;
    assert_eq!((page.reason().as_str(), page.published("VerneMQ1@127.0.0.11")), ("up", Some(7.0)));
    assert_eq!(page.series.iter().filter(|series| series.name == "vernescale_node_up").count(), 1);
}
