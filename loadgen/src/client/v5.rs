//! MQTT 5 with rumqttc.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode as Refused, Packet, PubAckReason, PubCompReason, PubRecReason, Publish,
    SubscribeReasonCode,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event as Raw, EventLoop, MqttOptions, StateError, mqttbytes,
};
use rumqttc::{Outgoing, TlsError};

use super::code::Code;
use super::event::{Accepted, Broken, ConnectError, Event, connect_io};
use super::options::{Options, SESSION_EXPIRY_SECS};

/// Reads and writes the socket.
pub(crate) struct Inbox {
    event_loop: EventLoop,
    broken: Option<Broken>,
}

pub(super) fn qos(qos: u8) -> QoS {
    match qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

pub(super) async fn connect(options: &Options) -> Result<(AsyncClient, Inbox, Accepted), ConnectError> {
    let mut mqtt = MqttOptions::new(&options.client_id, &options.target.host, options.target.port);
    let mut network = mqtt.network_options();
    network.set_tcp_nodelay(true);
    mqtt.set_keep_alive(options.keep_alive)
        .set_clean_start(options.clean)
        .set_outgoing_inflight_upper_limit(options.identifiers())
        .set_max_packet_size(u32::try_from(options.packet_max()).ok())
        .set_session_expiry_interval((!options.clean).then_some(SESSION_EXPIRY_SECS))
        .set_connection_timeout(options.deadline.as_secs() + 1)
        .set_network_options(network)
        .set_transport(options.transport());
    if let Some(login) = &options.login {
        mqtt.set_credentials(&login.username, login.password.expose());
    }
    let (client, mut event_loop) = AsyncClient::new(mqtt, options.queue());
    match event_loop.poll().await {
        Ok(Raw::Incoming(Packet::ConnAck(connack))) => {
            let receive_max = connack.properties.and_then(|properties| properties.receive_max);
            let receive_max = receive_max.unwrap_or(u16::MAX);
            if connack.session_present && options.exactly_once {
                know_all_identifiers(&mut event_loop);
            }
            let accepted = Accepted {
                session_present: connack.session_present,
                window: options.window.min(receive_max),
                identifiers: options.identifiers().min(receive_max),
            };
            Ok((client, Inbox { event_loop, broken: None }, accepted))
        }
        Ok(other) => Err(ConnectError::Other(format!("instead of a CONNACK came {other:?}"))),
        Err(error) => Err(connect_error(error, options)),
    }
}

/// A broker that resumes a session may begin with the PUBREL of a QoS 2 message
/// of the connection before. It must be answered with PUBCOMP, but to rumqttc,
/// which forgets the identifiers with the connection, it is an error that costs
/// the connection, each time anew. So every identifier is made known here; which
/// messages were seen before is the subscriber's to remember.
fn know_all_identifiers(event_loop: &mut EventLoop) {
    let mut publish = Publish::new("", QoS::ExactlyOnce, Vec::new(), None);
    for identifier in 1..=u16::MAX {
        publish.pkid = identifier;
        // The answer that it wants to send is dropped, and so are its events.
        let _ = event_loop.state.handle_incoming_packet(Packet::Publish(publish.clone()));
        event_loop.state.events.clear();
    }
}

fn connect_error(error: ConnectionError, options: &Options) -> ConnectError {
    match error {
        ConnectionError::Io(error)
        | ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(mqttbytes::Error::Io(error)),
        ) => connect_io(&error),
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            ConnectError::Closed("end of stream".to_owned())
        }
        ConnectionError::Timeout(_) => ConnectError::TimedOut(options.deadline),
        ConnectionError::ConnectionRefused(code) => ConnectError::Refused(refused(code)),
        other => ConnectError::Other(other.to_string()),
    }
}

impl Inbox {
    pub(super) async fn next(&mut self) -> Result<Event, Broken> {
        loop {
            let raw = match &self.broken {
                None => match self.event_loop.poll().await {
                    Ok(raw) => raw,
                    Err(error) => {
                        self.broken = Some(broken(&error));
                        continue;
                    }
                },
                Some(broken) => self.event_loop.state.events.pop_front().ok_or_else(|| broken.clone())?,
            };
            if let Some(event) = event(raw) {
                return Ok(event);
            }
        }
    }
}

fn event(raw: Raw) -> Option<Event> {
    Some(match raw {
        Raw::Outgoing(Outgoing::Publish(identifier)) => Event::Sent(identifier),
        Raw::Outgoing(Outgoing::Disconnect) => Event::Goodbye,
        Raw::Incoming(Packet::PubAck(ack)) => {
            Event::Finished { identifier: ack.pkid, refused: publish_refused(ack.reason) }
        }
        // A PUBREC that accepts is the middle of QoS 2, one that refuses its end.
        Raw::Incoming(Packet::PubRec(ack)) => {
            Event::Finished { identifier: ack.pkid, refused: Some(receive_refused(ack.reason)?) }
        }
        Raw::Incoming(Packet::PubComp(ack)) => Event::Finished {
            identifier: ack.pkid,
            refused: (ack.reason != PubCompReason::Success).then_some(Code::v5(0x92)),
        },
        Raw::Incoming(Packet::Publish(publish)) => Event::Message {
            payload: publish.payload,
            redelivery: publish.dup,
            retained: publish.retain,
            held: (publish.qos == QoS::ExactlyOnce).then_some(publish.pkid),
        },
        Raw::Incoming(Packet::PubRel(release)) => Event::Released(release.pkid),
        Raw::Incoming(Packet::SubAck(ack)) => Event::Subscribed(match ack.return_codes.first() {
            Some(SubscribeReasonCode::Success(qos)) => Ok(*qos as u8),
            other => Err(subscribe_refused(other)),
        }),
        _ => return None,
    })
}

fn broken(error: &ConnectionError) -> Broken {
    match error {
        ConnectionError::Io(_)
        | ConnectionError::MqttState(
            StateError::Io(_)
            | StateError::ConnectionAborted
            | StateError::Deserialization(mqttbytes::Error::Io(_)),
        ) => Broken::Closed,
        ConnectionError::MqttState(StateError::AwaitPingResp) => Broken::NoPingAnswer,
        // The variants are numbered as the reason codes are.
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            Broken::Told(Code::v5(*reason_code as u8))
        }
        other => Broken::Protocol(other.to_string()),
    }
}

/// Reason codes of MQTT 5 §3.4.2.1; "no matching subscribers" is a success.
fn publish_refused(reason: PubAckReason) -> Option<Code> {
    Some(Code::v5(match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::UnspecifiedError => 0x80,
        PubAckReason::ImplementationSpecificError => 0x83,
        PubAckReason::NotAuthorized => 0x87,
        PubAckReason::TopicNameInvalid => 0x90,
        PubAckReason::PacketIdentifierInUse => 0x91,
        PubAckReason::QuotaExceeded => 0x97,
        PubAckReason::PayloadFormatInvalid => 0x99,
    }))
}

/// Reason codes of MQTT 5 §3.5.2.1.
fn receive_refused(reason: PubRecReason) -> Option<Code> {
    Some(Code::v5(match reason {
        PubRecReason::Success | PubRecReason::NoMatchingSubscribers => return None,
        PubRecReason::UnspecifiedError => 0x80,
        PubRecReason::ImplementationSpecificError => 0x83,
        PubRecReason::NotAuthorized => 0x87,
        PubRecReason::TopicNameInvalid => 0x90,
        PubRecReason::PacketIdentifierInUse => 0x91,
        PubRecReason::QuotaExceeded => 0x97,
        PubRecReason::PayloadFormatInvalid => 0x99,
    }))
}

/// Reason codes of MQTT 5 §3.9.3.
fn subscribe_refused(reason: Option<&SubscribeReasonCode>) -> Code {
    Code::v5(match reason {
        Some(SubscribeReasonCode::ImplementationSpecific) => 0x83,
        Some(SubscribeReasonCode::NotAuthorized) => 0x87,
        Some(SubscribeReasonCode::TopicFilterInvalid) => 0x8f,
        Some(SubscribeReasonCode::PkidInUse) => 0x91,
        Some(SubscribeReasonCode::QuotaExceeded) => 0x97,
        Some(SubscribeReasonCode::SharedSubscriptionsNotSupported) => 0x9e,
        Some(SubscribeReasonCode::SubscriptionIdNotSupported) => 0xa1,
        Some(SubscribeReasonCode::WildcardSubscriptionsNotSupported) => 0xa2,
        _ => 0x80,
    })
}

/// Reason codes of MQTT 5 §3.2.2.2; the first three are those of 3.1.1.
fn refused(code: Refused) -> Code {
    Code::v5(match code {
        Refused::Success => 0,
        Refused::RefusedProtocolVersion | Refused::UnsupportedProtocolVersion => 0x84,
        Refused::BadClientId | Refused::ClientIdentifierNotValid => 0x85,
        Refused::ServiceUnavailable | Refused::ServerUnavailable => 0x88,
        Refused::UnspecifiedError => 0x80,
        Refused::MalformedPacket => 0x81,
        Refused::ProtocolError => 0x82,
        Refused::ImplementationSpecificError => 0x83,
        Refused::BadUserNamePassword => 0x86,
        Refused::NotAuthorized => 0x87,
        Refused::ServerBusy => 0x89,
        Refused::Banned => 0x8a,
        Refused::BadAuthenticationMethod => 0x8c,
        Refused::TopicNameInvalid => 0x90,
        Refused::PacketTooLarge => 0x95,
        Refused::QuotaExceeded => 0x97,
        Refused::PayloadFormatInvalid => 0x99,
        Refused::RetainNotSupported => 0x9a,
        Refused::QoSNotSupported => 0x9b,
        Refused::UseAnotherServer => 0x9c,
        Refused::ServerMoved => 0x9d,
        Refused::ConnectionRateExceeded => 0x9f,
    })
}
