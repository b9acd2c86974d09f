//! Against a real mosquitto under a known number of publishes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use net::Clock;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use vernescale::exporter::{Exporter, Settings};
use vernescale::mqtt::options::Options;

use crate::programs::{Running, free_address, program};
use crate::scrape::{Page, Scraped};
use crate::{anywhere, options};

/// Starts it with these lines of configuration, somewhere.
async fn start(directory: &Path, lines: &str) -> Option<(Running, SocketAddr)> {
    let address = free_address();
    start_at(address, directory, lines).await.map(|running| (running, address))
}

/// Starts it and waits until it listens.
async fn start_at(address: SocketAddr, directory: &Path, lines: &str) -> Option<Running> {
    let mosquitto = program("mosquitto")?;
    let configuration = directory.join("mosquitto.conf");
    // Started as root it would give up its rights and could not read what the test has written.
    let user = "user root";
    let text = format!("listener {} {}\nsys_interval 1\n{user}\n{lines}\n", address.port(), address.ip());
    std::fs::write(&configuration, text).unwrap();
    let mut command = Command::new(mosquitto);
    let running = Running::start(command.arg("-c").arg(&configuration).stderr(Stdio::null()));
    let listening = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), listening).await.expect("mosquitto listens");
    Some(running)
}

/// Publishes at `QoS` 1 and returns when all are acknowledged.
async fn publish(address: SocketAddr, topic: &str, count: u32, payload: &[u8], retain: bool) {
    let options = MqttOptions::new("publisher", address.ip().to_string(), address.port());
    let (client, mut events) = AsyncClient::new(options, count as usize);
    for number in 0..count {
        // A retained message replaces the one before on its topic.
        let topic = if retain { format!("{topic}/{number}") } else { topic.to_owned() };
        client.try_publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < count {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.unwrap() {
            acknowledged += 1;
        }
    }
}

/// A subscriber, clean at `QoS` 0 or persistent at 1, once its filters are granted; it reads until it is aborted.
async fn subscribe(address: SocketAddr, id: &str, filters: &[&str], clean: bool) -> JoinHandle<()> {
    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
    options.set_clean_session(clean);
    let (client, mut events) = AsyncClient::new(options, 10);
    for filter in filters {
        client.try_subscribe(*filter, if clean { QoS::AtMostOnce } else { QoS::AtLeastOnce }).unwrap();
    }
    let mut granted = 0;
    while granted < filters.len() {
        granted += usize::from(matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))));
    }
    tokio::spawn(async move {
        let _client = client;
        while events.poll().await.is_ok() {}
    })
}

/// A client of MQTT 5 that goes again, and whose session expires a second later. The broker names it.
async fn expire(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let connect = *b"\x10\x12\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x00\x01\x00\x00";
    stream.write_all(&connect).await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], answer[3]), (0x20, 0), "accepted");
    stream.write_all(&[0xe0, 0]).await.unwrap();
}

async fn scrape(source: Options) -> Scraped {
    let settings = Settings { source, listen: anywhere(), timestamps: true };
    Scraped::run(Exporter::bind(settings, Clock::system()).await.unwrap())
}

#[tokio::test]
async fn every_publish_is_counted_once() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_running, address)) = start(directory.path(), "allow_anonymous true").await else { return };
    let exporter = scrape(options(address)).await;
    let node = address.to_string();
    let rate = |page: &Page| page.value("mqtt_publish_received_rate", &[("window", "10s")]);
    exporter.until("ten seconds of nothing", |page| rate(page) == Some(0.0)).await;
    publish(address, "load/test", 500, b"x", false).await;
    exporter.until("500", |page| page.published(&node) == Some(500.0)).await;
    // Over ten seconds it is 50 a second; a round of a busy broker may be late by three.
    exporter.until("a rate of 50", |page| rate(page).is_some_and(|rate| (38.0..=55.0).contains(&rate))).await;
    publish(address, "load/test", 250, b"x", false).await;
    let page = exporter.until("750", |page| page.published(&node) == Some(750.0)).await;
    for reason in ["payload_malformed", "topic_malformed", "metric_name", "retained"] {
        assert!(page.bad(reason) < 0.5, "{reason}");
    }
    exporter.stop().await;
}

/// Each of the names in `src/observe/mosquitto.rs` under a traffic that determines it.
#[tokio::test]
async fn a_known_traffic_gives_each_name_its_number() {
    let directory = tempfile::tempdir().unwrap();
    // More than is published in one go: no message to a client that is there is dropped.
    let lines = "allow_anonymous true\nmax_queued_messages 600";
    let Some((_running, address)) = start(directory.path(), lines).await else { return };
    let exporter = scrape(options(address)).await;
    exporter.until("the first round", |page| page.published(&address.to_string()) == Some(0.0)).await;
    let there = [
        subscribe(address, "one", &["load/#", "more/#"], true).await,
        subscribe(address, "two", &["load/#", "more/#"], true).await,
    ];
    for id in ["gone", "left"] {
        let parked = subscribe(address, id, &["park/#"], false).await;
        parked.abort();
        let _ = parked.await;
    }
    for _ in 0..2 {
        expire(address).await;
    }
    publish(address, "load/test", 500, &[b'x'; 1_000], false).await;
    publish(address, "park/test", 3_000, b"x", false).await;
    // What is sent to the exporter comes on top of what is sent to the two.
    let exactly = |number: f64| number..=number;
    let wanted = |page: &Page| -> [(&str, RangeInclusive<f64>); 9] {
        let to_exporter = page.value("vernescale_messages_total", &[]).unwrap();
        [
            // Whole packets; what is not counted here is a few hundred bytes, and the exporter's own.
            ("bytes_received", 556_000.0..=558_000.0),
            ("bytes_sent", 1_014_000.0..=1_034_000.0 + 100.0 * to_exporter),
            ("active_mqtt_connections", exactly(3.0)),
            ("client_expired", exactly(2.0)),
            ("queue_processes", exactly(5.0)),
            ("queue_message_drop", exactly(4_800.0)),
            ("mqtt_publish_received", exactly(3_500.0)),
            ("mqtt_publish_sent", 1_000.0..=1_000.0 + to_exporter),
            ("router_subscriptions", exactly(7.0)),
        ]
    };
    let right = |page: &Page| {
        wanted(page).iter().all(|(name, range)| page.value(name, &[]).is_some_and(|one| range.contains(&one)))
    };
    let page = exporter.until("every number", right).await;
    let ours = |name: &str| name.starts_with("vernescale_") || name.ends_with("_rate");
    let of_broker = page.series.iter().filter(|one| one.labels.contains_key("node") && !ours(&one.name));
    let names: BTreeSet<_> = of_broker.map(|series| series.name.as_str()).collect();
    let checked = wanted(&page).map(|(name, _)| name).into_iter();
    // Not `retain_messages`: mosquitto's number holds `$SYS` itself.
    assert_eq!(names, checked.collect(), "all that is read of mosquitto");
    there.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn values_disappear_when_it_is_killed_and_come_back_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let Some((running, address)) = start(directory.path(), "allow_anonymous true").await else { return };
    let exporter = scrape(options(address)).await;
    let node = address.to_string();
    exporter
        .until("an interval", |page| {
            page.value("vernescale_sample_interval_seconds", &[]).is_some() && page.published(&node).is_some()
        })
        .await;
    drop(running);
    let page = exporter.until("no values", |page| page.published(&node).is_none()).await;
    assert_eq!(page.value("vernescale_node_up", &[]), Some(0.0));
    assert!(["tcp_refused", "closed"].contains(&page.reason().as_str()), "{}", page.reason());
    let again = start_at(address, directory.path(), "allow_anonymous true").await;
    let page = exporter.until("the new one", |page| page.published(&node) == Some(0.0)).await;
    assert_eq!(page.reason(), "up");
    drop(again);
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_so() {
    let directory = tempfile::tempdir().unwrap();
    let passwords = directory.path().join("passwords");
    let Some(tool) = program("mosquitto_passwd") else { return };
    let made = Command::new(tool).arg("-b").arg("-c").arg(&passwords).args(["exporter", "right"]).status();
    assert!(made.unwrap().success());
    let lines = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let Some((_running, address)) = start(directory.path(), &lines).await else { return };
    let file = directory.path().join("password");
    let with = |password: &str| {
        std::fs::write(&file, password).unwrap();
        options(address).with_credentials(Some("exporter".to_owned()), Some(&file)).unwrap()
    };
    // mosquitto answers a wrong password with 5, not 4.
    scrape(with("wrong")).await.reason("not_authorized").await;
    scrape(with("right\n")).await.reason("up").await;
}

/// mosquitto grants any subscription and then delivers nothing of what its ACL forbids.
#[tokio::test]
async fn an_acl_that_hides_sys_is_not_taken_for_an_idle_broker() {
    let directory = tempfile::tempdir().unwrap();
    let acl = directory.path().join("acl");
    std::fs::write(&acl, "topic readwrite load/#\n").unwrap();
    let lines = format!("allow_anonymous true\nacl_file {}", acl.display());
    let Some((_running, address)) = start(directory.path(), &lines).await else { return };
    // It sends every 2 s: three of its intervals.
    let source = options(address).with_message_wait(Duration::from_secs(6));
    let page = scrape(source).await.reason("no_messages").await;
    assert!((page.events("subscribed"), page.events("acl_refused")) == (1.0, 0.0), "{}", page.body);
    assert!(page.series.iter().all(|series| !series.labels.contains_key("node")), "{}", page.body);
    // The same broker, to somebody who may read it.
    std::fs::write(&acl, "topic readwrite load/#\ntopic read $SYS/#\n").unwrap();
    let open = directory.path().join("open");
    std::fs::create_dir(&open).unwrap();
    let Some((_allowing, address)) = start(&open, &lines).await else { return };
    let source = options(address).with_message_wait(Duration::from_secs(6));
    scrape(source).await.reason("up").await;
}

#[tokio::test]
async fn tls_is_spoken_and_a_stranger_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let address = free_address();
    for name in ["broker", "stranger"] {
        let made = rcgen::generate_simple_self_signed([address.ip().to_string()]).unwrap();
        std::fs::write(file(&format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    let lines = format!(
        "allow_anonymous true\ncertfile {}\nkeyfile {}",
        file("broker.pem").display(),
        file("broker.key").display()
    );
    let Some(_running) = start_at(address, directory.path(), &lines).await else { return };
    let trusting = |name: &str| {
        let broker = format!("mqtts://{address}").parse().unwrap();
        Options::new(broker, "tls".to_owned(), vec!["$SYS/#".to_owned()], Some(&file(name))).unwrap()
    };
    scrape(trusting("broker.pem")).await.reason("up").await;
    scrape(trusting("stranger.pem")).await.reason("tls_failed").await;
}
