//! Brokers that send once a minute: what is alive never looks dead, from the first message on.

use std::time::Duration;

use tokio::time::sleep;

use crate::broker::Broker;
use crate::scrape::Scraped;
use crate::{anywhere, options};

const MINUTE: Duration = Duration::from_mins(1);

/// Scrapes every five seconds for a minute: the source is `up` and so is every node.
async fn a_minute_up(exporter: &Scraped, nodes: usize) {
    for _ in 0..12 {
        let page = exporter.page().await;
        assert_eq!(page.reason(), "up", "{}", page.body);
        let up =
            page.series.iter().filter(|series| series.name == "vernescale_node_up" && series.value > 0.5);
        assert_eq!(up.count(), nodes, "{}", page.body);
        sleep(Duration::from_secs(5)).await;
    }
}

/// The recorded ticks of three nodes (`systree_interval` 60000 instead of 20000), each at its own phase.
#[tokio::test(start_paused = true)]
async fn vernemq_at_one_tick_a_minute_does_not_flap() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    let recording = include_str!("../recordings/sys_default_n1.txt");
    let messages: Vec<(&str, &str)> = recording
        .lines()
        .map(|line| {
            let mut words = line.split(' ').skip(3);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    for _ in 0..6 {
        for (topic, payload) in &messages[..450] {
            broker.publish(topic, *payload);
        }
        exporter.until("the nodes", |page| page.value("vernescale_node_up", &[]) == Some(1.0)).await;
        sleep(Duration::from_secs(1)).await;
        a_minute_up(&exporter, 3).await;
    }
    let page = exporter.page().await;
    assert!((page.events("no_messages"), page.events("up")) == (0.0, 1.0), "{}", page.body);
    let interval = page.value("vernescale_sample_interval_seconds", &[]).unwrap();
    assert!((60.0..65.0).contains(&interval), "{interval}");
    // Three intervals after its last tick, and not before, it is not up any more.
    sleep(MINUTE * 3).await;
    let page = exporter.page().await;
    assert_eq!(page.value("vernescale_node_up", &[]), Some(0.0));
    assert_eq!(page.reason(), "no_messages");
}

/// `sys_interval 60`: retained values at once, then `uptime` and what has changed.
#[tokio::test(start_paused = true)]
async fn mosquitto_at_one_round_a_minute_does_not_flap() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    broker.send("$SYS/broker/uptime", "7 seconds", true);
    broker.send("$SYS/broker/publish/messages/received", "5", true);
    let node = broker.address.to_string();
    exporter.until("the first value", |page| page.published(&node) == Some(5.0)).await;
    for round in 1..=6u32 {
        a_minute_up(&exporter, 1).await;
        broker.publish("$SYS/broker/uptime", format!("{} seconds", 60 * round));
        if round % 2 == 0 {
            broker.publish("$SYS/broker/publish/messages/received", (5 + round).to_string());
        }
    }
    let page = exporter.until("the last value", |page| page.published(&node) == Some(11.0)).await;
    assert!((page.events("no_messages"), page.events("up")) == (0.0, 1.0), "{}", page.body);
}

/// Until something was heard, the wait is the option's: a wrong ACL is told after a minute, or later where asked for.
#[tokio::test(start_paused = true)]
async fn a_first_message_is_waited_for_as_long_as_asked() {
    let broker = Broker::start(anywhere()).await;
    let source = options(broker.address).with_message_wait(MINUTE * 3);
    let exporter = Scraped::start(source).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    sleep(MINUTE * 2).await;
    assert_eq!(exporter.page().await.reason(), "subscribed");
    sleep(MINUTE + Duration::from_secs(5)).await;
    assert_eq!(exporter.page().await.reason(), "no_messages");
}
