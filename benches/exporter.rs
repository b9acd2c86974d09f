//! What the exporter costs: the real binary under the load of a large cluster, measured from outside.
//!
//! `cargo bench --bench exporter` prints the figures. It fails only beyond twice a budget: a shared machine is
//! noisy, and a regression that matters is larger than that.
//!
//! `VERNESCALE_BINARY=target/release/vernescale cargo bench --profile dev --bench exporter` measures a binary that
//! is there already, instead of building every dependency once more with the features of the tests.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails loudly and prints its figures"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, Publish, SubAck, SubscribeReasonCode};

const TOPICS: usize = 160;
const TICK: Duration = Duration::from_secs(2);
const PACKET_MAX: usize = 1 << 20;

/// Budgets of the exporter: 100 nodes under 2 % of a core, a scrape of them under 10 ms; 10 nodes under 15 MB.
const CPU_PERCENT: f64 = 2.0;
const SCRAPE_MS: f64 = 10.0;
const MEMORY_MB: f64 = 15.0;

/// The topics of a node as recorded, and the histogram that appears after its first use.
fn topics() -> Vec<String> {
    let recording = include_str!("../tests/recordings/sys_default_n1.txt");
    let mine = recording
        .lines()
        .filter_map(|line| line.split(' ').nth(3)?.strip_prefix("$SYS/VerneMQ1@127.0.0.11/"));
    let mut topics: Vec<String> = mine.map(str::to_owned).collect();
    topics.sort();
    topics.dedup();
    let bounds = ["10", "100", "1000", "10000", "100000", "1000000", "inf"];
    topics.extend(bounds.map(|bound| format!("metadata/delete/microseconds/bucket/{bound}")));
    topics.extend(["count", "sum"].map(|part| format!("metadata/delete/microseconds/{part}")));
    topics.push("system/utilization/scheduler/5".to_owned());
    assert_eq!(topics.len(), TOPICS);
    topics
}

fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> Packet {
    loop {
        if let Ok(packet) = Packet::read(buffer, PACKET_MAX) {
            return packet;
        }
        let mut bytes = [0; 4_096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the exporter has gone before it subscribed");
        buffer.extend_from_slice(&bytes[..count]);
    }
}

fn write(stream: &mut TcpStream, packets: impl IntoIterator<Item = Packet>) {
    let mut buffer = BytesMut::new();
    for packet in packets {
        packet.write(&mut buffer, PACKET_MAX).unwrap();
    }
    // The benchmark ends the exporter while this thread plays on: that is no failure.
    let _ = stream.write_all(&buffer);
}

/// Plays `nodes` nodes, each at its own phase, to one subscriber, as long as it lives.
fn play(listener: &TcpListener, nodes: usize, ticks: &AtomicU64) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = BytesMut::new();
    let mut subscribed = false;
    while !subscribed {
        match read(&mut stream, &mut buffer) {
            Packet::Connect(_) => {
                write(&mut stream, [Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))]);
            }
            Packet::Subscribe(subscribe) => {
                let codes = vec![SubscribeReasonCode::Success(QoS::AtMostOnce)];
                write(&mut stream, [Packet::SubAck(SubAck::new(subscribe.pkid, codes))]);
                subscribed = true;
            }
            _ => {}
        }
    }
    let topics = topics();
    let begin = now();
    let phase = TICK / u32::try_from(nodes).unwrap();
    for burst in 0u32.. {
        let (tick, node) = (u64::from(burst) / nodes as u64, burst as usize % nodes);
        let value = (1_000_000 + tick * 1_000 + node as u64).to_string();
        let publish = |topic: &String| {
            let name =
                format!("$SYS/VerneMQ@vernemq-{node}.vernemq-headless.messaging.svc.cluster.local/{topic}");
            Packet::Publish(Publish::new(name, QoS::AtMostOnce, value.clone()))
        };
        write(&mut stream, topics.iter().map(publish));
        // Pings are answered as they come.
        stream.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        let pinged = stream.read(&mut bytes).is_ok_and(|count| count > 0);
        stream.set_nonblocking(false).unwrap();
        if pinged {
            write(&mut stream, [Packet::PingResp]);
        }
        ticks.store(tick, Ordering::Relaxed);
        sleep((begin + phase * (burst + 1)).saturating_duration_since(now()));
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}

struct Exporter {
    child: Child,
    address: SocketAddr,
    ticks: Arc<AtomicU64>,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Exporter {
    fn start(nodes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let broker = listener.local_addr().unwrap();
        let ticks = Arc::new(AtomicU64::new(0));
        let counted = ticks.clone();
        std::thread::spawn(move || play(&listener, nodes, &counted));
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let given = std::env::var_os("VERNESCALE_BINARY");
        let child = Command::new(given.unwrap_or_else(|| env!("CARGO_BIN_EXE_vernescale").into()))
            .arg("exporter")
            .arg(format!("--broker=mqtt://{broker}"))
            .arg(format!("--listen={address}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, ticks }
    }

    fn wait_for_tick(&self, tick: u64) {
        while self.ticks.load(Ordering::Relaxed) < tick {
            sleep(Duration::from_millis(100));
        }
    }

    /// CPU time so far, from the scheduler's own count in nanoseconds.
    fn cpu(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn memory_mb(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
    }

    fn scrape(&self) -> (Duration, String) {
        let begin = now();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        (begin.elapsed(), page)
    }
}

/// Prints a figure; says whether it is within twice its budget.
fn judge(what: &str, figure: f64, budget: f64, unit: &str) -> bool {
    let verdict = if figure <= budget { "within" } else { "OVER" };
    println!("{what}: {figure:.2} {unit} ({verdict} the budget of {budget} {unit})");
    figure <= budget * 2.0
}

fn main() -> ExitCode {
    // `cargo test --benches` runs this too, with a debug build whose figures mean nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let large = Exporter::start(100);
    large.wait_for_tick(2);
    let (cpu, begin) = (large.cpu(), now());
    large.wait_for_tick(12);
    let spent = large.cpu().saturating_sub(cpu).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    let cpu = large.cpu();
    let mut times: Vec<f64> = (0..51).map(|_| large.scrape().0.as_secs_f64() * 1_000.0).collect();
    let each = large.cpu().saturating_sub(cpu).as_secs_f64() * 1_000.0 / 51.0;
    times.sort_by(f64::total_cmp);
    let page = large.scrape().1;
    let series =
        page.lines().filter(|line| line.contains("messaging.svc") && !line.contains("vernescale_")).count();
    assert!(series >= 100 * TOPICS, "all series are there: {series}");
    println!("100 nodes x {TOPICS} topics every 2 s; page of {} kB, {series} series", page.len() / 1_024);
    let mut fine = judge("cpu, 100 nodes", spent, CPU_PERCENT, "% of a core");
    // Of the time by the clock, only the fastest says something about us where others share the machine.
    fine &= judge("scrape, fastest of 51", times[0], SCRAPE_MS, "ms");
    fine &= judge("scrape, cpu time each, messages meanwhile included", each, SCRAPE_MS, "ms");
    println!("scrape, median of 51: {:.2} ms, slowest: {:.2} ms", times[25], times[50]);
    println!("memory, 100 nodes: {:.1} MB", large.memory_mb());
    drop(large);

    let small = Exporter::start(10);
    small.wait_for_tick(8);
    for _ in 0..20 {
        small.scrape();
    }
    fine &= judge("memory, 10 nodes", small.memory_mb(), MEMORY_MB, "MB");
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
