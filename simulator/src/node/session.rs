//! One MQTT connection, from its first byte to its last.

use std::{collections::HashSet, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use lifecycle::Time;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use super::wire::{self, Hello, Inbound, Version, WireError};
use crate::{
    fleet::{Conn, Fleet, Life, Visit},
    model::{
        ClusterModel, ConnId, Connect, Filter, Goodbye, ListenerSetting, Protocol, Publish, PublishOutcome,
        SubscribeOutcome, UnsubscribeOutcome, Will,
    },
};

/// How long a client may take for its CONNECT; the broker's `mqtt_connect_timeout`.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// How long the last bytes may take on a connection that the node closes.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes read at a time: some 500 small packets share one turn at the model.
const READ: usize = 16 * 1024;
/// Longest PROXY header of version 1, as its specification has it; a CONNECT in the same segment comes on top.
const PROXY_MAX: usize = 107 + READ;
/// Below this a payload that the model may keep is copied out of the read
/// buffer, so that one queued message does not pin a whole block of it.
const COPY_BELOW: usize = 4 * 1024;

/// Serves one connection to its end.
pub(crate) async fn serve(mut stream: TcpStream, mut visit: Visit, listener: SocketAddr) {
    // Small answers must not wait for more (they would, 40 ms at a time).
    let _ = stream.set_nodelay(true);
    let set = visit.fleet.with_model(|model, _| model.listener(&visit.at, listener));
    let Some(set) = set else { return };
    let mut buffer = BytesMut::new();
    let hello = tokio::select! {
        read = tokio::time::timeout(CONNECT_DEADLINE, read_hello(&mut stream, &mut buffer, &set)) => read,
        () = ended(&mut visit.life) => return,
    };
    // Too late, gone, or not MQTT: closed without a word.
    let Ok(Some(hello)) = hello else { return };
    let conn = Arc::new(Conn::new(hello.version));
    let keep_alive = hello.keep_alive;
    let hello = Connect { port: Some(listener.port()), ..connect(hello, &visit, set.mountpoint) };
    let id = visit.fleet.connect(&visit.at, hello, &conn);
    let session = Session {
        fleet: visit.fleet.clone(),
        id,
        conn,
        // One and a half times the keep-alive, by the standard.
        patience: Duration::from_millis(u64::from(keep_alive) * 1_500),
        heard: visit.fleet.now(),
        arrived: HashSet::new(),
        pending: BytesMut::new(),
        buffer,
        unread: false,
    };
    session.run(stream, visit.life).await;
}

/// Lets the kernel acknowledge what was read at once. A client without
/// `TCP_NODELAY` (rumqttc's default) holds its next packet back until then: up
/// to 40 ms of real time, in which a paused clock runs for minutes.
fn acknowledge(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = stream.set_quickack(true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Resolves when the node's process has ended.
async fn ended(life: &mut watch::Receiver<Life>) {
    while life.changed().await.is_ok() {}
}

async fn read_hello(stream: &mut TcpStream, buffer: &mut BytesMut, set: &ListenerSetting) -> Option<Hello> {
    if set.proxy {
        proxy_header(stream, buffer).await?;
    }
    loop {
        match wire::read_connect(buffer) {
            Ok(Some(hello)) if set.versions.contains(&hello.version.level()) => return Some(hello),
            Ok(Some(hello)) => {
                // allowed_protocol_versions: in the words of the version that is refused.
                let code = if hello.version == Version::V4 { 1 } else { 0x84 };
                let mut out = BytesMut::new();
                wire::connack(hello.version, false, code, &mut out);
                let _ = stream.write_all(&out).await;
                return None;
            }
            Ok(None) => {}
            Err(WireError::Level(level)) => {
                tracing::debug!(level, "protocol level refused");
                let mut out = BytesMut::new();
                wire::connack(Version::V4, false, 1, &mut out);
                let _ = stream.write_all(&out).await;
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, "closed before CONNECT");
                return None;
            }
        }
        buffer.reserve(READ);
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
        acknowledge(stream);
    }
}

/// Takes the PROXY header (version 1) off the front; whatever else comes first ends the connection, unanswered.
async fn proxy_header(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<()> {
    const FIRST: &[u8] = b"PROXY ";
    loop {
        let known = FIRST.len().min(buffer.len());
        if buffer[..known] != FIRST[..known] || buffer.len() > PROXY_MAX {
            tracing::debug!("no PROXY header");
            return None;
        }
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            buffer.advance(end + 2);
            return Some(());
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
        acknowledge(stream);
    }
}

fn connect(hello: Hello, visit: &Visit, mountpoint: String) -> Connect {
    let (username, password) = hello.login.unzip();
    Connect {
        // The broker makes up a name; ours is unique by the client's port.
        client_id: if hello.client_id.is_empty() {
            format!("anon-{}-{}", visit.peer.ip(), visit.peer.port())
        } else {
            hello.client_id
        },
        port: None,
        mountpoint,
        protocol: match hello.version {
            Version::V4 => Protocol::V4,
            Version::V5 => Protocol::V5,
        },
        clean: hello.clean,
        session_expiry: hello.session_expiry.unwrap_or(0),
        keep_alive: hello.keep_alive,
        will: hello.will.map(|will| Will {
            topic: will.topic,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
        }),
        username,
        password,
        peer: Some(visit.peer),
    }
}

/// Why a connection ends on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client said goodbye, or is gone.
    Client(Goodbye),
    /// The model closed it; what it wrote last is still sent.
    Node,
    /// The process is gone.
    Process,
}

struct Session {
    fleet: Fleet,
    id: ConnId,
    conn: Arc<Conn>,
    patience: Duration,
    heard: Time,
    /// Packet ids of QoS 2 PUBLISHes that wait for their PUBREL: at most 65 535.
    arrived: HashSet<u16>,
    /// Being written.
    pending: BytesMut,
    /// Read and not yet taken apart.
    buffer: BytesMut,
    /// Something was read since the last packet was taken. VerneMQ does not
    /// look at what came in one segment with the CONNECT until more arrives
    /// (docs/broker/listeners.md, "First packets"), and neither does this.
    unread: bool,
}

impl Session {
    async fn run(mut self, mut stream: TcpStream, mut life: watch::Receiver<Life>) {
        let end = self.exchange(&mut stream, &mut life).await;
        match end {
            End::Client(how) => self.fleet.locked(|core, now| {
                core.conns.remove(&self.id);
                core.model.disconnect(self.id, how, now);
            }),
            End::Node => {
                self.conn.take_rest(&mut self.pending);
                let last = async {
                    stream.write_all(&self.pending).await?;
                    stream.shutdown().await
                };
                let _ = tokio::time::timeout(LAST_WORDS, last).await;
            }
            End::Process => {}
        }
    }

    async fn exchange(&mut self, stream: &mut TcpStream, life: &mut watch::Receiver<Life>) -> End {
        let (mut reader, mut writer) = stream.split();
        loop {
            let look = self.conn.take(&mut self.pending);
            if look.closing {
                return End::Node;
            }
            if look.accepted && std::mem::take(&mut self.unread) {
                match self.packets() {
                    Ok(None) => continue,
                    Ok(Some(how)) => return End::Client(how),
                    Err(error) => {
                        tracing::debug!(%error, "connection ended");
                        return End::Client(Goodbye::Lost);
                    }
                }
            }
            self.buffer.reserve(READ);
            // An unaccepted client may send what fits one packet, no more.
            let may_read = !look.clogged && self.buffer.len() <= wire::MAX_PACKET as usize + READ;
            tokio::select! {
                written = writer.write_buf(&mut self.pending), if !self.pending.is_empty() => {
                    if written.unwrap_or(0) == 0 {
                        return End::Client(Goodbye::Lost);
                    }
                }
                read = reader.read_buf(&mut self.buffer), if may_read => {
                    acknowledge(reader.as_ref());
                    if !self.heard_of(&read) {
                        return End::Client(Goodbye::Lost);
                    }
                }
                () = self.conn.changed() => {}
                () = ended(life) => return End::Process,
                () = silence(self.patience, self.heard, &self.fleet) => {
                    return End::Client(Goodbye::Lost);
                }
            }
        }
    }

    /// False at the end of the client's bytes.
    fn heard_of(&mut self, read: &io::Result<usize>) -> bool {
        self.heard = self.fleet.now();
        self.unread = true;
        read.as_ref().is_ok_and(|&count| count > 0)
    }

    /// Takes all whole packets to the model in one turn.
    fn packets(&mut self) -> Result<Option<Goodbye>, WireError> {
        let mut batch = Vec::new();
        let error = loop {
            match wire::read(self.conn.version(), &mut self.buffer) {
                Ok(Some(packet)) => batch.push(packet),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if !batch.is_empty() {
            let Self { fleet, id, conn, arrived, .. } = self;
            let goodbye = fleet.locked(|core, now| {
                batch
                    .into_iter()
                    .find_map(|packet| Turn { id: *id, conn, arrived, now }.take(&mut core.model, packet))
            });
            if goodbye.is_some() {
                return Ok(goodbye);
            }
        }
        error.map_or(Ok(None), Err)
    }
}

/// Resolves when a client has been silent for longer than it promised.
async fn silence(patience: Duration, heard: Time, fleet: &Fleet) {
    if patience.is_zero() {
        return std::future::pending().await;
    }
    let waited = fleet.now().since(heard);
    tokio::time::sleep(patience.saturating_sub(waited)).await;
}

/// One packet's turn at the model.
struct Turn<'a> {
    id: ConnId,
    conn: &'a Conn,
    arrived: &'a mut HashSet<u16>,
    now: Time,
}

impl Turn<'_> {
    fn take(self, model: &mut ClusterModel, packet: Inbound) -> Option<Goodbye> {
        let Self { id, conn, arrived, now } = self;
        let version = conn.version();
        match packet {
            Inbound::Publish { topic, payload, qos, retain, pkid } => {
                if qos == 2 && arrived.contains(&pkid) {
                    conn.answer(|out| wire::publish_answer(version, 0x50, pkid, 0, out));
                    return None;
                }
                let payload = if qos > 0 || retain { kept(payload) } else { payload };
                let outcome = model.publish(id, Publish { topic, payload, qos, retain }, now);
                let code = match outcome {
                    PublishOutcome::Accepted => 0,
                    PublishOutcome::Refused(code) => code,
                    PublishOutcome::Silent => return None,
                };
                if qos == 1 {
                    conn.answer(|out| wire::publish_answer(version, 0x40, pkid, code, out));
                } else if qos == 2 {
                    if code == 0 {
                        arrived.insert(pkid);
                    }
                    conn.answer(|out| wire::publish_answer(version, 0x50, pkid, code, out));
                }
            }
            Inbound::PubRel(pkid) => {
                arrived.remove(&pkid);
                conn.answer(|out| wire::release(0x70, pkid, out));
            }
            Inbound::PubRec { pkid, refused: false } => conn.answer(|out| wire::release(0x62, pkid, out)),
            Inbound::PubAck(pkid) | Inbound::PubComp(pkid) | Inbound::PubRec { pkid, refused: true } => {
                if let Some(delivery) = conn.completed(pkid) {
                    model.acknowledged(id, delivery, now);
                }
            }
            Inbound::Subscribe { pkid, filters } => {
                let filters: Vec<_> =
                    filters.into_iter().map(|(filter, qos)| Filter::new(filter, qos)).collect();
                if let SubscribeOutcome::Codes(codes) = model.subscribe(id, &filters, now) {
                    conn.answer(|out| wire::suback(version, pkid, &codes, out));
                }
            }
            Inbound::Unsubscribe { pkid, filters } => {
                if let UnsubscribeOutcome::Codes(codes) = model.unsubscribe(id, &filters, now) {
                    conn.answer(|out| wire::unsuback(version, pkid, &codes, out));
                }
            }
            Inbound::Ping => {
                model.ping(id, now);
                conn.answer(wire::pong);
            }
            Inbound::Disconnect { will } => {
                return Some(if will { Goodbye::Lost } else { Goodbye::Clean });
            }
        }
        None
    }
}

fn kept(payload: Bytes) -> Bytes {
    if payload.len() < COPY_BELOW { Bytes::copy_from_slice(&payload) } else { payload }
}
