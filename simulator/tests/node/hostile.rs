//! Clients that are broken, greedy or slow: each costs its own connection only.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::{Raw, Trio, connect_packet, no_key, publish_packet, subscribe_packet};

#[tokio::test(start_paused = true)]
async fn what_is_no_mqtt_is_closed_and_what_is_too_old_is_told() {
    let trio = Trio::start(120, no_key()).await;
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], &[0xC0, 0], &[0; 64]]
    {
        let mut raw = Raw::open(trio.mqtt(1)).await;
        raw.send(bytes).await;
        assert!(raw.closed().await, "{bytes:?}");
    }
    let mut old = Raw::open(trio.mqtt(1)).await;
    old.send(b"\x10\x0d\x00\x06MQIsdp\x03\x02\x00\x0a\x00").await;
    assert_eq!(old.packet().await.as_deref(), Some("20020001"), "unacceptable protocol version");
    // A CONNECT that never comes is not waited for longer than 30 s.
    let mut mute = Raw::open(trio.mqtt(1)).await;
    tokio::time::sleep(Duration::from_secs(27)).await;
    assert!(mute.closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_1_mib_passes_and_one_of_5_mib_ends_its_connection() {
    let trio = Trio::start(121, no_key()).await;
    let (sub, _) = Raw::connect(trio.mqtt(2), 5, "sub", 2).await;
    let mut sub = sub.patient();
    sub.send(&subscribe_packet(5, "big", 1, 1)).await;
    sub.packet().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (publisher, _) = Raw::connect(trio.mqtt(1), 4, "pub", 2).await;
    let mut publisher = publisher.patient();
    let payload: Vec<u8> = (0..1 << 20).map(|i: u32| u8::try_from(i % 251).unwrap()).collect();
    publisher.send(&publish_packet(4, "big", &payload, 1, 1)).await;
    assert_eq!(publisher.packet().await.as_deref(), Some("40020001"));
    let got = sub.next_packet().await.unwrap();
    assert_eq!(&got[got.len() - payload.len()..], &payload[..]);
    let five = publish_packet(4, "big", &vec![0; 5 << 20], 1, 2);
    // The node stops reading: writing may fail as well.
    let _ = publisher.stream.write_all(&five).await;
    assert!(publisher.closed().await);
    sub.send_hex("c000").await;
    assert_eq!(sub.packet().await.as_deref(), Some("d000"));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_does_not_read_loses_its_own_messages_only() {
    let trio = Trio::start(122, no_key()).await;
    let (mut stuck, _) = Raw::connect(trio.mqtt(1), 4, "stuck", 2).await;
    stuck.send(&subscribe_packet(4, "f", 0, 1)).await;
    stuck.packet().await.unwrap();
    let (live, _) = Raw::connect(trio.mqtt(1), 4, "live", 2).await;
    let mut live = live.patient();
    live.send(&subscribe_packet(4, "done", 0, 1)).await;
    live.packet().await.unwrap();
    let (publisher, _) = Raw::connect(trio.mqtt(1), 4, "pub", 2).await;
    let mut publisher = publisher.patient();
    let message = publish_packet(4, "f", &vec![b'x'; 60_000], 0, 0);
    for _ in 0..800 {
        publisher.send(&message).await;
    }
    publisher.send(&publish_packet(4, "done", b"", 0, 0)).await;
    assert!(live.packet().await.is_some());
    assert!(trio.fleet.dropped_at_sockets() > 0, "48 MB do not wait for a client that does not read");
    assert_eq!(trio.metric(1, "mqtt_publish_received", ",mqtt_version=\"4\"").await, 801);
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_in_one_segment_with_the_connect_waits_for_more_bytes() {
    let trio = Trio::start(123, no_key()).await;
    let mut raw = Raw::open(trio.mqtt(1)).await;
    let mut segment = connect_packet(4, "eager", 2, 60);
    segment.extend(subscribe_packet(4, "a", 1, 9));
    raw.send(&segment).await;
    assert_eq!(raw.packet().await.as_deref(), Some("20020000"));
    assert_eq!(raw.packet().await, None, "VerneMQ does not look at it yet");
    raw.send_hex("c000").await;
    assert_eq!(raw.packet().await.as_deref(), Some("9003000901"));
    assert_eq!(raw.packet().await.as_deref(), Some("d000"));
}
