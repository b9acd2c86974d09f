//! Messages that are not as they should be: told apart, counted, never a zero.

use std::time::Duration;

use tokio::time::sleep;

use crate::broker::Broker;
use crate::log::Log;
use crate::scrape::{Page, Scraped};
use crate::{anywhere, options};

const N1: &str = "VerneMQ1@127.0.0.11";
const PUBLISHED: &str = "$SYS/VerneMQ1@127.0.0.11/mqtt/publish/received";

async fn subscribed() -> (Broker, Scraped) {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    (broker, exporter)
}

async fn page_after(exporter: &Scraped, messages: f64) -> Page {
    let count = |page: &Page| page.value("vernescale_messages_total", &[]);
    exporter.until("all messages", |page| count(page) == Some(messages)).await
}

#[tokio::test(start_paused = true)]
async fn a_malformed_payload_is_counted_and_changes_nothing() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    broker.publish(PUBLISHED, "60000");
    let malformed: [&[u8]; 9] = [b"", b"sixty", b"12x", b" 12", b"nan", b"inf", b"-5", b"\xff\xfe", b"1,000"];
    for payload in malformed {
        broker.publish(PUBLISHED, payload);
        broker.publish("$SYS/VerneMQ2@127.0.0.12/mqtt/publish/received", payload);
    }
    let page = page_after(&exporter, 19.0).await;
    assert!((page.bad("payload_malformed") - 18.0).abs() < 0.5);
    // Cause and place, once a minute.
    assert_eq!(log.lines("payload_malformed"), 1, "{}", log.text());
    assert!(log.text().contains("is not a number") && log.text().contains(PUBLISHED), "{}", log.text());
    assert!(log.text().contains(&broker.address.to_string()), "{}", log.text());
    assert_eq!(page.published(N1), Some(60_000.0));
    assert_eq!(page.published("VerneMQ2@127.0.0.12"), None, "{}", page.body);
    // Nor does bad input keep a value alive.
    for _ in 0..38 {
        sleep(Duration::from_secs(5)).await;
        broker.publish(PUBLISHED, "sixty");
    }
    let page = page_after(&exporter, 57.0).await;
    assert_eq!(page.published(N1), None);
    assert_eq!(page.value("vernescale_node_up", &[("node", N1)]), Some(0.0));
    assert_eq!(page.reason(), "up");
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_a_megabyte_is_seen_and_refused_and_the_connection_lives() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    broker.publish(PUBLISHED, vec![b'9'; 1 << 20]);
    broker.publish(PUBLISHED, "7");
    let page = page_after(&exporter, 2.0).await;
    assert!((page.bad("payload_too_large") - 1.0).abs() < 0.5);
    assert_eq!(log.lines("the payload has 1048576 bytes"), 1, "{}", log.text());
    assert!(log.text().len() < 10_000, "a payload is not logged");
    assert_eq!(page.published(N1), Some(7.0));
    assert_eq!((broker.connects(), page.reason().as_str()), (1, "up"));
}

#[tokio::test(start_paused = true)]
async fn a_packet_beyond_the_limit_ends_the_connection_with_a_reason() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    broker.publish("firmware/image", vec![b'9'; 3 << 20]);
    exporter.reason("packet_too_large").await;
    // Cause, limit and remedy.
    assert_eq!(
        log.lines("a packet of 3145744 bytes came, more than the limit of 2097152"),
        1,
        "{}",
        log.text()
    );
    assert!(log.text().contains("narrow --topic to $SYS/#"), "{}", log.text());
    exporter.until("a new subscription", |_| broker.subscribes() == 2).await;
    broker.publish(PUBLISHED, "7");
    assert_eq!(exporter.reason("up").await.published(N1), Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn an_odd_node_name_becomes_a_label_and_is_counted() {
    let log = Log::catch();
    let (broker, exporter) = subscribed().await;
    let odd = ["Verne\"MQ@h", "Verne\nMQ@h", "VerneMQ@h/x", "Verne\\MQ@h", "Verne\"}1 2\n# @h"];
    for (value, node) in (1u32..).zip(odd) {
        broker.publish(&format!("$SYS/{node}/mqtt/publish/received"), value.to_string());
    }
    broker.publish("$SYS/VerneMQ ü@h/mqtt/publish/received", "6");
    let page = page_after(&exporter, 6.0).await;
    for (value, node) in (1u32..).zip(odd) {
        assert_eq!(page.published(node), Some(f64::from(value)), "{node:?}");
        assert_eq!(page.value("vernescale_node_up", &[("node", node)]), Some(1.0), "{node:?}");
    }
    assert_eq!(page.published("VerneMQ ü@h"), Some(6.0));
    assert!((page.bad("node_name_odd") - 5.0).abs() < 0.5);
    // Escaped: a line break in a name is none in the log.
    assert_eq!(log.lines("node_name_odd"), 1, "{}", log.text());
    assert!(log.text().contains(r#"$SYS/Verne\"MQ@h/mqtt"#), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn topics_that_name_no_metric_are_told_apart() {
    let (broker, exporter) = subscribed().await;
    broker.publish("$SYS/VerneMQ1@127.0.0.11", "1");
    broker.publish("sensors/1/temperature", "21");
    broker.publish(&format!("$SYS/{}/x", "n".repeat(600)), "1");
    broker.publish("$SYS/VerneMQ1@127.0.0.11/sp ace", "1");
    broker.send(PUBLISHED, "5", true);
    let page = page_after(&exporter, 5.0).await;
    assert!((page.bad("topic_malformed") - 3.0).abs() < 0.5);
    assert!((page.bad("metric_name") - 1.0).abs() < 0.5);
    assert!((page.bad("retained") - 1.0).abs() < 0.5);
    assert_eq!(page.published(N1), None);
}

#[tokio::test(start_paused = true)]
async fn invented_nodes_and_metrics_are_bounded() {
    let (broker, exporter) = subscribed().await;
    for node in 0..300 {
        broker.publish(&format!("$SYS/n{node}@h/mqtt/publish/received"), "1");
    }
    for metric in 0..3_000 {
        broker.publish(&format!("$SYS/n0@h/invented/m{metric}"), "1");
    }
    let page = page_after(&exporter, 3_300.0).await;
    assert!((page.bad("too_many_nodes") - 44.0).abs() < 0.5);
    // 1,024 names over all nodes, of which one was there.
    assert!((page.bad("too_many_series") - (3_000.0 - 1_023.0)).abs() < 0.5);
    let nodes = page.series.iter().filter(|series| series.name == "vernescale_node_up").count();
    assert_eq!(nodes, 256);
}

#[tokio::test(start_paused = true)]
async fn a_counter_falls_only_by_a_reset_and_rates_survive_it() {
    let (broker, exporter) = subscribed().await;
    let mut value = 1_000_000u64;
    for tick in 0..40u64 {
        value = if tick == 20 { 50 } else { value + 50 };
        broker.publish(PUBLISHED, value.to_string());
        sleep(Duration::from_secs(2)).await;
    }
    let page = exporter.page().await;
    assert_eq!(page.published(N1), Some(50.0 + 19.0 * 50.0));
    for window in ["10s", "1m"] {
        let rate = page.value("mqtt_publish_received_rate", &[("node", N1), ("window", window)]).unwrap();
        assert!((rate - 25.0).abs() < 0.1, "{window}: {rate}");
    }
    let five = page.value("mqtt_publish_received_rate", &[("node", N1), ("window", "5m")]);
    assert_eq!(five, None, "there were no five minutes yet");
}
