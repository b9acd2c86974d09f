//! Everything that can be wrong with the connection: told apart, said once, never a frozen value.

use std::time::Duration;

use rumqttc::mqttbytes::v4::ConnectReturnCode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::sleep;
use vernescale::mqtt::options::Options;

use crate::broker::{Broker, Manners};
use crate::log::Log;
use crate::scrape::{Scraped, get};
use crate::{anywhere, options};

const N1: &str = "VerneMQ1@127.0.0.11";
const PUBLISHED: &str = "$SYS/VerneMQ1@127.0.0.11/mqtt/publish/received";

fn refusing(code: ConnectReturnCode) -> Manners {
    Manners { connack: Some(code), ..Manners::default() }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_retried_and_said_once() {
    let log = Log::catch();
    // A port that is bound but not listened on refuses, and nobody else can take it meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(anywhere()).unwrap();
    let address = socket.local_addr().unwrap();
    let exporter = Scraped::start(options(address)).await;
    exporter.until("several attempts", |page| page.events("tcp_refused") >= 5.0).await;
    let page = exporter.page().await;
    assert_eq!(page.reason(), "tcp_refused");
    assert!(page.series.iter().all(|series| !series.labels.contains_key("node")), "{}", page.body);
    assert_eq!(log.lines("tcp_refused"), 1, "{}", log.text());
    assert!(log.text().contains(&address.to_string()) && log.text().contains("MQTT listener"));
    // The broker's state is a metric, not readiness.
    for path in ["/healthz", "/readyz"] {
        assert!(get(exporter.address, path).await.0.starts_with("HTTP/1.1 200"));
    }
    drop(socket);
    let broker = Broker::start(address).await;
    exporter.reason("subscribed").await;
    broker.publish(PUBLISHED, "7");
    assert_eq!(exporter.reason("up").await.published(N1), Some(7.0));
    assert_eq!(log.lines("reason=\"up\""), 1, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_a_connect_has_its_own_reason() {
    for (code, reason) in [
        (ConnectReturnCode::BadUserNamePassword, "bad_credentials"),
        (ConnectReturnCode::NotAuthorized, "not_authorized"),
        (ConnectReturnCode::ServiceUnavailable, "server_unavailable"),
        (ConnectReturnCode::BadClientId, "connect_refused"),
        (ConnectReturnCode::RefusedProtocolVersion, "connect_refused"),
    ] {
        let log = Log::catch();
        let broker = Broker::start(anywhere()).await;
        broker.behave(refusing(code));
        let exporter = Scraped::start(options(broker.address)).await;
        let page = exporter.until(reason, |page| page.events(reason) >= 3.0).await;
        assert_eq!(page.reason(), reason);
        assert_eq!(log.lines("CONNACK"), 1, "{}", log.text());
        broker.behave(Manners::default());
        exporter.until("a subscription", |_| broker.subscribes() == 1).await;
        broker.publish(PUBLISHED, "7");
        exporter.reason("up").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_not_silence() {
    let log = Log::catch();
    let broker = Broker::start(anywhere()).await;
    broker.behave(Manners { refused: usize::MAX, ..Manners::default() });
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.reason("acl_refused").await;
    assert_eq!(log.lines("SUBACK 0x80: the broker refuses $SYS/#"), 1, "{}", log.text());
    assert!(log.text().contains(&broker.address.to_string()) && log.text().contains("cluster show"));
    broker.behave(Manners::default());
    exporter.until("another attempt", |_| broker.subscribes() >= 2).await;
    broker.publish(PUBLISHED, "7");
    assert_eq!(exporter.reason("up").await.published(N1), Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn one_refused_filter_of_two_is_said_while_the_other_brings_values() {
    let broker = Broker::start(anywhere()).await;
    broker.behave(Manners { refused: 1, ..Manners::default() });
    let filters = vec!["$SYS/secret/#".to_owned(), "$SYS/+/mqtt/publish/received".to_owned()];
    let address = format!("mqtt://{}", broker.address).parse().unwrap();
    let exporter = Scraped::start(Options::new(address, "t".to_owned(), filters, None).unwrap()).await;
    exporter.reason("acl_refused").await;
    broker.publish(PUBLISHED, "7");
    let page = exporter.until("a value", |page| page.published(N1) == Some(7.0)).await;
    assert_eq!((page.reason().as_str(), broker.connects()), ("acl_refused", 1));
}

#[tokio::test(start_paused = true)]
async fn an_old_suback_is_not_taken_for_ours() {
    let broker = Broker::start(anywhere()).await;
    broker.behave(Manners { old_suback: true, ..Manners::default() });
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    broker.publish(PUBLISHED, "7");
    let page = exporter.reason("up").await;
    assert!((page.events("acl_refused"), broker.connects()) == (0.0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_goes_silent_is_noticed_and_its_values_disappear() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    for value in 0..5u32 {
        broker.publish(PUBLISHED, value.to_string());
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(exporter.page().await.published(N1), Some(4.0));
    broker.behave(Manners { pongs: false, connack: None, ..Manners::default() });
    sleep(Duration::from_secs(12)).await;
    let page = exporter.page().await;
    assert_eq!(page.reason(), "silent");
    assert_eq!(page.published(N1), None);
    assert_eq!(page.value("mqtt_publish_received_rate", &[("node", N1)]), None);
    assert_eq!(page.value("vernescale_node_up", &[("node", N1)]), Some(0.0));
    assert!(page.value("vernescale_sample_age_seconds", &[("node", N1)]).unwrap() > 12.0);
    // Nor does it answer connects: VerneMQ leaves some unanswered for ever.
    sleep(Duration::from_secs(30)).await;
    let page = exporter.page().await;
    assert!(page.events("silent") >= 3.0, "{}", page.body);
}

#[tokio::test(start_paused = true)]
async fn who_accepts_and_says_nothing_is_silent() {
    let log = Log::catch();
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let exporter = Scraped::start(options(address)).await;
    let page = exporter.until("two attempts", |page| page.events("silent") >= 2.0).await;
    assert_eq!(page.reason(), "silent");
    assert!(page.series.iter().all(|series| !series.labels.contains_key("node")), "{}", page.body);
    assert_eq!(log.lines("no answer to the connect within 5 s"), 1, "{}", log.text());
    assert!(log.text().contains(&address.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_brings_nothing_is_not_up() {
    let log = Log::catch();
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    sleep(Duration::from_secs(70)).await;
    assert_eq!((exporter.page().await.reason().as_str(), broker.connects()), ("no_messages", 1));
    assert_eq!(log.lines("subscribed, but no message for 60 s"), 1, "{}", log.text());
    assert!(log.text().contains("does the ACL let this user read $SYS/#?"), "{}", log.text());
    broker.publish(PUBLISHED, "7");
    exporter.reason("up").await;
}

/// It still answers pings: only the messages have stopped.
#[tokio::test(start_paused = true)]
async fn a_broker_that_stops_sending_is_not_up_and_its_values_disappear() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    exporter.until("a subscription", |_| broker.subscribes() == 1).await;
    for value in 1..=5u32 {
        broker.publish(PUBLISHED, value.to_string());
        sleep(Duration::from_secs(2)).await;
    }
    let page = exporter
        .until("no value", |page| {
            let value = page.published(N1);
            assert!(value.is_none() || value == Some(5.0), "{}", page.body);
            value.is_none()
        })
        .await;
    assert_eq!(page.value("mqtt_publish_received_rate", &[("node", N1)]), None);
    assert_eq!(page.value("vernescale_node_up", &[("node", N1)]), Some(0.0));
    let age = page.value("vernescale_sample_age_seconds", &[("node", N1)]).unwrap();
    // Three learned intervals, long before the subscription as a whole is called silent.
    assert!((6.0..8.0).contains(&age), "{age}");
    assert_eq!(page.reason(), "up");
    exporter.reason("no_messages").await;
    assert_eq!(broker.connects(), 1, "it is no reason to connect anew");
    broker.publish(PUBLISHED, "6");
    assert_eq!(exporter.reason("up").await.published(N1), Some(6.0));
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_it_subscribes_anew_and_counters_go_on() {
    let broker = Broker::start(anywhere()).await;
    let exporter = Scraped::start(options(broker.address)).await;
    for round in 1..=4usize {
        exporter.until("a subscription", |_| broker.subscribes() == round).await;
        broker.publish(PUBLISHED, (round * 100).to_string());
        let wanted = Some(f64::from(u32::try_from(round).unwrap() * 100));
        exporter.until("the value", |page| page.published(N1) == wanted).await;
        broker.cut();
        let page = exporter.reason("closed").await;
        assert_eq!(page.published(N1), wanted, "known until it is stale");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_speak_mqtt_is_said_to_be_so() {
    // An HTTP server, and a TLS listener's alert.
    let answers: [(&[u8], &str); 2] =
        [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed"), (b"\x15\x03\x01\0\x02\x02\x46", "protocol_error")];
    for (answer, reason) in answers {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answer).await.unwrap();
                sleep(Duration::from_millis(100)).await;
            }
        });
        let exporter = Scraped::start(options(address)).await;
        let page = exporter.reason(reason).await;
        assert!(page.events(reason) >= 1.0);
    }
}

/// So does a broker that has as many clients as it takes; VerneMQ leaves them unanswered instead (`silent`).
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_before_a_connack_is_told_what_it_may_be() {
    let log = Log::catch();
    let listener = TcpListener::bind(anywhere()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    Scraped::start(options(address)).await.reason("closed").await;
    assert!(log.text().contains("before its CONNACK"), "{}", log.text());
    assert!(log.text().contains("is the broker not full (max_connections)?"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_password_reaches_the_broker_and_nothing_else() {
    let log = Log::catch();
    let broker = Broker::start(anywhere()).await;
    broker.behave(refusing(ConnectReturnCode::BadUserNamePassword));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2-not-to-be-seen\n").unwrap();
    let source =
        options(broker.address).with_credentials(Some("exporter".to_owned()), Some(file.path())).unwrap();
    let page = Scraped::start(source).await.reason("bad_credentials").await;
    assert_eq!(broker.passwords()[0], "hunter2-not-to-be-seen");
    assert!(!page.body.contains("hunter2") && !log.text().contains("hunter2"));
    assert!(log.text().contains("bad_credentials"), "there is a log to look into");
}
