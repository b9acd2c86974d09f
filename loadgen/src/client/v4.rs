//! MQTT 3.1.1 with rumqttc.

use rumqttc::{
    AsyncClient, ConnectionError, Event as Raw, EventLoop, MqttOptions, Outgoing, Packet, Publish, QoS,
    StateError, SubscribeReasonCode, TlsError, mqttbytes,
};

use super::code::Code;
use super::event::{Accepted, Broken, ConnectError, Event, connect_io};
use super::options::Options;

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
    mqtt.set_keep_alive(options.keep_alive)
        .set_clean_session(options.clean)
        .set_inflight(options.identifiers())
        .set_max_packet_size(options.packet_max(), options.packet_max())
        .set_transport(options.transport());
    if let Some(login) = &options.login {
        mqtt.set_credentials(&login.username, login.password.expose());
    }
    let (client, mut event_loop) = AsyncClient::new(mqtt, options.queue());
    event_loop.network_options.set_tcp_nodelay(true);
    // Ours is finer and comes first; this one must not be shorter.
    event_loop.network_options.set_connection_timeout(options.deadline.as_secs() + 1);
    match event_loop.poll().await {
        Ok(Raw::Incoming(Packet::ConnAck(connack))) => {
            if connack.session_present && options.exactly_once {
                know_all_identifiers(&mut event_loop);
            }
            let accepted = Accepted {
                session_present: connack.session_present,
                window: options.window,
                identifiers: options.identifiers(),
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
    let mut publish = Publish::new("", QoS::ExactlyOnce, Vec::new());
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
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            ConnectError::TimedOut(options.deadline)
        }
        // The variants are numbered as the return codes are.
        ConnectionError::ConnectionRefused(code) => ConnectError::Refused(Code::v4(code as u8)),
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
        Raw::Incoming(Packet::PubAck(ack)) => Event::Finished { identifier: ack.pkid, refused: None },
        Raw::Incoming(Packet::PubComp(ack)) => Event::Finished { identifier: ack.pkid, refused: None },
        Raw::Incoming(Packet::Publish(publish)) => Event::Message {
            payload: publish.payload,
            redelivery: publish.dup,
            retained: publish.retain,
            held: (publish.qos == QoS::ExactlyOnce).then_some(publish.pkid),
        },
        Raw::Incoming(Packet::PubRel(release)) => Event::Released(release.pkid),
        Raw::Incoming(Packet::SubAck(ack)) => Event::Subscribed(match ack.return_codes.first() {
            Some(SubscribeReasonCode::Success(qos)) => Ok(*qos as u8),
            // The one failure code that 3.1.1 knows.
            _ => Err(Code::v4(0x80)),
        }),
        _ => return None,
    })
}

fn broken(error: &ConnectionError) -> Broken {
    match error {
        ConnectionError::Io(_)
        | ConnectionError::FlushTimeout
        | ConnectionError::MqttState(
            StateError::Io(_)
            | StateError::ConnectionAborted
            | StateError::Deserialization(mqttbytes::Error::Io(_)),
        ) => Broken::Closed,
        ConnectionError::MqttState(StateError::AwaitPingResp) => Broken::NoPingAnswer,
        other => Broken::Protocol(other.to_string()),
    }
}
