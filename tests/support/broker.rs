//! A broker that does as it is told, on the MQTT client's own packet codec: connects, refuses, plays, falls silent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, Publish, SubAck, SubscribeReasonCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const PACKET_MAX: usize = 8 << 20;

/// How it answers. Every field is the polite answer by default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Code of the CONNACK; none is no answer at all.
    pub(crate) connack: Option<ConnectReturnCode>,
    /// Filters that are refused: none, the first, all.
    pub(crate) refused: usize,
    /// Sends a SUBACK of another subscription first, which refuses everything.
    pub(crate) old_suback: bool,
    /// Answers pings.
    pub(crate) pongs: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { connack: Some(ConnectReturnCode::Success), refused: 0, old_suback: false, pongs: true }
    }
}

#[derive(Default)]
struct State {
    manners: Manners,
    subscribers: Vec<mpsc::UnboundedSender<Option<Packet>>>,
    connects: usize,
    subscribes: usize,
    goodbyes: usize,
    passwords: Vec<String>,
}

/// The broker.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Broker {
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let broker = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let accepting = broker.clone();
        // In paused time every wait for a socket jumps to the next timer: this one keeps the jumps small.
        tokio::spawn(async {
            let mut ticker = tokio::time::interval(std::time::Duration::from_millis(2));
            loop {
                ticker.tick().await;
            }
        });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Else a small packet waits 40 ms for the acknowledgement of the one before: minutes in paused time.
                stream.set_nodelay(true).unwrap();
                tokio::spawn(accepting.clone().connection(stream));
            }
        });
        broker
    }

    pub(crate) fn behave(&self, manners: Manners) {
        self.state.lock().unwrap().manners = manners;
    }

    pub(crate) fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.send(topic, payload, false);
    }

    pub(crate) fn send(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let mut publish = Publish::new(topic, QoS::AtMostOnce, payload);
        publish.retain = retain;
        let state = self.state.lock().unwrap();
        for subscriber in &state.subscribers {
            let _ = subscriber.send(Some(Packet::Publish(publish.clone())));
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        for subscriber in self.state.lock().unwrap().subscribers.drain(..) {
            let _ = subscriber.send(None);
        }
    }

    pub(crate) fn connects(&self) -> usize {
        self.state.lock().unwrap().connects
    }

    pub(crate) fn subscribes(&self) -> usize {
        self.state.lock().unwrap().subscribes
    }

    pub(crate) fn goodbyes(&self) -> usize {
        self.state.lock().unwrap().goodbyes
    }

    pub(crate) fn passwords(&self) -> Vec<String> {
        self.state.lock().unwrap().passwords.clone()
    }

    async fn connection(self, mut stream: TcpStream) {
        let (sender, mut outgoing) = mpsc::unbounded_channel();
        let mut buffer = BytesMut::new();
        loop {
            tokio::select! {
                read = stream.read_buf(&mut buffer) => {
                    if read.unwrap_or(0) == 0 {
                        return;
                    }
                    loop {
                        match Packet::read(&mut buffer, PACKET_MAX) {
                            Ok(packet) => {
                                for answer in self.answers(&packet, &sender) {
                                    if write(&mut stream, &answer).await.is_err() {
                                        return;
                                    }
                                }
                            }
                            Err(PacketError::InsufficientBytes(_)) => break,
                            Err(_) => return,
                        }
                    }
                }
                packet = outgoing.recv() => {
                    let Some(Some(packet)) = packet else { return };
                    if write(&mut stream, &packet).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn answers(&self, packet: &Packet, sender: &mpsc::UnboundedSender<Option<Packet>>) -> Vec<Packet> {
        let mut state = self.state.lock().unwrap();
        let manners = state.manners;
        match packet {
            Packet::Connect(connect) => {
                state.connects += 1;
                state.passwords.extend(connect.login.iter().map(|login| login.password.clone()));
                manners.connack.map(|code| Packet::ConnAck(ConnAck::new(code, false))).into_iter().collect()
            }
            Packet::Subscribe(subscribe) => {
                state.subscribes += 1;
                state.subscribers.push(sender.clone());
                let code = |index| {
                    if index < manners.refused {
                        SubscribeReasonCode::Failure
                    } else {
                        SubscribeReasonCode::Success(QoS::AtMostOnce)
                    }
                };
                let codes = (0..subscribe.filters.len()).map(code).collect();
                let mut answers = Vec::new();
                if manners.old_suback {
                    let old = vec![SubscribeReasonCode::Failure; subscribe.filters.len()];
                    answers.push(Packet::SubAck(SubAck::new(subscribe.pkid + 7, old)));
                }
                answers.push(Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
                answers
            }
            Packet::PingReq if manners.pongs => vec![Packet::PingResp],
            Packet::Disconnect => {
                state.goodbyes += 1;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

async fn write(stream: &mut TcpStream, packet: &Packet) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    packet.write(&mut buffer, PACKET_MAX).unwrap();
    stream.write_all(&buffer).await
}
