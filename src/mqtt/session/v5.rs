//! MQTT 5, for listeners that allow nothing else.

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, Filter, Packet, SubscribeReasonCode};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError, mqttbytes::Error as PacketError,
};

use super::news::{
    CONNECT_SECONDS_MAX, Failure, Grant, KEEP_ALIVE, News, PACKET_BYTES_MAX, REQUESTS_MAX, closed, connack,
    failure, no_connack, no_pong, not_connected, too_large, transport, version_refused,
};
use crate::mqtt::connection_state::Link;
use crate::mqtt::options::Options;
use net::Secret;

/// Reads and writes the socket.
pub(in crate::mqtt) struct Poll(EventLoop);

pub(super) fn new(options: &Options) -> (AsyncClient, Poll) {
    let mut mqtt = MqttOptions::new(&options.client_id, &options.broker.host, options.broker.port);
    let mut network = mqtt.network_options();
    network.set_tcp_nodelay(true);
    mqtt.set_keep_alive(KEEP_ALIVE)
        .set_max_packet_size(Some(PACKET_BYTES_MAX))
        .set_connection_timeout(CONNECT_SECONDS_MAX)
        .set_network_options(network)
        .set_transport(transport(options));
    if let Some(username) = &options.username {
        mqtt.set_credentials(username, options.password.as_ref().map_or("", Secret::expose));
    }
    let (client, events) = AsyncClient::new(mqtt, REQUESTS_MAX);
    (client, Poll(events))
}

pub(super) fn filters(filters: &[String]) -> impl Iterator<Item = Filter> {
    filters.iter().map(|filter| Filter::new(filter.clone(), QoS::AtMostOnce))
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
        Event::Incoming(Packet::ConnAck(_)) => News::Accepted,
        Event::Incoming(Packet::Publish(publish)) => {
            // What is no UTF-8 is no topic, and is told as one that is malformed.
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            News::Message { topic, payload: publish.payload, retained: publish.retain }
        }
        Event::Incoming(Packet::SubAck(ack)) => {
            let grants = ack.return_codes.iter().map(|code| Grant { refused: not_granted(*code) }).collect();
            News::Granted { id: ack.pkid, grants }
        }
        Event::Outgoing(Outgoing::Subscribe(id)) => News::Subscribing(id),
        Event::Outgoing(Outgoing::Disconnect) => News::Goodbye,
        _ => News::Other,
    }
}

/// Reason codes of MQTT 5 §3.9.3.
fn not_granted(code: SubscribeReasonCode) -> Option<u8> {
    Some(match code {
        SubscribeReasonCode::Success(_) => return None,
        SubscribeReasonCode::Failure | SubscribeReasonCode::Unspecified => 0x80,
        SubscribeReasonCode::ImplementationSpecific => 0x83,
        SubscribeReasonCode::NotAuthorized => 0x87,
        SubscribeReasonCode::TopicFilterInvalid => 0x8f,
        SubscribeReasonCode::PkidInUse => 0x91,
        SubscribeReasonCode::QuotaExceeded => 0x97,
        SubscribeReasonCode::SharedSubscriptionsNotSupported => 0x9e,
        SubscribeReasonCode::SubscriptionIdNotSupported => 0xa1,
        SubscribeReasonCode::WildcardSubscriptionsNotSupported => 0xa2,
    })
}

/// Tells the ways apart in which a connection fails. Never shows the client's own `Debug`, which may hold packets.
fn classify(error: &ConnectionError) -> Failure {
    match error {
        ConnectionError::ConnectionRefused(code) => refused(*code),
        ConnectionError::Io(error) => not_connected(error),
        ConnectionError::Tls(error) => failure(Link::Tls, error.to_string()),
        ConnectionError::Timeout(_) => no_connack(),
        ConnectionError::NotConnAck(_) => failure(Link::Protocol, "the answer is no CONNACK"),
        ConnectionError::RequestsDone => failure(Link::Closed, "the client has ended"),
        ConnectionError::MqttState(state) => broken(state),
    }
}

/// Reason codes of MQTT 5 §3.2.2.2.
fn refused(code: ConnectReturnCode) -> Failure {
    use ConnectReturnCode as Code;
    let (link, code, words) = match code {
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => return version_refused(0x84),
        Code::ServiceUnavailable | Code::ServerUnavailable => {
            (Link::ServerUnavailable, 0x88, "server unavailable")
        }
        Code::ServerBusy => (Link::ServerUnavailable, 0x89, "server busy"),
        Code::BadUserNamePassword => (Link::BadCredentials, 0x86, "bad user name or password"),
        Code::NotAuthorized => (Link::NotAuthorized, 0x87, "not authorized"),
        Code::Banned => (Link::NotAuthorized, 0x8a, "banned"),
        Code::BadClientId | Code::ClientIdentifierNotValid => {
            (Link::ConnectRefused, 0x85, "client id refused")
        }
        Code::UseAnotherServer => (Link::ConnectRefused, 0x9c, "use another server"),
        Code::ServerMoved => (Link::ConnectRefused, 0x9d, "server moved"),
        Code::QuotaExceeded => (Link::ConnectRefused, 0x97, "quota exceeded"),
        Code::ConnectionRateExceeded => (Link::ConnectRefused, 0x9f, "connection rate exceeded"),
        other => return failure(Link::ConnectRefused, format!("CONNACK with the reason {other:?}")),
    };
    failure(link, format!("CONNACK {}: {words}", connack(code)))
}

fn broken(state: &StateError) -> Failure {
    match state {
        StateError::AwaitPingResp => no_pong(),
        StateError::ConnectionAborted => closed(),
        StateError::Io(error) | StateError::Deserialization(PacketError::Io(error)) => {
            failure(Link::Closed, error.to_string())
        }
        StateError::Deserialization(PacketError::PayloadSizeLimitExceeded { pkt_size, .. })
        | StateError::IncomingPacketTooLarge { pkt_size, .. } => too_large(*pkt_size),
        StateError::ServerDisconnect { reason_code, .. } => {
            // The variants are numbered as the reason codes are.
            failure(Link::Closed, format!("the broker said goodbye with {}", connack(*reason_code as u8)))
        }
        StateError::Deserialization(error) => failure(Link::Protocol, error.to_string()),
        other => failure(Link::Protocol, other.to_string()),
    }
}
