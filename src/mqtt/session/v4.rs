//! MQTT 3.1.1.

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS,
    StateError, SubscribeFilter, SubscribeReasonCode,
};

use super::news::{
    CONNECT_SECONDS_MAX, Failure, Grant, KEEP_ALIVE, News, PACKET_BYTES_MAX, REQUESTS_MAX, closed, failure,
    no_connack, no_pong, not_connected, too_large, transport, version_refused,
};
use crate::mqtt::connection_state::Link;
use crate::mqtt::options::Options;
use net::Secret;

/// MQTT 5's "unsupported protocol version": what a broker may answer that speaks nothing else.
const UNSUPPORTED_VERSION: u8 = 0x84;

/// Reads and writes the socket.
pub(in crate::mqtt) struct Poll(EventLoop);

pub(super) fn new(options: &Options) -> (AsyncClient, Poll) {
    let mut mqtt = MqttOptions::new(&options.client_id, &options.broker.host, options.broker.port);
    mqtt.set_keep_alive(KEEP_ALIVE);
    mqtt.set_max_packet_size(PACKET_BYTES_MAX as usize, PACKET_BYTES_MAX as usize);
    if let Some(username) = &options.username {
        mqtt.set_credentials(username, options.password.as_ref().map_or("", Secret::expose));
    }
    mqtt.set_transport(transport(options));
    let (client, mut events) = AsyncClient::new(mqtt, REQUESTS_MAX);
    events.network_options.set_connection_timeout(CONNECT_SECONDS_MAX);
    // SUBSCRIBE and pings are small, and nothing follows that they could wait for.
    events.network_options.set_tcp_nodelay(true);
    (client, Poll(events))
}

pub(super) fn filters(filters: &[String]) -> impl Iterator<Item = SubscribeFilter> {
    filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtMostOnce))
}

impl Poll {
    pub(super) async fn next(&mut self) -> Result<News, Failure> {
        match self.0.poll().await {
            Ok(event) => Ok(news(event)),
            Err(error) => Err(classify(&error)),
        }
    }
}

fn news(event: Event) -> News {
    match event {
        Event::Incoming(Incoming::ConnAck(_)) => News::Accepted,
        Event::Incoming(Incoming::Publish(publish)) => {
            News::Message { topic: publish.topic, payload: publish.payload, retained: publish.retain }
        }
        Event::Incoming(Incoming::SubAck(ack)) => {
            let refused =
                |code: &SubscribeReasonCode| (*code == SubscribeReasonCode::Failure).then_some(0x80);
            let grants = ack.return_codes.iter().map(|code| Grant { refused: refused(code) }).collect();
            News::Granted { id: ack.pkid, grants }
        }
        Event::Outgoing(Outgoing::Subscribe(id)) => News::Subscribing(id),
        Event::Outgoing(Outgoing::Disconnect) => News::Goodbye,
        _ => News::Other,
    }
}

/// Tells the ways apart in which a connection fails. Never shows the client's own `Debug`, which may hold packets.
fn classify(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::Io(error) => not_connected(error),
        ConnectionError::Tls(error) => failure(Link::Tls, error.to_string()),
        ConnectionError::NetworkTimeout => no_connack(),
        ConnectionError::FlushTimeout => failure(Link::Silent, "the broker takes no bytes"),
        ConnectionError::NotConnAck(_) => failure(Link::Protocol, "the answer is no CONNACK"),
        ConnectionError::RequestsDone => failure(Link::Closed, "the client has ended"),
        ConnectionError::MqttState(state) => broken(state),
    }
}

fn refused(code: ConnectReturnCode) -> Failure {
    match code {
        ConnectReturnCode::ServiceUnavailable => {
            failure(Link::ServerUnavailable, "CONNACK 3: server unavailable")
        }
        ConnectReturnCode::BadUserNamePassword => {
            failure(Link::BadCredentials, "CONNACK 4: bad user name or password")
        }
        ConnectReturnCode::NotAuthorized => failure(Link::NotAuthorized, "CONNACK 5: not authorized"),
        ConnectReturnCode::RefusedProtocolVersion => version_refused(1),
        ConnectReturnCode::BadClientId => failure(Link::ConnectRefused, "CONNACK 2: client id refused"),
        ConnectReturnCode::Success => failure(Link::Protocol, "a refusal with the code of success"),
    }
}

fn broken(state: &StateError) -> Failure {
    match state {
        StateError::AwaitPingResp => no_pong(),
        StateError::ConnectionAborted => closed(),
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
            failure(Link::Closed, error.to_string())
        }
        StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(size)) => too_large(*size),
        StateError::Deserialization(PacketError::InvalidConnectReturnCode(UNSUPPORTED_VERSION)) => {
            version_refused(UNSUPPORTED_VERSION)
        }
        StateError::Deserialization(error) => failure(Link::Protocol, error.to_string()),
        other => failure(Link::Protocol, other.to_string()),
    }
}
