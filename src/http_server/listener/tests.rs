//! Real sockets in paused time: minutes of silence pass in milliseconds.

use axum::Router;
use axum::routing::get;
use lifecycle::Time;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{interval, timeout};

use super::*;
use net::Clock;

const IDLE: Duration = Duration::from_secs(100);
/// More than the system buffers for a client that does not read.
const PAGE: usize = 32 << 20;
const HALF: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n";
const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

async fn serve(connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        Router::new().route("/", get(async || "short")).route("/page", get(async || "x".repeat(PAGE)));
    let bounded = Bounded::new(listener, connections, IDLE);
    tokio::spawn(async move { axum::serve(bounded, router).await.unwrap() });
    // In paused time every wait for a socket jumps to the next timer: this one keeps the jumps small.
    tokio::spawn(async {
        let mut ticker = interval(Duration::from_millis(10));
        loop {
            ticker.tick().await;
        }
    });
    address
}

async fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Asks once and closes; fails if that takes longer than any scraper waits.
async fn scrape(address: SocketAddr) {
    let asked = async {
        let mut stream = open(address, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("short"), "{answer}");
    };
    timeout(Duration::from_secs(10), asked).await.expect("an answer within 10 s");
}

/// Reads one answer on a connection that stays open.
async fn answer(stream: &mut TcpStream) {
    let mut text = Vec::new();
    while !text.ends_with(b"short") {
        assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed");
    }
}

/// Waits for the end of the connection; how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let clock = Clock::starting_at(Time(0));
    let mut rest = Vec::new();
    let end = timeout(IDLE * 10, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "still open after {:?}", IDLE * 10);
    clock.now().since(Time(0))
}

fn between_one_and_two(waited: Duration) {
    assert!(
        waited + Duration::from_secs(1) >= IDLE && waited <= IDLE * 2 + Duration::from_secs(1),
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_in_every_state() {
    let address = serve(8).await;
    for bytes in [&b""[..], b"G", HALF] {
        between_one_and_two(closed(&mut open(address, bytes).await).await);
    }
    let mut kept = open(address, WHOLE).await;
    answer(&mut kept).await;
    between_one_and_two(closed(&mut kept).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_now_and_then_keeps_its_connection() {
    let address = serve(1).await;
    let mut kept = open(address, b"").await;
    for _ in 0..10 {
        sleep(IDLE.mul_f64(0.9)).await;
        kept.write_all(WHOLE).await.unwrap();
        answer(&mut kept).await;
    }
    between_one_and_two(closed(&mut kept).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_given_up() {
    let address = serve(8).await;
    let mut stuck = open(address, b"GET /page HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    // Nothing is read meanwhile: what comes after it is only what the system had buffered.
    sleep(IDLE * 2 + Duration::from_secs(5)).await;
    let mut rest = Vec::new();
    let _ = stuck.read_to_end(&mut rest).await;
    assert!(rest.len() < PAGE, "all of {} bytes came", rest.len());
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back() {
    let address = serve(1).await;
    for _ in 0..20 {
        scrape(address).await;
    }
    drop(open(address, HALF).await);
    scrape(address).await;
}

#[tokio::test(start_paused = true)]
async fn no_number_of_slow_clients_keeps_a_scrape_out() {
    let address = serve(4).await;
    for round in 0..5 {
        // Silent, half a request, a letter a second, one that does not read.
        let mut slow = vec![open(address, b"").await, open(address, HALF).await];
        slow.push(open(address, b"GET /page HTTP/1.1\r\nHost: h\r\n\r\n").await);
        let dripping = open(address, b"GET /").await;
        let drip = tokio::spawn(async move {
            let mut dripping = dripping;
            while dripping.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        sleep(Duration::from_secs(5)).await;
        for _ in 0..8 {
            scrape(address).await;
        }
        if round % 2 == 0 {
            drip.abort();
        }
        drop(slow);
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_served_longest_ago_gives_way() {
    let address = serve(3).await;
    let mut oldest = open(address, WHOLE).await;
    answer(&mut oldest).await;
    let mut idle = open(address, HALF).await;
    let mut busy = open(address, WHOLE).await;
    answer(&mut busy).await;
    oldest.write_all(WHOLE).await.unwrap();
    answer(&mut oldest).await;
    scrape(address).await;
    assert!(closed(&mut idle).await < Duration::from_secs(5), "it had never been served");
    for mut kept in [oldest, busy] {
        kept.write_all(WHOLE).await.unwrap();
        answer(&mut kept).await;
    }
}
