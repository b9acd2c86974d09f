//! One MQTT subscription that is never given up. The only file that knows the MQTT client.
//!
//! The client is not trusted to repair a connection: it does not subscribe again, loses what was queued, and
//! may take an old SUBACK for a new one. So on any error client and event loop are dropped, and after a pause
//! both are built anew.

use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::time::Duration;

use lifecycle::Time;
use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event as ClientEvent, EventLoop, Incoming, MqttOptions,
    Outgoing, QoS, StateError, SubAck, SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::link::Link;
use crate::clock::Clock;

mod options;

pub use options::{Address, Error as OptionsError, Options, Password};

/// A ping every 5 s and no answer till the next: a dead peer is noticed after 10 s.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// For TCP, TLS and CONNACK together; VerneMQ leaves some connects unanswered for ever.
const CONNECT_SECONDS_MAX: u64 = 5;
/// For the SUBACK.
const SUBACK_WAIT: Duration = Duration::from_secs(10);
/// A payload of 1 MB has to be seen to be counted and refused; what is larger ends the connection with a reason.
const PACKET_BYTES_MAX: usize = 2 << 20;
/// Pauses before a new attempt: from half a second, because a leave refuses connects for about one, to 30 s.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A connection that lasted as long begins again with the shortest pause.
const LASTING: Duration = Duration::from_secs(10);
/// Requests in the client's queue: one SUBSCRIBE, one DISCONNECT.
const REQUESTS_MAX: usize = 4;

/// What the subscription tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// The link is in another state, or failed once more in the same way.
    Link {
        /// The state.
        link: Link,
        /// Cause in words.
        cause: String,
    },
    /// A message.
    Message {
        /// Its topic.
        topic: &'a str,
        /// Its payload.
        payload: &'a [u8],
        /// The broker had kept it: it says nothing about now.
        retained: bool,
    },
}

/// What a connection has come to; mostly its end.
struct Ended {
    link: Link,
    cause: String,
}

/// Connects, subscribes and hands over messages until `stop` resolves; then says goodbye.
pub async fn subscribe(
    options: &Options,
    clock: Clock,
    stop: impl Future<Output = ()>,
    mut sink: impl FnMut(Event<'_>, Time),
) {
    let mut stop = pin!(stop);
    let mut pause = PAUSE_MIN;
    loop {
        let begun = clock.now();
        let Some(ended) = connection(options, clock, stop.as_mut(), &mut sink).await else { return };
        if clock.now().since(begun) >= LASTING {
            pause = PAUSE_MIN;
        }
        sink(Event::Link { link: ended.link, cause: ended.cause }, clock.now());
        // Half of it is chance, so that many exporters do not come back in one burst.
        let jittered = pause.mul_f64(rand::random_range(0.5..=1.0));
        tokio::select! {
            () = sleep(jittered) => {}
            () = stop.as_mut() => return,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Runs one connection to its end; none if it was `stop` that ended it.
async fn connection(
    options: &Options,
    clock: Clock,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    sink: &mut impl FnMut(Event<'_>, Time),
) -> Option<Ended> {
    let (client, mut events) = AsyncClient::new(mqtt_options(options), REQUESTS_MAX);
    events.network_options.set_connection_timeout(CONNECT_SECONDS_MAX);
    // SUBSCRIBE and pings are small, and nothing follows that they could wait for.
    events.network_options.set_tcp_nodelay(true);
    let mut progress = Progress::default();
    let mut watch = interval(Duration::from_secs(1));
    watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // One poll is never given up for a tick: it would begin a connect anew, and its deadline with it.
        let mut poll = pin!(events.poll());
        let polled = loop {
            let news = tokio::select! {
                biased;
                () = stop.as_mut() => break None,
                polled = poll.as_mut() => break Some(polled),
                _ = watch.tick() => progress.watch(options, clock.now()),
            };
            match news {
                Ok(news) => tell(news, clock, sink),
                Err(ended) => return Some(ended),
            }
        };
        let now = clock.now();
        let news = match polled {
            None => break,
            Some(Ok(ClientEvent::Incoming(Incoming::Publish(publish)))) => {
                tell(progress.message(now), clock, sink);
                let (topic, payload) = (publish.topic.as_str(), &publish.payload[..]);
                sink(Event::Message { topic, payload, retained: publish.retain }, now);
                continue;
            }
            Some(Ok(event)) => progress.event(&event, &client, options, now),
            Some(Err(error)) => Err(progress.ended(classify(&error))),
        };
        match news {
            Ok(news) => tell(news, clock, sink),
            Err(ended) => return Some(ended),
        }
    }
    goodbye(&client, &mut events).await;
    None
}

fn tell(news: Option<Ended>, clock: Clock, sink: &mut impl FnMut(Event<'_>, Time)) {
    if let Some(Ended { link, cause }) = news {
        sink(Event::Link { link, cause }, clock.now());
    }
}

/// DISCONNECT, so that the broker does not take us for lost. A second is enough on a connection that works.
async fn goodbye(client: &AsyncClient, events: &mut EventLoop) {
    if events.network.is_none() || client.try_disconnect().is_err() {
        return;
    }
    let sent = async {
        while let Ok(event) = events.poll().await {
            if event == ClientEvent::Outgoing(Outgoing::Disconnect) {
                break;
            }
        }
    };
    let _ = timeout(Duration::from_secs(1), sent).await;
}

/// How far one connection has come.
#[derive(Default)]
struct Progress {
    connected: Option<Time>,
    subscribe_id: Option<u16>,
    /// When the SUBACK came, or the last message.
    heard: Option<Time>,
    /// Some filters were refused, others bring messages: that stays the state.
    partly_refused: bool,
    up: bool,
}

impl Progress {
    /// A message came: says so when the link was not known to bring any.
    fn message(&mut self, now: Time) -> Option<Ended> {
        self.heard = Some(now);
        let news = !self.up && !self.partly_refused;
        self.up = true;
        news.then(|| Ended { link: Link::Up, cause: "messages come".to_owned() })
    }

    fn event(
        &mut self,
        event: &ClientEvent,
        client: &AsyncClient,
        options: &Options,
        now: Time,
    ) -> Result<Option<Ended>, Ended> {
        match event {
            ClientEvent::Incoming(Incoming::ConnAck(_)) => {
                self.connected = Some(now);
                let filters = options.filters.iter();
                let filters = filters.map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce));
                client.try_subscribe_many(filters).map_err(|error| Ended {
                    link: Link::Protocol,
                    cause: format!("the subscription could not be sent: {error}"),
                })?;
            }
            ClientEvent::Outgoing(Outgoing::Subscribe(id)) => self.subscribe_id = Some(*id),
            // Any other SUBACK is an old one.
            ClientEvent::Incoming(Incoming::SubAck(ack)) if Some(ack.pkid) == self.subscribe_id => {
                return self.subscribed(ack, options, now);
            }
            _ => {}
        }
        Ok(None)
    }

    fn subscribed(&mut self, ack: &SubAck, options: &Options, now: Time) -> Result<Option<Ended>, Ended> {
        self.subscribe_id = None;
        self.heard = Some(now);
        let codes = ack.return_codes.iter().zip(&options.filters);
        let refused: Vec<&str> = codes
            .filter(|(code, _)| **code == SubscribeReasonCode::Failure)
            .map(|(_, filter)| filter.as_str())
            .collect();
        if refused.is_empty() {
            let cause = "subscribed, waiting for the first message".to_owned();
            return Ok(Some(Ended { link: Link::Subscribed, cause }));
        }
        let ended = Ended {
            link: Link::AclRefused,
            cause: format!("SUBACK 0x80: the broker refuses {}", refused.join(", ")),
        };
        if refused.len() == options.filters.len() {
            return Err(ended);
        }
        self.partly_refused = true;
        Ok(Some(ended))
    }

    /// Adds how far it had come.
    fn ended(&self, ended: Ended) -> Ended {
        match (ended.link, self.connected) {
            (Link::Closed, None) => Ended { cause: format!("{}, before its CONNACK", ended.cause), ..ended },
            _ => ended,
        }
    }

    /// Looks for what should have come by now.
    fn watch(&mut self, options: &Options, now: Time) -> Result<Option<Ended>, Ended> {
        match (self.connected, self.heard) {
            (Some(connected), None) if now.since(connected) >= SUBACK_WAIT => Err(Ended {
                link: Link::Silent,
                cause: format!("no SUBACK within {} s", SUBACK_WAIT.as_secs()),
            }),
            (_, Some(heard)) if now.since(heard) >= options.message_wait => {
                // Counted once more as long as it lasts.
                self.heard = Some(now);
                self.up = false;
                let cause = format!("subscribed, but no message for {} s", options.message_wait.as_secs());
                Ok(Some(Ended { link: Link::NoMessages, cause }))
            }
            _ => Ok(None),
        }
    }
}

fn mqtt_options(options: &Options) -> MqttOptions {
    let mut mqtt = MqttOptions::new(&options.client_id, &options.broker.host, options.broker.port);
    mqtt.set_keep_alive(KEEP_ALIVE);
    mqtt.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    if let Some(username) = &options.username {
        mqtt.set_credentials(username, options.password.as_ref().map_or("", Password::expose));
    }
    if let Some(tls) = &options.tls {
        mqtt.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
    }
    mqtt
}

/// Tells the ways apart in which a connection fails. Never shows the client's own `Debug`, which may hold packets.
fn classify(error: &ConnectionError) -> Ended {
    let ended = |link, cause: String| Ended { link, cause };
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            ended(Link::TcpRefused, error.to_string())
        }
        ConnectionError::Io(error) => ended(Link::Unreachable, error.to_string()),
        ConnectionError::Tls(error) => ended(Link::Tls, error.to_string()),
        ConnectionError::NetworkTimeout => {
            ended(Link::Silent, format!("no answer to the connect within {CONNECT_SECONDS_MAX} s"))
        }
        ConnectionError::FlushTimeout => ended(Link::Silent, "the broker takes no bytes".to_owned()),
        ConnectionError::NotConnAck(_) => ended(Link::Protocol, "the answer is no CONNACK".to_owned()),
        ConnectionError::RequestsDone => ended(Link::Closed, "the client has ended".to_owned()),
        ConnectionError::MqttState(state) => broken(state),
    }
}

fn refused(code: ConnectReturnCode) -> Ended {
    let (link, cause) = match code {
        ConnectReturnCode::ServiceUnavailable => (Link::ServerUnavailable, "CONNACK 3: server unavailable"),
        ConnectReturnCode::BadUserNamePassword => {
            (Link::BadCredentials, "CONNACK 4: bad user name or password")
        }
        ConnectReturnCode::NotAuthorized => (Link::NotAuthorized, "CONNACK 5: not authorized"),
        ConnectReturnCode::RefusedProtocolVersion => {
            (Link::ConnectRefused, "CONNACK 1: protocol version refused")
        }
        ConnectReturnCode::BadClientId => (Link::ConnectRefused, "CONNACK 2: client id refused"),
        ConnectReturnCode::Success => (Link::Protocol, "a refusal with the code of success"),
    };
    Ended { link, cause: cause.to_owned() }
}

fn broken(state: &StateError) -> Ended {
    let (link, cause) = match state {
        StateError::AwaitPingResp => {
            (Link::Silent, format!("no answer to a ping within {} s", KEEP_ALIVE.as_secs()))
        }
        StateError::ConnectionAborted => (Link::Closed, "the broker closed the connection".to_owned()),
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
            (Link::Closed, error.to_string())
        }
        StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(size)) => {
            (Link::Protocol, format!("a packet of {size} bytes, more than {PACKET_BYTES_MAX}"))
        }
        StateError::Deserialization(error) => (Link::Protocol, error.to_string()),
        other => (Link::Protocol, other.to_string()),
    };
    Ended { link, cause }
}
