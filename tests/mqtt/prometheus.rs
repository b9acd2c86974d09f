//! A real Prometheus scrapes the exporter, and the queries that people have give the right answers.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::sleep;
use vernescale::clock::Clock;
use vernescale::exporter::{Exporter, Settings};

use crate::broker::Broker;
use crate::programs::{Running, free_address, program};
use crate::scrape::{Scraped, get};
use crate::{anywhere, options};

/// PUBLISH packets a second, by node.
const LOAD: [(&str, u64); 3] = [("VerneMQ1@h", 1_000), ("VerneMQ2@h", 300), ("VerneMQ3@h", 0)];

/// Plays three nodes whose counters follow real time, until `frozen`: from then on they send the same numbers.
async fn play(broker: Broker, frozen: Arc<AtomicBool>) {
    let clock = Clock::system();
    let begin = clock.now();
    let mut spent = 0;
    loop {
        if !frozen.load(Ordering::Relaxed) {
            spent = u64::try_from(clock.now().since(begin).as_millis()).unwrap();
        }
        for (node, rate) in LOAD {
            let value = 5_000 + rate * spent / 1_000;
            broker.publish(&format!("$SYS/{node}/mqtt/publish/received"), value.to_string());
        }
        sleep(Duration::from_secs(2)).await;
    }
}

/// Result of an instant query, by node.
async fn query(prometheus: SocketAddr, query: &str) -> Vec<(String, f64)> {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let (_, body) = get(prometheus, &format!("/api/v1/query?query={encoded}")).await;
    let body = body.lines().find(|line| line.starts_with('{')).unwrap_or("{}");
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let results = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    let one = |result: &Value| {
        let node = result["metric"]["node"].as_str().unwrap_or_default().to_owned();
        (node, result["value"][1].as_str().unwrap().parse().unwrap())
    };
    results.iter().map(one).collect()
}

/// Asks until the answer is right; fails with the last one after a minute and a half.
async fn right(prometheus: SocketAddr, text: &str, wanted: impl Fn(&[(String, f64)]) -> bool) {
    let mut last = Vec::new();
    for _ in 0..180 {
        last = query(prometheus, text).await;
        if wanted(&last) {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
    panic!("{text}: {last:?}");
}

async fn start(exporter: SocketAddr, directory: &std::path::Path) -> Option<(Running, SocketAddr)> {
    let prometheus = program("prometheus")?;
    let address = free_address();
    let file = directory.join("prometheus.yml");
    // Twice as often as the nodes send: without timestamps every other irate() would be zero.
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: v, honor_labels: true, \
         static_configs: [{{targets: ['{exporter}']}}]}}]\n"
    );
    std::fs::write(&file, scrape).unwrap();
    let mut command = Command::new(prometheus);
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .stdout(Stdio::null());
    let running = Running::start(&mut command);
    for _ in 0..300 {
        if TcpStream::connect(address).await.is_ok() {
            return Some((running, address));
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("prometheus does not listen on {address}");
}

#[tokio::test]
async fn sum_and_irate_are_right() {
    let broker = Broker::start(anywhere()).await;
    let settings = Settings { source: options(broker.address), listen: anywhere(), timestamps: true };
    let exporter = Scraped::run(Exporter::bind(settings, Clock::system()).await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let Some((_running, prometheus)) = start(exporter.address, directory.path()).await else { return };
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    let frozen = Arc::new(AtomicBool::new(false));
    tokio::spawn(play(broker.clone(), frozen.clone()));

    let irate = "irate(mqtt_publish_received[1m])";
    // What is wrong is zero or twice as much; what is right is off by what a busy machine is late, half a second.
    let near = |value: f64, wanted: f64| (value - wanted).abs() <= 0.25 * wanted + 0.5;
    let by_node = |answer: &[(String, f64)]| {
        answer.len() == LOAD.len()
            && LOAD.iter().all(|(node, rate)| {
                answer.iter().any(|(name, value)| name == node && near(*value, *rate as f64))
            })
    };
    right(prometheus, irate, by_node).await;
    // Not by luck: five answers in a row, at moments that have nothing to do with the ticks.
    let mut hits = 0;
    for _ in 0..8 {
        sleep(Duration::from_millis(730)).await;
        hits += usize::from(by_node(&query(prometheus, irate).await));
    }
    assert!(hits >= 6, "irate was right in {hits} of 8");

    right(prometheus, "mqtt_publish_received_rate{window=\"10s\"}", by_node).await;
    frozen.store(true, Ordering::Relaxed);
    let sum = "sum(mqtt_publish_received)";
    let total =
        |page: &crate::scrape::Page| LOAD.iter().filter_map(|(node, _)| page.published(node)).sum::<f64>();
    right(prometheus, irate, |answer| answer.len() == 3 && answer.iter().all(|(_, value)| *value < 0.01))
        .await;
    let wanted = total(&exporter.page().await);
    right(prometheus, sum, |answer| answer.len() == 1 && (answer[0].1 - wanted).abs() < 0.5).await;
    right(prometheus, "min(vernescale_node_up)", |answer| answer.len() == 1 && answer[0].1 > 0.5).await;
}
