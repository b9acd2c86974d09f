//! `cluster leave` over sockets: its listeners, its text, its two ways of never ending.

use std::{io::ErrorKind, time::Duration};

use lifecycle::Time;
use net::Clock;
use simulator::model::Process;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::support::{Raw, Trio, name, no_key, publish_packet, subscribe_packet};

const SEED: &str = "vmq-admin cluster leave node=VerneMQ3@127.0.0.13 -k -i 1 -t 30";

async fn refused(trio: &Trio, n: u8) -> bool {
    matches!(TcpStream::connect(trio.mqtt(n)).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test(start_paused = true)]
async fn without_the_flag_it_suspends_and_a_restart_of_the_listener_undoes_it() {
    let trio = Trio::start(40, no_key()).await;
    let (mut live, _) = Raw::connect(trio.mqtt(3), 4, "live", 2).await;
    let output = trio.admin(1, "vmq-admin cluster leave node=VerneMQ3@127.0.0.13").await;
    assert_eq!(
        (output.stdout.as_str(), output.code),
        ("Done! Use -k to teardown and migrate existing sessions!\n", 0)
    );
    assert!(refused(&trio, 3).await);
    live.send_hex("c000").await;
    assert_eq!(live.packet().await.as_deref(), Some("d000"), "live sessions go on");
    let health = crate::support::get(trio.http(3), "/health").await.unwrap();
    assert_eq!(
        (health.status, health.body.as_str()),
        (503, r#"{"status":"DOWN","reasons":["Listeners are not ready: [mqtt]"]}"#)
    );
    let address = trio.address(3);
    let start = trio.admin(3, &format!("listener start address={address} port=1883")).await;
    assert!(start.stdout.starts_with("can't start listener due to '{already_started,"), "{start:?}");
    assert_eq!(start.code, 0);
    assert!(refused(&trio, 3).await);
    let restart = trio.admin(3, &format!("listener restart address={address} port=1883")).await;
    assert_eq!((restart.stdout.as_str(), restart.code), ("Done\n", 0));
    let (_raw, connack) = Raw::connect(trio.mqtt(3), 4, "new", 2).await;
    assert_eq!(connack, "20020000");
}

#[tokio::test(start_paused = true)]
async fn the_seed_command_prints_its_progress_and_stops_the_node() {
    let trio = Trio::start(41, no_key()).await;
    let (mut persistent, _) = Raw::connect(trio.mqtt(3), 4, "p3", 0).await;
    persistent.send(&subscribe_packet(4, "q/p3", 1, 1)).await;
    persistent.packet().await.unwrap();
    persistent.send_hex("e000").await;
    let (mut live, _) = Raw::connect(trio.mqtt(3), 5, "live", 2).await;
    let (mut publisher, _) = Raw::connect(trio.mqtt(1), 4, "pub", 2).await;
    for i in 1..=50 {
        publisher.send(&publish_packet(4, "q/p3", b"x", 1, i)).await;
        publisher.packet().await.unwrap();
    }
    sleep(Duration::from_secs(10)).await;
    let output = trio.admin(1, SEED).await;
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = output.stdout.lines().collect();
    let (last, progress) = lines.split_last().unwrap();
    assert_eq!(*last, "Done");
    assert!(!progress.is_empty());
    for line in progress {
        // `Migrated 2/3 queues and 400/900 messages` (leave_full_semantics.txt).
        let words: Vec<&str> = line.split(' ').collect();
        assert!(
            matches!(words[..], ["Migrated", queues, "queues", "and", messages, "messages"]
                if queues.ends_with("/1") && messages.ends_with("/50")),
            "{line}"
        );
    }
    assert!(live.closed().await, "no DISCONNECT packet, even in MQTT 5");
    assert_eq!(trio.fleet.exited(&name(3)).await, 0);
    assert!(refused(&trio, 3).await);
    trio.whole(1..=2).await;
    // Every leave makes all members refuse for a moment (docs/broker/leave.md, "CONNACK 3 in a leave").
    sleep(Duration::from_secs(3)).await;
    let mut arrived = 0;
    let (mut back, connack) = Raw::connect(trio.mqtt(2), 4, "p3", 0).await;
    assert_eq!(connack, "20020100");
    while let Ok(Some(bytes)) = tokio::time::timeout(Duration::from_secs(4), back.next_packet()).await {
        arrived += 1;
        back.send(&[0x40, 2, bytes[8], bytes[9]]).await;
    }
    assert_eq!(arrived, 50);
}

/// Sends a leave of node 2 to node 1 and leaves the connection open.
async fn hanging_leave(trio: &Trio) -> TcpStream {
    let mut stream = TcpStream::connect(trio.http(1)).await.unwrap();
    let path = "/api/v1/cluster/leave?node=VerneMQ2@127.0.0.12&--kill_sessions&--timeout=5";
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: n\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn while_a_member_is_down_a_leave_over_http_is_cut_at_60_s_without_a_byte() {
    let trio = Trio::start(42, no_key()).await;
    trio.kill(3).await;
    let clock = Clock::starting_at(Time(0));
    let mut stream = hanging_leave(&trio).await;
    let mut bytes = Vec::new();
    assert_eq!(stream.read_to_end(&mut bytes).await.unwrap(), 0, "{}", String::from_utf8_lossy(&bytes));
    let waited = clock.now().since(Time(0));
    assert!((59_900..60_300).contains(&waited.as_millis()), "cut after {waited:?}");
    // Case C of q2_hanging_leave_http.txt: the member comes back later, and nobody leaves.
    trio.boot(3).await;
    trio.whole(1..=3).await;
    sleep(Duration::from_mins(1)).await;
    trio.whole(1..=3).await;
}

#[tokio::test(start_paused = true)]
async fn closing_the_connection_revokes_a_leave_that_has_not_begun() {
    let trio = Trio::start(43, no_key()).await;
    trio.kill(3).await;
    let stream = hanging_leave(&trio).await;
    sleep(Duration::from_secs(10)).await;
    drop(stream);
    trio.boot(3).await;
    trio.whole(1..=3).await;
    sleep(Duration::from_mins(1)).await;
    trio.whole(1..=3).await;
    assert_eq!(trio.fleet.process(&name(2)), Process::Running);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_gets_its_leave_when_the_member_is_back() {
    let trio = Trio::start(44, no_key()).await;
    trio.kill(3).await;
    let mut stream = hanging_leave(&trio).await;
    sleep(Duration::from_secs(20)).await;
    trio.boot(3).await;
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    assert_eq!(trio.fleet.exited(&name(2)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn vmq_admin_reports_a_time_out_and_the_leave_fires_later_all_the_same() {
    let trio = Trio::start(45, no_key()).await;
    trio.kill(3).await;
    let clock = Clock::starting_at(Time(0));
    let output = trio.admin(1, "vmq-admin cluster leave node=VerneMQ2@127.0.0.12 -k -i 1 -t 5").await;
    // dead_node_netsplit.txt: stderr, exit 1, 60.30 s.
    assert_eq!(output.stderr, "RPC to 'VerneMQ1@127.0.0.11' failed: timeout\n");
    assert_eq!((output.stdout.as_str(), output.code), ("", 1));
    let waited = clock.now().since(Time(0));
    assert!((60_000..61_000).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(trio.fleet.process(&name(2)), Process::Running);
    trio.boot(3).await;
    assert_eq!(trio.fleet.exited(&name(2)).await, 0, "unasked, when the member is back");
}
