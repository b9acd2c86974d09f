//! Packets of a client, by rumqttc's codecs.

use bytes::{Buf, BytesMut};
use rumqttc::mqttbytes::{Error as V4Error, v4};
use rumqttc::v5::mqttbytes::{Error as V5Error, v5};

use super::{Hello, Inbound, MAX_PACKET, Version, Will, WireError};

/// Takes the CONNECT off the front of `buffer`; none while it is incomplete.
pub(crate) fn read_connect(buffer: &mut BytesMut) -> Result<Option<Hello>, WireError> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    if first >> 4 != 1 {
        return Err(WireError::OutOfOrder(first >> 4));
    }
    let Some(level) = protocol_level(buffer)? else { return Ok(None) };
    match level {
        4 => match v4::Packet::read(buffer, MAX_PACKET as usize) {
            Ok(v4::Packet::Connect(connect)) => Ok(Some(hello_v4(connect))),
            Ok(_) => Err(WireError::OutOfOrder(first >> 4)),
            Err(V4Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(WireError::Unreadable(error.to_string())),
        },
        5 => match v5::Packet::read(buffer, Some(MAX_PACKET)) {
            Ok(v5::Packet::Connect(connect, will, login)) => Ok(Some(hello_v5(connect, will, login))),
            Ok(_) => Err(WireError::OutOfOrder(first >> 4)),
            Err(V5Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(WireError::Unreadable(error.to_string())),
        },
        other => Err(WireError::Level(other)),
    }
}

/// The byte after the protocol name, which tells the version; none while it
/// has not arrived.
fn protocol_level(buffer: &BytesMut) -> Result<Option<u8>, WireError> {
    let mut rest = &buffer[1..];
    for at in 0.. {
        if at == 4 {
            return Err(WireError::Unreadable("remaining length of more than four bytes".into()));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        if rest.get_u8() & 0x80 == 0 {
            break;
        }
    }
    if rest.remaining() < 2 {
        return Ok(None);
    }
    let name = usize::from(rest.get_u16());
    Ok(rest.get(name).copied())
}

fn hello_v4(connect: v4::Connect) -> Hello {
    Hello {
        version: Version::V4,
        client_id: connect.client_id,
        clean: connect.clean_session,
        keep_alive: connect.keep_alive,
        session_expiry: None,
        will: connect.last_will.map(|will| Will {
            topic: will.topic,
            payload: will.message,
            qos: will.qos as u8,
            retain: will.retain,
        }),
        login: connect.login.map(|login| (login.username, login.password)),
    }
}

fn hello_v5(connect: v5::Connect, will: Option<v5::LastWill>, login: Option<v5::Login>) -> Hello {
    Hello {
        version: Version::V5,
        client_id: connect.client_id,
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        session_expiry: connect.properties.and_then(|all| all.session_expiry_interval),
        will: will.map(|will| Will {
            topic: String::from_utf8_lossy(&will.topic).into_owned(),
            payload: will.message,
            qos: will.qos as u8,
            retain: will.retain,
        }),
        login: login.map(|login| (login.username, login.password)),
    }
}

/// Takes the next packet off the front of `buffer`; none while it is incomplete.
pub(crate) fn read(version: Version, buffer: &mut BytesMut) -> Result<Option<Inbound>, WireError> {
    // MQTT 5 lets a client leave out the reason of a DISCONNECT; rumqttc's
    // reader takes that for an empty packet.
    if buffer.len() >= 2 && buffer[0] == 0xE0 && buffer[1] == 0 {
        buffer.advance(2);
        return Ok(Some(Inbound::Disconnect { will: false }));
    }
    match version {
        Version::V4 => match v4::Packet::read(buffer, MAX_PACKET as usize) {
            Ok(packet) => inbound_v4(packet).map(Some),
            Err(V4Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(WireError::Unreadable(error.to_string())),
        },
        Version::V5 => match v5::Packet::read(buffer, Some(MAX_PACKET)) {
            Ok(packet) => inbound_v5(packet).map(Some),
            Err(V5Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(WireError::Unreadable(error.to_string())),
        },
    }
}

fn inbound_v4(packet: v4::Packet) -> Result<Inbound, WireError> {
    Ok(match packet {
        v4::Packet::Publish(publish) => Inbound::Publish {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos as u8,
            retain: publish.retain,
            pkid: publish.pkid,
        },
        v4::Packet::PubAck(ack) => Inbound::PubAck(ack.pkid),
        v4::Packet::PubRec(rec) => Inbound::PubRec { pkid: rec.pkid, refused: false },
        v4::Packet::PubRel(rel) => Inbound::PubRel(rel.pkid),
        v4::Packet::PubComp(comp) => Inbound::PubComp(comp.pkid),
        v4::Packet::Subscribe(subscribe) => Inbound::Subscribe {
            pkid: subscribe.pkid,
            filters: subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect(),
        },
        v4::Packet::Unsubscribe(all) => Inbound::Unsubscribe { pkid: all.pkid, filters: all.topics },
        v4::Packet::PingReq => Inbound::Ping,
        v4::Packet::Disconnect => Inbound::Disconnect { will: false },
        v4::Packet::Connect(_) => return Err(WireError::OutOfOrder(1)),
        v4::Packet::ConnAck(_) => return Err(WireError::OutOfOrder(2)),
        v4::Packet::SubAck(_) => return Err(WireError::OutOfOrder(9)),
        v4::Packet::UnsubAck(_) => return Err(WireError::OutOfOrder(11)),
        v4::Packet::PingResp => return Err(WireError::OutOfOrder(13)),
    })
}

fn inbound_v5(packet: v5::Packet) -> Result<Inbound, WireError> {
    Ok(match packet {
        v5::Packet::Publish(publish) => Inbound::Publish {
            topic: String::from_utf8(publish.topic.to_vec())
                .map_err(|_| WireError::Unreadable("topic is not UTF-8".into()))?,
            payload: publish.payload,
            qos: publish.qos as u8,
            retain: publish.retain,
            pkid: publish.pkid,
        },
        v5::Packet::PubAck(ack) => Inbound::PubAck(ack.pkid),
        v5::Packet::PubRec(rec) => {
            let refused =
                !matches!(rec.reason, v5::PubRecReason::Success | v5::PubRecReason::NoMatchingSubscribers);
            Inbound::PubRec { pkid: rec.pkid, refused }
        }
        v5::Packet::PubRel(rel) => Inbound::PubRel(rel.pkid),
        v5::Packet::PubComp(comp) => Inbound::PubComp(comp.pkid),
        v5::Packet::Subscribe(subscribe) => Inbound::Subscribe {
            pkid: subscribe.pkid,
            filters: subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect(),
        },
        v5::Packet::Unsubscribe(all) => Inbound::Unsubscribe { pkid: all.pkid, filters: all.filters },
        v5::Packet::PingReq(_) => Inbound::Ping,
        v5::Packet::Disconnect(bye) => Inbound::Disconnect {
            will: bye.reason_code == v5::DisconnectReasonCode::DisconnectWithWillMessage,
        },
        v5::Packet::Auth(_) => return Err(WireError::OutOfOrder(15)),
        v5::Packet::Connect(..) => return Err(WireError::OutOfOrder(1)),
        v5::Packet::ConnAck(_) => return Err(WireError::OutOfOrder(2)),
        v5::Packet::SubAck(_) => return Err(WireError::OutOfOrder(9)),
        v5::Packet::UnsubAck(_) => return Err(WireError::OutOfOrder(11)),
        v5::Packet::PingResp(_) => return Err(WireError::OutOfOrder(13)),
    })
}
