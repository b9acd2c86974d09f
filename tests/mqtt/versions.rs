//! MQTT 3.1.1 first, and MQTT 5 where a listener refuses that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::log::Log;
use crate::scrape::Scraped;
use crate::{anywhere, options};

const N1: &str = "VerneMQ1@127.0.0.11";

/// A listener that allows MQTT 5 only, byte by byte: `answer` is what a CONNECT of 3.1.1 gets, `accept` whether one of 5
/// is taken. It sends one message and then waits until it is told to close.
#[derive(Clone)]
struct Fifth {
    /// Protocol levels of the CONNECTs so far.
    levels: Arc<Mutex<Vec<u8>>>,
    /// Closes the connection that waits, or the next one that would.
    close: Arc<Notify>,
}

impl Fifth {
    async fn start(answer: &'static [u8], connack: &'static [u8], suback: u8) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fifth = Self { levels: Arc::default(), close: Arc::default() };
        let accepting = fifth.clone();
        // As in the other broker of these tests: keeps the jumps of paused time small.
        tokio::spawn(async {
            loop {
                sleep(Duration::from_millis(2)).await;
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(stream, answer, connack, suback));
            }
        });
        (fifth, address)
    }

    async fn serve(self, mut stream: TcpStream, answer: &[u8], connack: &[u8], suback: u8) -> Option<()> {
        let connect = packet(&mut stream).await?;
        // Behind the name of the protocol.
        let level = connect[6];
        self.levels.lock().unwrap().push(level);
        if level != 5 {
            stream.write_all(answer).await.ok()?;
            return None;
        }
        stream.write_all(connack).await.ok()?;
        if connack.get(3) != Some(&0) {
            return None;
        }
        let subscribe = packet(&mut stream).await?;
        stream.write_all(&[0x90, 4, subscribe[0], subscribe[1], 0, suback]).await.ok()?;
        let topic = format!("$SYS/{N1}/mqtt/publish/received");
        let length = u8::try_from(topic.len()).unwrap();
        let mut publish = vec![0x30, length + 4, 0, length];
        publish.extend_from_slice(topic.as_bytes());
        // No properties, and the payload.
        publish.extend_from_slice(&[0, b'7']);
        stream.write_all(&publish).await.ok()?;
        self.close.notified().await;
        None
    }

    fn levels(&self) -> Vec<u8> {
        self.levels.lock().unwrap().clone()
    }
}

/// The next packet without its fixed header; the ones here are short.
async fn packet(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).await.ok()?;
    let mut body = vec![0; usize::from(header[1])];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

const ACCEPTED: &[u8] = &[0x20, 3, 0, 0, 0];

#[tokio::test(start_paused = true)]
async fn a_listener_for_mqtt_5_only_is_read_and_remembered() {
    // As 3.1.1 says it, and as MQTT 5 does.
    for answer in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0]] {
        let log = Log::catch();
        let (broker, address) = Fifth::start(answer, ACCEPTED, 0).await;
        let exporter = Scraped::start(options(address)).await;
        let page = exporter.reason("up").await;
        assert_eq!(exporter.until("a value", |page| page.published(N1) == Some(7.0)).await.reason(), "up");
        assert!(page.events("connect_refused") < 0.5, "{}", page.body);
        assert_eq!(log.lines("protocol version refused"), 0, "{}", log.text());
        for connections in 3..=4 {
            broker.close.notify_one();
            exporter.until("one more connection", |_| broker.levels().len() >= connections).await;
        }
        assert_eq!(broker.levels()[..4], [4, 5, 5, 5]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_refuses_both_is_told_with_both_answers_and_not_hammered() {
    let log = Log::catch();
    let (broker, address) = Fifth::start(&[0x20, 2, 0, 1], &[0x20, 3, 0, 0x84, 0], 0).await;
    let exporter = Scraped::start(options(address)).await;
    let page = exporter.until("three attempts", |page| page.events("connect_refused") >= 3.0).await;
    assert_eq!(page.reason(), "connect_refused");
    assert!(
        log.text().contains("CONNACK 1: protocol version refused; with MQTT 5: CONNACK 0x84"),
        "{}",
        log.text()
    );
    assert_eq!(broker.levels()[..6], [4, 5, 4, 5, 4, 5]);
    // Two connects an attempt, and pauses that grow to half a minute.
    let before = broker.levels().len();
    sleep(Duration::from_mins(2)).await;
    assert!(broker.levels().len() - before <= 24, "{}", broker.levels().len());
}

/// What MQTT 5 answers has the states that 3.1.1's answers have.
#[tokio::test(start_paused = true)]
async fn refusals_of_mqtt_5_have_their_reasons() {
    for (code, reason) in [
        (0x86, "bad_credentials"),
        (0x87, "not_authorized"),
        (0x88, "server_unavailable"),
        (0x85, "connect_refused"),
    ] {
        let connack: &'static [u8] = Vec::leak(vec![0x20, 3, 0, code, 0]);
        let (_, address) = Fifth::start(&[0x20, 2, 0, 1], connack, 0).await;
        Scraped::start(options(address)).await.reason(reason).await;
    }
    let log = Log::catch();
    let (_, address) = Fifth::start(&[0x20, 2, 0, 1], ACCEPTED, 0x87).await;
    Scraped::start(options(address)).await.reason("acl_refused").await;
    assert_eq!(log.lines("SUBACK 0x87: the broker refuses $SYS/#"), 1, "{}", log.text());
}
