//! A real Prometheus scrapes the exporter, and the queries that people have give the right answers.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use net::Clock;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::sleep;
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
    query_at(prometheus, query, None).await
}

/// The same at another moment, in Unix time.
async fn query_at(prometheus: SocketAddr, query: &str, at: Option<u64>) -> Vec<(String, f64)> {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let at = at.map_or_else(String::new, |at| format!("&time={at}"));
    let (_, body) = get(prometheus, &format!("/api/v1/query?query={encoded}{at}")).await;
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

/// What `--timestamps` says of a clock that is off, and the series that shows it.
#[tokio::test]
async fn a_clock_that_is_ahead_loses_every_counter_and_is_seen() {
    const AHEAD: Duration = Duration::from_mins(20);
    let broker = Broker::start(anywhere()).await;
    let settings = Settings { source: options(broker.address), listen: anywhere(), timestamps: true };
    let now = Clock::system().now() + AHEAD;
    let exporter = Scraped::run(Exporter::bind(settings, Clock::starting_at(now)).await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let Some((_running, prometheus)) = start(exporter.address, directory.path()).await else { return };
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    tokio::spawn(play(broker.clone(), Arc::default()));
    // Scraped well: gauges arrive.
    right(prometheus, "vernescale_node_up", |answer| answer.len() == LOAD.len()).await;
    right(prometheus, "up", |answer| answer.len() == 1 && answer[0].1 > 0.5).await;
    assert!(exporter.page().await.published(LOAD[0].0).is_some());
    let then = Some((Clock::system().now() + AHEAD).0 / 1_000);
    for _ in 0..4 {
        assert_eq!(query_at(prometheus, "mqtt_publish_received", then).await, []);
        sleep(Duration::from_millis(500)).await;
    }
    let apart = "vernescale_clock_seconds - timestamp(vernescale_clock_seconds)";
    let wanted = AHEAD.as_secs_f64();
    right(prometheus, apart, |answer| answer.len() == 1 && (answer[0].1 - wanted).abs() < 5.0).await;
}

/// Every line, read by Prometheus' own parser; and every family of the broker has its help.
#[tokio::test]
async fn promtool_reads_the_page() {
    let Some(promtool) = program("promtool") else { return };
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    let recording = include_str!("../recordings/sys_default_n1.txt");
    for line in recording.lines().take(450) {
        let mut words = line.split(' ').skip(3);
        broker.publish(words.next().unwrap(), words.next().unwrap());
    }
    broker.publish("$SYS/VerneMQ1@127.0.0.11/brand/new/metric", "1.5");
    broker.publish("$SYS/Verne\"MQ\n@h/mqtt/publish/received", "7");
    let sent = Some(452.0);
    let page = exporter.until("all", |page| page.value("vernescale_messages_total", &[]) == sent).await;
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(page.body.as_bytes()).unwrap();
    let told = running.wait_with_output().unwrap();
    // 1 is a page that cannot be read; 3 are matters of taste, such as counters without `_total`.
    let told = (told.status.code(), String::from_utf8(told.stderr).unwrap());
    assert!(matches!(told.0, Some(0 | 3)), "{told:?}");
    assert!(!told.1.contains("no help text"), "{}", told.1);
    // The check itself: without them it complains.
    assert!(page.body.contains("\n# HELP brand_new_metric "));
}
