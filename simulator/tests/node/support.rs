//! Three nodes, and clients that show the bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use lifecycle::{NodeName, Time};
use net::Clock;
use simulator::{
    fleet::{AdminOutput, Fleet, NodeSpec},
    model::{ManagementAuth, Process, Settings, Signal, Version},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Settings without a key for the management API.
pub(crate) fn no_key() -> Settings {
    Settings { management_auth: ManagementAuth::Noauth, ..Settings::default() }
}

/// Name of a node, as in the recordings; its address is another.
pub(crate) fn name(n: u8) -> NodeName {
    NodeName(format!("VerneMQ{n}@127.0.0.1{n}"))
}

/// A loopback address of this process: two runs of these tests must not meet, for the ports are the broker's own.
pub(crate) fn loopback(block: u8, last: u8) -> Ipv4Addr {
    let process = u8::try_from(std::process::id() % 31).unwrap();
    Ipv4Addr::new(127, 224 + process, block, last)
}

/// Three members that agree, on the addresses `.11` to `.13` of a block.
pub(crate) struct Trio {
    pub(crate) fleet: Fleet,
    block: u8,
}

impl Trio {
    /// Boots and waits until the last join has settled.
    pub(crate) async fn start(block: u8, settings: Settings) -> Self {
        let auth = settings.management_auth;
        let fleet = Fleet::start(
            Clock::starting_at(Time(1_000_000)),
            Settings { management_auth: ManagementAuth::Noauth, ..settings },
        );
        let trio = Self { fleet, block };
        for n in 1..=3 {
            trio.boot(n).await;
            trio.whole(1..=n).await;
        }
        sleep(Duration::from_secs(30)).await;
        trio.fleet.with_model(|model, _| model.settings_mut().management_auth = auth);
        trio
    }

    pub(crate) fn address(&self, n: u8) -> Ipv4Addr {
        loopback(self.block, 10 + n)
    }

    pub(crate) fn mqtt(&self, n: u8) -> SocketAddr {
        (self.address(n), 1883).into()
    }

    pub(crate) fn http(&self, n: u8) -> SocketAddr {
        (self.address(n), 8888).into()
    }

    pub(crate) async fn boot(&self, n: u8) {
        let spec = NodeSpec {
            name: name(n),
            address: self.address(n),
            mqtt_port: 1883,
            http_port: 8888,
            version: Version::default(),
            discover: (n > 1).then(|| name(1)),
        };
        self.fleet.boot(spec).await.unwrap();
    }

    pub(crate) async fn kill(&self, n: u8) {
        self.fleet.signal(&name(n), Signal::Kill);
        assert_eq!(self.fleet.exited(&name(n)).await, 137);
        sleep(Duration::from_secs(1)).await;
    }

    /// Members as `n` sees them, from its own `cluster show` over HTTP; none while it does not say.
    pub(crate) async fn members(&self, n: u8) -> Option<Vec<(String, bool)>> {
        if self.fleet.process(&name(n)) != Process::Running {
            return None;
        }
        let reply = get(self.http(n), "/api/v1/cluster/show").await.ok()?;
        let json: serde_json::Value = serde_json::from_str(&reply.body).ok()?;
        let rows = json["table"].as_array()?.iter();
        Some(rows.map(|row| (row["Node"].as_str().unwrap().into(), row["Running"] == true)).collect())
    }

    /// Waits until all of `range` see exactly themselves, running, and take clients.
    pub(crate) async fn whole(&self, range: std::ops::RangeInclusive<u8>) {
        let expected: Vec<_> = range.clone().map(|n| (name(n).0, true)).collect();
        for _ in 0..600 {
            let mut agree = true;
            for n in range.clone() {
                let mut members = self.members(n).await.unwrap_or_default();
                members.sort();
                agree &= members == expected && self.fleet.with_model(|model, _| model.listening(&name(n)));
            }
            if agree {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("nodes {range:?} do not agree within a minute");
    }

    pub(crate) async fn admin(&self, at: u8, command: &str) -> AdminOutput {
        let argv: Vec<String> = command.split(' ').map(Into::into).collect();
        self.fleet.admin(&name(at), &argv).await
    }

    pub(crate) async fn api(&self, at: u8, path_and_query: &str) -> Reply {
        get(self.http(at), &format!("/api/v1/{path_and_query}")).await.unwrap()
    }

    /// Value of a series on `/metrics`; the name with its labels but `node`.
    pub(crate) async fn metric(&self, n: u8, metric: &str, labels: &str) -> i64 {
        let page = get(self.http(n), "/metrics").await.unwrap().body;
        let head = format!("vernemq_{metric}{{node=\"{}\"{labels}}} ", name(n));
        let line = page.lines().find_map(|line| line.strip_prefix(&head));
        line.unwrap_or_else(|| panic!("no line {head}")).parse().unwrap()
    }
}

/// A reply of HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: Option<String>,
    pub(crate) body: String,
}

/// A whole exchange on a connection of its own; an error where it ends without a byte.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Reply, String> {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: n\r\n\r\n")).await
}

/// The client closes first, so that no `TIME_WAIT` stays behind on the node's
/// port: a SYN that meets one where nobody listens is answered with an ACK and
/// repeated 8 ms of real time later, which is minutes on a paused clock.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> Result<Reply, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    loop {
        if let Some(reply) = Reply::parse(&text) {
            return Ok(reply);
        }
        let read = stream.read_buf(&mut text).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err(format!("no reply but {:?}", String::from_utf8_lossy(&text)));
        }
    }
}

impl Reply {
    /// None while it is not whole.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length: usize = field("content-length: ").unwrap().parse().unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let kind = field("content-type: ").map(Into::into);
        (body.len() == length).then(|| Self { status, kind, body: body.into() })
    }
}

/// A client that speaks in bytes.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    /// How long silence lasts before it counts as such.
    patience: Duration,
}

impl Raw {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), patience: Duration::from_secs(4) }
    }

    /// For what waits on the kernel's buffers: its milliseconds are minutes on a paused clock.
    pub(crate) fn patient(self) -> Self {
        Self { patience: Duration::from_hours(1), ..self }
    }

    /// A CONNECT of `version` 4 or 5 without keep-alive, and its CONNACK as hex. `flags`: 0x02 is clean.
    pub(crate) async fn connect(address: SocketAddr, version: u8, id: &str, flags: u8) -> (Self, String) {
        Self::connect_keeping_alive(address, version, id, flags, 0).await
    }

    pub(crate) async fn connect_keeping_alive(
        address: SocketAddr,
        version: u8,
        id: &str,
        flags: u8,
        keep_alive: u16,
    ) -> (Self, String) {
        let mut raw = Self::open(address).await;
        raw.send(&connect_packet(version, id, flags, keep_alive)).await;
        let answer = raw.packet().await.unwrap_or_default();
        (raw, answer)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send_hex(&mut self, text: &str) {
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect();
        self.send(&bytes).await;
    }

    /// The next packet as hex; none at the end of the connection or after some silence.
    pub(crate) async fn packet(&mut self) -> Option<String> {
        timeout(self.patience, self.next_packet()).await.ok().flatten().map(|bytes| hex(&bytes))
    }

    /// True when the node has closed; false while it is silent.
    pub(crate) async fn closed(&mut self) -> bool {
        matches!(timeout(self.patience, self.next_packet()).await, Ok(None))
    }

    pub(crate) async fn next_packet(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![self.stream.read_u8().await.ok()?];
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            bytes.push(byte);
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let start = bytes.len();
        bytes.resize(start + length, 0);
        self.stream.read_exact(&mut bytes[start..]).await.ok()?;
        Some(bytes)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

fn framed(header: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![header];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap();
        length /= 128;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

pub(crate) fn connect_packet(version: u8, id: &str, flags: u8, keep_alive: u16) -> Vec<u8> {
    let mut body = Vec::new();
    string("MQTT", &mut body);
    body.extend([version, flags]);
    body.extend(keep_alive.to_be_bytes());
    if version == 5 {
        body.push(0);
    }
    string(id, &mut body);
    if flags & 0x04 != 0 {
        if version == 5 {
            body.push(0);
        }
        string(&format!("will/{id}"), &mut body);
        string("gone", &mut body);
    }
    framed(0x10, &body)
}

pub(crate) fn publish_packet(version: u8, topic: &str, payload: &[u8], qos: u8, pkid: u16) -> Vec<u8> {
    let mut body = Vec::new();
    string(topic, &mut body);
    if qos > 0 {
        body.extend(pkid.to_be_bytes());
    }
    if version == 5 {
        body.push(0);
    }
    body.extend(payload);
    framed(0x30 | qos << 1, &body)
}

pub(crate) fn subscribe_packet(version: u8, filter: &str, qos: u8, pkid: u16) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    string(filter, &mut body);
    body.push(qos);
    framed(0x82, &body)
}

pub(crate) fn unsubscribe_packet(version: u8, filter: &str, pkid: u16) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    if version == 5 {
        body.push(0);
    }
    string(filter, &mut body);
    framed(0xA2, &body)
}

/// Text of a recording.
pub(crate) fn recording(name: &str) -> String {
    let path = format!("{}/../tests/recordings/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
