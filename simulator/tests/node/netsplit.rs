//! A dead member: the answers of the living nodes, byte for byte.

use std::time::Duration;

use crate::support::{Raw, Trio, no_key, publish_packet, recording, subscribe_packet, unsubscribe_packet};

/// What the recording says after `->` on the first line that has `what` behind
/// the line that has `section`; none where the recorder's client timed out.
fn recorded(section: &str, what: &str) -> Option<String> {
    let text = recording("netsplit_raw_bytes.txt");
    let rest = &text[text.find(section).unwrap()..];
    let line = rest.lines().find(|line| line.contains(what)).unwrap();
    let answer = line.split("-> ").nth(1).unwrap();
    (!answer.contains("timed out")).then(|| answer.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_living_answer_with_the_recorded_bytes() {
    let trio = Trio::start(20, no_key()).await;
    let mut sessions = Vec::new();
    for version in [4_u8, 5] {
        let (raw, connack) = Raw::connect(trio.mqtt(1), version, &format!("s{version}"), 2).await;
        assert!(recording("netsplit_raw_bytes.txt").contains(&format!("v{version} CONNACK {connack}\n")));
        sessions.push((version, raw));
    }
    trio.kill(3).await;
    assert_eq!(trio.members(1).await.unwrap().iter().filter(|(_, up)| !up).count(), 1);
    for (version, raw) in &mut sessions {
        let section = format!("-- v{version} session");
        let version = *version;
        for (what, packet) in [
            ("SUBSCRIBE q1", subscribe_packet(version, "a", 1, 1)),
            ("PUBLISH q1", publish_packet(version, "a", b"x", 1, 2)),
            ("PUBLISH q2", publish_packet(version, "a", b"x", 2, 3)),
            ("UNSUBSCRIBE", unsubscribe_packet(version, "a", 4)),
            ("PINGREQ", vec![0xC0, 0]),
        ] {
            raw.send(&packet).await;
            assert_eq!(raw.packet().await, recorded(&section, what), "v{version} {what}");
        }
    }
    // Refused newcomers (docs/broker/netsplit.md, "What clients are told"): the CONNACK, then the end.
    for (version, refusal) in [(4, "20020003"), (5, "2003008800")] {
        let (mut raw, connack) = Raw::connect(trio.mqtt(2), version, "new", 2).await;
        assert_eq!(connack, refusal);
        assert!(raw.closed().await);
    }
    // Whole again, all is well.
    trio.boot(3).await;
    trio.whole(1..=3).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (_raw, connack) = Raw::connect(trio.mqtt(2), 5, "new", 2).await;
    assert_eq!(connack, "2003000000");
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_refuses_tcp_on_both_ports_and_cuts_its_clients() {
    let trio = Trio::start(21, no_key()).await;
    let (mut client, _) = Raw::connect(trio.mqtt(3), 5, "c", 2).await;
    // Not yet a client: no CONNECT was sent.
    let mut visitor = Raw::open(trio.mqtt(3)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    trio.kill(3).await;
    assert!(client.closed().await, "cut without a DISCONNECT packet");
    assert!(visitor.closed().await);
    for address in [trio.mqtt(3), trio.http(3)] {
        let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}
