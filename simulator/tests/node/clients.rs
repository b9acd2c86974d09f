//! Real clients: both versions, all qualities, both directions.

use std::{collections::BTreeMap, time::Duration};

use rumqttc::{mqttbytes::QoS, v5};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{Raw, Trio, no_key, publish_packet, subscribe_packet};

/// A v3.1.1 client whose incoming PUBLISHes come through the channel.
async fn v4(
    trio: &Trio,
    n: u8,
    id: &str,
) -> (rumqttc::AsyncClient, mpsc::UnboundedReceiver<rumqttc::Publish>) {
    let mut options = rumqttc::MqttOptions::new(id, trio.address(n).to_string(), 1883);
    options.set_max_packet_size(2 << 20, 2 << 20);
    let (client, mut events) = rumqttc::AsyncClient::new(options, 64);
    let (sender, receiver) = mpsc::unbounded_channel();
    let (up, is_up) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut up = Some(up);
        while let Ok(event) = events.poll().await {
            match event {
                rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_)) => {
                    let _ = up.take().map(|up| up.send(()));
                }
                rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => {
                    let _ = sender.send(publish);
                }
                _ => {}
            }
        }
    });
    is_up.await.unwrap();
    (client, receiver)
}

/// The same for MQTT 5, without its messages.
async fn v5_publisher(trio: &Trio, n: u8, id: &str) -> v5::AsyncClient {
    let options = v5::MqttOptions::new(id, trio.address(n).to_string(), 1883);
    let (client, mut events) = v5::AsyncClient::new(options, 64);
    let (up, is_up) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut up = Some(up);
        while let Ok(event) = events.poll().await {
            if let v5::Event::Incoming(v5::Incoming::ConnAck(_)) = event {
                let _ = up.take().map(|up| up.send(()));
            }
        }
    });
    is_up.await.unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn every_quality_crosses_the_cluster_in_both_versions_and_is_counted_once() {
    let trio = Trio::start(1, no_key()).await;
    let (subscriber, mut got) = v4(&trio, 2, "sub").await;
    subscriber.subscribe("t/#", QoS::ExactlyOnce).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (old, _) = v4(&trio, 1, "p4").await;
    let new = v5_publisher(&trio, 1, "p5").await;
    for (at, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
        for i in 0..50 {
            old.publish(format!("t/4/{at}"), qos, false, i.to_string()).await.unwrap();
            let qos = v5::mqttbytes::qos(qos as u8).unwrap();
            new.publish(format!("t/5/{at}"), qos, false, i.to_string()).await.unwrap();
        }
    }
    let mut seen: BTreeMap<String, Vec<(String, u8)>> = BTreeMap::new();
    for _ in 0..300 {
        let publish = timeout(Duration::from_secs(20), got.recv()).await.expect("all arrive").unwrap();
        let text = String::from_utf8(publish.payload.to_vec()).unwrap();
        seen.entry(publish.topic).or_default().push((text, publish.qos as u8));
    }
    for version in [4, 5] {
        for qos in 0..3 {
            let expected: Vec<_> = (0..50).map(|i| (i.to_string(), qos)).collect();
            assert_eq!(seen[&format!("t/{version}/{qos}")], expected, "in order, once, as asked");
        }
        let labels = format!(",mqtt_version=\"{version}\"");
        assert_eq!(trio.metric(1, "mqtt_publish_received", &labels).await, 150);
        assert_eq!(trio.metric(2, "mqtt_publish_received", &labels).await, 0, "only where it was sent");
    }
    assert!(timeout(Duration::from_secs(5), got.recv()).await.is_err(), "nothing twice");
}

#[tokio::test(start_paused = true)]
async fn a_repeated_quality_2_publish_is_taken_once() {
    let trio = Trio::start(2, no_key()).await;
    let (subscriber, mut got) = v4(&trio, 1, "sub").await;
    subscriber.subscribe("q", QoS::AtMostOnce).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut raw, connack) = Raw::connect(trio.mqtt(1), 4, "raw", 2).await;
    assert_eq!(connack, "20020000");
    let publish = publish_packet(4, "q", b"x", 2, 7);
    for _ in 0..2 {
        raw.send(&publish).await;
        assert_eq!(raw.packet().await.as_deref(), Some("50020007"));
    }
    raw.send_hex("62020007").await;
    assert_eq!(raw.packet().await.as_deref(), Some("70020007"));
    // The id is free again: the same bytes are another message.
    raw.send(&publish).await;
    assert_eq!(raw.packet().await.as_deref(), Some("50020007"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let received = std::iter::from_fn(|| got.try_recv().ok()).count();
    assert_eq!(received, 2);
}

#[tokio::test(start_paused = true)]
async fn a_persistent_session_gets_what_it_missed_with_fresh_packet_ids() {
    let trio = Trio::start(3, no_key()).await;
    let (mut raw, _) = Raw::connect(trio.mqtt(1), 4, "keep", 0).await;
    raw.send(&subscribe_packet(4, "k/#", 1, 1)).await;
    assert_eq!(raw.packet().await.as_deref(), Some("9003000101"));
    raw.send_hex("e000").await;
    drop(raw);
    let (publisher, _) = v4(&trio, 2, "p").await;
    for i in 0..30 {
        publisher.publish("k/x", QoS::AtLeastOnce, false, vec![i]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut raw, connack) = Raw::connect(trio.mqtt(1), 4, "keep", 0).await;
    assert_eq!(connack, "20020100", "session present");
    let mut ids = Vec::new();
    for i in 0..20 {
        let bytes = raw.next_packet().await.unwrap();
        assert_eq!((bytes[0], bytes.last()), (0x32, Some(&i)));
        ids.push([bytes[7], bytes[8]]);
    }
    assert_eq!(raw.packet().await, None, "twenty in flight, no more");
    for id in ids {
        raw.send(&[0x40, 2, id[0], id[1]]).await;
    }
    for i in 20..30 {
        assert_eq!(raw.next_packet().await.unwrap().last(), Some(&i));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_after_one_and_a_half_keep_alives() {
    let trio = Trio::start(4, no_key()).await;
    let (watcher, mut got) = v4(&trio, 2, "watch").await;
    watcher.subscribe("will/#", QoS::AtMostOnce).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (mut raw, _) = Raw::connect_keeping_alive(trio.mqtt(1), 4, "quiet", 0x06, 60).await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(80)).await;
        raw.send_hex("c000").await;
        assert_eq!(raw.packet().await.as_deref(), Some("d000"));
    }
    // What it is sent is no sign of life.
    raw.send(&subscribe_packet(4, "$SYS/#", 0, 1)).await;
    assert_eq!(raw.packet().await.as_deref(), Some("9003000100"));
    let clock = net::Clock::starting_at(lifecycle::Time(0));
    let will = timeout(Duration::from_mins(10), got.recv()).await.expect("given up").unwrap();
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("will/quiet", &b"gone"[..]));
    let waited = clock.now().since(lifecycle::Time(0)).as_secs_f64();
    assert!((85.0..91.5).contains(&waited), "keep-alive 60 s, gone after {waited} s");
    while raw.packet().await.is_some() {}
    assert!(raw.closed().await);
}
