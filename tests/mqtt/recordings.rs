//! What the real cluster sent, played with its timing, comes out number for number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Time;
use net::Clock;
use tokio::time::{sleep, timeout};

use crate::broker::Broker;
use crate::scrape::{Page, Scraped};
use crate::{anywhere, options};

struct Line {
    at: Duration,
    topic: String,
    value: String,
}

/// Lines `<time> [retain=… qos=…] <topic> <payload>`; the time as date or as seconds.
fn lines(recording: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = recording
        .lines()
        .map(|line| {
            let mut words = line.split(' ').filter(|word| !word.starts_with("retain=") && *word != "qos=0");
            let time = words.next().unwrap();
            let seconds = match time.parse::<Timestamp>() {
                Ok(time) => Duration::from_millis(u64::try_from(time.as_millisecond()).unwrap()),
                Err(_) => Duration::from_secs_f64(time.parse().unwrap()),
            };
            let (topic, value) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
            Line { at: seconds, topic, value }
        })
        .collect();
    let begin = lines[0].at;
    for line in &mut lines {
        line.at -= begin;
    }
    lines
}

/// Name and labels as the page must have them: a bucket's bound is the last level of its topic.
fn series(topic: &str) -> (String, String) {
    let (node, metric) = topic.strip_prefix("$SYS/").unwrap().split_once('/').unwrap();
    let (name, le) = match metric.split_once("/bucket/") {
        Some((base, "inf")) => (format!("{base}/bucket"), ",le=\"+Inf\"".to_owned()),
        Some((base, bound)) => (format!("{base}/bucket"), format!(",le=\"{bound}\"")),
        None => (metric.to_owned(), String::new()),
    };
    (name.replace('/', "_"), format!("{{node=\"{node}\"{le}}}"))
}

/// As Prometheus wants a histogram: bounds rise, `+Inf` is the last of them, and each bucket holds the ones before.
fn assert_histograms(page: &Page, wanted: &BTreeMap<String, String>, nodes: usize) {
    let histograms: BTreeSet<&str> =
        wanted.keys().filter_map(|series| Some(series.split_once("_bucket{")?.0)).collect();
    assert!(!histograms.is_empty());
    for histogram in histograms {
        assert!(page.body.contains(&format!("\n# TYPE {histogram} histogram\n")), "{histogram}");
        let mut buckets: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for series in page.series.iter().filter(|series| series.name == format!("{histogram}_bucket")) {
            let bound = series.labels["le"].parse().unwrap();
            buckets.entry(&series.labels["node"]).or_default().push((bound, series.value));
        }
        assert_eq!(buckets.len(), nodes, "{histogram}");
        for (node, buckets) in buckets {
            assert!(buckets.len() > 2 && buckets.is_sorted_by(|a, b| a.0 < b.0), "{histogram} {buckets:?}");
            assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{histogram} is not cumulative: {buckets:?}");
            let count = page.value(&format!("{histogram}_count"), &[("node", node)]).unwrap();
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{histogram}");
        }
    }
}

/// Every value on the page, as text: `name{labels}` to the number as it stands there.
fn written(page: &Page) -> BTreeMap<String, String> {
    let lines = page.body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, rest) = line.split_once("} ").map_or_else(
                || line.split_once(' ').unwrap(),
                |(series, rest)| (&line[..=series.len()], rest),
            );
            (series.to_owned(), rest.split(' ').next().unwrap().to_owned())
        })
        .collect()
}

async fn play_whole(recording: &str, nodes: usize) {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    let mut wanted = BTreeMap::new();
    let mut played = Duration::ZERO;
    let mut sent = 0u32;
    for line in lines(recording) {
        if line.at > played {
            compare(&exporter, sent, &wanted).await;
            sleep(line.at.checked_sub(played).unwrap()).await;
            played = line.at;
        }
        broker.publish(&line.topic, line.value.clone());
        sent += 1;
        let (name, labels) = series(&line.topic);
        wanted.insert(format!("{name}{labels}"), line.value);
    }
    compare(&exporter, sent, &wanted).await;
    assert_eq!(wanted.len(), 150 * nodes);
    let page = exporter.page().await;
    assert_histograms(&page, &wanted, nodes);
    assert!(page.body.contains("\n# TYPE mqtt_publish_received counter\n"));
    assert!(page.body.contains("\n# TYPE queue_processes gauge\n"));
    assert!(!page.body.contains("untyped"));
    exporter.stop().await;
    let goodbye = async {
        while broker.goodbyes() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), goodbye).await.expect("it says goodbye");
}

/// The page once everything that was sent has arrived.
async fn page_after(exporter: &Scraped, sent: u32) -> Page {
    let arrived = |page: &Page| page.value("vernescale_messages_total", &[]) == Some(f64::from(sent));
    exporter.until("all messages", arrived).await
}

async fn compare(exporter: &Scraped, sent: u32, wanted: &BTreeMap<String, String>) {
    let page = page_after(exporter, sent).await;
    let there = written(&page);
    for (series, value) in wanted {
        assert_eq!(there.get(series), Some(value), "{series}");
    }
    let broker_series = there.keys().filter(|series| !series.contains("vernescale_"));
    let strange: Vec<_> = broker_series
        .filter(|series| !wanted.contains_key(*series))
        .filter(|series| !series.starts_with("process_") && !series.starts_with("mqtt_publish_received_rate"))
        .collect();
    assert!(strange.is_empty(), "not from the broker: {strange:?}");
}

#[tokio::test(start_paused = true)]
async fn the_stream_seen_from_node_1_comes_out_number_for_number() {
    play_whole(include_str!("../recordings/sys_default_n1.txt"), 3).await;
}

#[tokio::test(start_paused = true)]
async fn the_stream_seen_from_node_2_comes_out_number_for_number() {
    play_whole(include_str!("../recordings/sys_default_n2.txt"), 3).await;
}

/// Node 3 is killed after the fourth tick and back twelve seconds later.
#[tokio::test(start_paused = true)]
async fn a_killed_node_disappears_and_comes_back() {
    const N3: &str = "VerneMQ3@127.0.0.13";
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    let clock = Clock::starting_at(Time(0));
    let played = || clock.now().since(Time(0));
    let mut heard = Vec::new();
    for (line, sent) in
        lines(include_str!("../recordings/sys_interval2000_through_kill_n3.txt")).into_iter().zip(1..)
    {
        sleep(line.at.saturating_sub(played())).await;
        broker.publish(&line.topic, line.value);
        let page = page_after(&exporter, sent).await;
        let up = page.value("vernescale_node_up", &[("node", N3)]);
        assert_eq!(page.published(N3).is_some(), up == Some(1.0), "{}", page.body);
        assert_eq!(up.is_none(), heard.is_empty() && !line.topic.contains(N3));
        heard.extend(up.map(|up| (played(), up > 0.5)));
    }
    let seen: Vec<bool> = heard.iter().map(|(_, up)| *up).collect();
    let mut phases = seen.clone();
    phases.dedup();
    assert_eq!(phases, [true, false, true]);
    let lost = heard.iter().find(|(_, up)| !up).unwrap().0;
    // Last heard at 6.1 s, three intervals of 2.0 s later.
    assert!((12.0..14.5).contains(&lost.as_secs_f64()), "{lost:?}");
    let page = exporter.page().await;
    let interval = page.value("vernescale_sample_interval_seconds", &[("node", "VerneMQ1@127.0.0.11")]);
    assert!((interval.unwrap() - 2.0).abs() < 0.02, "{interval:?}");
    assert_eq!(page.published("VerneMQ1@127.0.0.11"), Some(6.0));
    // Six PUBLISHes within the last minute are no rate yet: the recording is shorter than a minute.
    let rate = |window| {
        page.value("mqtt_publish_received_rate", &[("node", "VerneMQ1@127.0.0.11"), ("window", window)])
    };
    assert_eq!((rate("10s"), rate("1m")), (Some(0.0), None));
    exporter.stop().await;
}
