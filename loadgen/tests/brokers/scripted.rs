//! A small MQTT 3.1.1 broker that misbehaves on command. It lives in the test's
//! own runtime, so that tests can pause the time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, PubComp, PubRec, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What to do with a PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Route and acknowledge.
    Keep,
    /// Acknowledge, and route to nobody.
    Lose,
    /// Route twice and acknowledge; `true` sets DUP on the second copy.
    Double(bool),
    /// Route, then close the publisher's connection instead of acknowledging.
    Cut,
    /// Route, acknowledge, and close the connections of all subscribers right behind it.
    CutWitnesses,
    /// Close the publisher's connection without routing.
    CutUnrouted,
}

type Fates = Box<dyn FnMut(&Publish) -> Fate + Send>;

struct State {
    fates: Fates,
    /// CONNACK code for whom (by client id).
    refusal: Box<dyn FnMut(&str) -> ConnectReturnCode + Send>,
    sessions: HashMap<String, Session>,
    /// PUBLISHes that went out in one write with a CONNACK.
    right_behind: usize,
}

impl State {
    fn cut_witnesses(&mut self) {
        for session in self.sessions.values_mut().filter(|session| !session.filters.is_empty()) {
            session.online = None;
        }
    }
}

#[derive(Default)]
struct Session {
    filters: Vec<String>,
    queue: Vec<Publish>,
    /// Dropping it closes the connection.
    online: Option<mpsc::UnboundedSender<Packet>>,
    clean: bool,
}

/// The broker. Dropping it closes everything.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    pub(crate) frozen: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start(fates: impl FnMut(&Publish) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            fates: Box::new(fates),
            refusal: Box::new(|_| ConnectReturnCode::Success),
            sessions: HashMap::new(),
            right_behind: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let frozen = watch::Sender::new(false);
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state), frozen.clone()));
        Self { address, state, frozen, _tasks: tasks }
    }

    /// Decides about CONNECTs from now on.
    pub(crate) fn refuse(&self, refusal: impl FnMut(&str) -> ConnectReturnCode + Send + 'static) {
        self.state.lock().unwrap().refusal = Box::new(refusal);
    }

    /// Closes the connections of all subscribers; they keep their sessions, or not.
    pub(crate) fn cut_subscribers(&self, forget: bool) {
        let mut state = self.state.lock().unwrap();
        state.cut_witnesses();
        if forget {
            state.sessions.retain(|_, session| session.filters.is_empty());
        }
    }

    pub(crate) fn addresses(&self) -> impl Fn() -> Vec<SocketAddr> + Send + Sync + use<> {
        let address = self.address;
        move || vec![address]
    }

    /// How many PUBLISHes went out in one write with a CONNACK.
    pub(crate) fn right_behind(&self) -> usize {
        self.state.lock().unwrap().right_behind
    }

    /// Client ids of the sessions that are kept.
    pub(crate) fn sessions(&self) -> Vec<String> {
        self.state.lock().unwrap().sessions.keys().cloned().collect()
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>, frozen: watch::Sender<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        connections.spawn(serve(socket, Arc::clone(&state), frozen.subscribe()));
    }
}

async fn serve(socket: TcpStream, state: Arc<Mutex<State>>, mut frozen: watch::Receiver<bool>) {
    socket.set_nodelay(true).unwrap();
    let (mut read, mut write) = socket.into_split();
    let mut buffer = BytesMut::new();
    let (sender, mut outgoing) = mpsc::unbounded_channel();
    let mut own = Some(sender);
    let mut client_id = String::new();
    loop {
        while let Some(packet) = next(&mut buffer) {
            frozen.wait_for(|frozen| !frozen).await.unwrap();
            let Some(answers) = handle(&state, &mut client_id, &mut own, packet) else {
                return gone(&state, &client_id);
            };
            // What has waited for a client goes out right behind its CONNACK, in one segment.
            let accepted = answers.iter().any(|answer| matches!(answer, Packet::ConnAck(_)));
            let waiting: Vec<_> = std::iter::from_fn(|| outgoing.try_recv().ok()).collect();
            state.lock().unwrap().right_behind += if accepted { waiting.len() } else { 0 };
            send(&mut write, answers.into_iter().chain(waiting)).await;
        }
        tokio::select! {
            biased;
            packet = outgoing.recv() => match packet {
                Some(packet) => send(&mut write, [packet]).await,
                None => return,
            },
            read = read.read_buf(&mut buffer) => if read.unwrap_or(0) == 0 {
                return gone(&state, &client_id);
            },
        }
    }
}

fn next(buffer: &mut BytesMut) -> Option<Packet> {
    match Packet::read(buffer, 1 << 20) {
        Ok(packet) => Some(packet),
        Err(Error::InsufficientBytes(_)) => None,
        Err(error) => panic!("not MQTT: {error}"),
    }
}

/// All of them in one write.
async fn send(write: &mut OwnedWriteHalf, packets: impl IntoIterator<Item = Packet>) {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, 1 << 20).unwrap();
    }
    // A client that has gone away is noticed by the reader.
    let _ = write.write_all(&bytes).await;
}

fn gone(state: &Mutex<State>, client_id: &str) {
    let mut state = state.lock().unwrap();
    if let Some(session) = state.sessions.get_mut(client_id) {
        session.online = None;
        if session.clean {
            state.sessions.remove(client_id);
        }
    }
}

/// The answers to `packet`; `None` closes the connection.
fn handle(
    state: &Mutex<State>,
    client_id: &mut String,
    own: &mut Option<mpsc::UnboundedSender<Packet>>,
    packet: Packet,
) -> Option<Vec<Packet>> {
    let mut state = state.lock().unwrap();
    Some(match packet {
        Packet::Connect(connect) => {
            client_id.clone_from(&connect.client_id);
            let code = (state.refusal)(client_id);
            let session_present = !connect.clean_session && state.sessions.contains_key(client_id);
            if code == ConnectReturnCode::Success {
                if connect.clean_session {
                    state.sessions.remove(client_id);
                }
                let session = state.sessions.entry(client_id.clone()).or_default();
                session.clean = connect.clean_session;
                session.online = own.take();
                for publish in session.queue.drain(..) {
                    deliver(session.online.as_ref(), publish);
                }
            }
            vec![Packet::ConnAck(ConnAck { session_present, code })]
        }
        Packet::Subscribe(subscribe) => {
            let granted = subscribe.filters.iter().map(|filter| SubscribeReasonCode::Success(filter.qos));
            let filters = subscribe.filters.iter().map(|filter| filter.path.clone());
            let session = state.sessions.entry(client_id.clone()).or_default();
            session.filters = filters.collect();
            vec![Packet::SubAck(SubAck::new(subscribe.pkid, granted.collect()))]
        }
        Packet::Publish(publish) => {
            let fate = (state.fates)(&publish);
            let (copies, dup) = match fate {
                Fate::Keep | Fate::Cut | Fate::CutWitnesses => (1, false),
                Fate::Lose | Fate::CutUnrouted => (0, false),
                Fate::Double(dup) => (2, dup),
            };
            for copy in 0..copies {
                route(&mut state, &publish, dup && copy == 1);
            }
            if fate == Fate::CutWitnesses {
                state.cut_witnesses();
            }
            match (fate, publish.qos) {
                (Fate::Cut | Fate::CutUnrouted, _) => return None,
                (_, QoS::AtMostOnce) => vec![],
                (_, QoS::AtLeastOnce) => vec![Packet::PubAck(PubAck::new(publish.pkid))],
                (_, QoS::ExactlyOnce) => vec![Packet::PubRec(PubRec::new(publish.pkid))],
            }
        }
        Packet::PubRel(release) => vec![Packet::PubComp(PubComp::new(release.pkid))],
        Packet::PingReq => vec![Packet::PingResp],
        Packet::Disconnect => return None,
        _ => vec![],
    })
}

/// Delivers at QoS 0: the scripts are about what is routed, not about how.
fn route(state: &mut State, publish: &Publish, dup: bool) {
    for session in state.sessions.values_mut().filter(|session| session.filters.contains(&publish.topic)) {
        let mut copy = publish.clone();
        (copy.qos, copy.pkid, copy.dup) = (QoS::AtMostOnce, 0, dup);
        match &session.online {
            Some(online) if !online.is_closed() => deliver(Some(online), copy),
            _ => session.queue.push(copy),
        }
    }
}

fn deliver(to: Option<&mpsc::UnboundedSender<Packet>>, publish: Publish) {
    if let Some(to) = to {
        let _ = to.send(Packet::Publish(publish));
    }
}
