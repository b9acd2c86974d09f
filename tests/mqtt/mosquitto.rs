//! Against a real mosquitto under a known number of publishes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use vernescale::clock::Clock;
use vernescale::exporter::{Exporter, Settings};
use vernescale::observe::mqtt::Options;

use crate::programs::{Running, free_address, program};
use crate::scrape::Scraped;
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
async fn publish(address: SocketAddr, count: u32) {
    let options = MqttOptions::new("publisher", address.ip().to_string(), address.port());
    let (client, mut events) = AsyncClient::new(options, count as usize);
    for number in 0..count {
        client.try_publish("load/test", QoS::AtLeastOnce, false, number.to_string()).unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < count {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.unwrap() {
            acknowledged += 1;
        }
    }
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
    exporter.until("the first round", |page| page.published(&node) == Some(0.0)).await;
    publish(address, 500).await;
    let page = exporter.until("500", |page| page.published(&node) == Some(500.0)).await;
    assert_eq!(page.value("active_mqtt_connections", &[("node", &node)]), Some(1.0), "{}", page.body);
    publish(address, 250).await;
    exporter.until("750", |page| page.published(&node) == Some(750.0)).await;
    let rated = exporter
        .until("a rate", |page| page.value("mqtt_publish_received_rate", &[("window", "10s")]).is_some())
        .await;
    let rate = rated.value("mqtt_publish_received_rate", &[("window", "10s")]).unwrap();
    assert!((0.0..=100.0).contains(&rate), "{rate}");
    for reason in ["payload_malformed", "topic_malformed", "metric_name", "retained"] {
        assert!(rated.bad(reason) < 0.5, "{reason}");
    }
    exporter.stop().await;
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
