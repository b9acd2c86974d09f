//! Packets to a client.

use bytes::{BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::{QoS as V4QoS, v4};
use rumqttc::v5::mqttbytes::{QoS as V5QoS, v5};

use super::Version;

/// CONNACK; `code` is the version's own (3 or 0x88 in a netsplit, `netsplit_raw_bytes.txt`).
pub(crate) fn connack(version: Version, session_present: bool, code: u8, out: &mut BytesMut) {
    let flags = u8::from(session_present);
    match version {
        Version::V4 => out.put_slice(&[0x20, 2, flags, code]),
        Version::V5 => out.put_slice(&[0x20, 3, flags, code, 0]),
    }
}

/// PUBACK (0x40) or PUBREC (0x50). A refusal can be told in MQTT 5 only, as `… 83 00` of `netsplit_raw_bytes.txt`.
pub(crate) fn publish_answer(version: Version, header: u8, pkid: u16, code: u8, out: &mut BytesMut) {
    let [high, low] = pkid.to_be_bytes();
    if code == 0 || version == Version::V4 {
        out.put_slice(&[header, 2, high, low]);
    } else {
        out.put_slice(&[header, 4, high, low, code, 0]);
    }
}

/// PUBREL (0x62) or PUBCOMP (0x70), both without a reason.
pub(crate) fn release(header: u8, pkid: u16, out: &mut BytesMut) {
    let [high, low] = pkid.to_be_bytes();
    out.put_slice(&[header, 2, high, low]);
}

/// SUBACK with one code a filter.
pub(crate) fn suback(version: Version, pkid: u16, codes: &[u8], out: &mut BytesMut) {
    list_answer(version, 0x90, pkid, codes, out);
}

/// UNSUBACK: without codes in 3.1.1, with one a filter in 5.
pub(crate) fn unsuback(version: Version, pkid: u16, codes: &[u8], out: &mut BytesMut) {
    list_answer(version, 0xB0, pkid, if version == Version::V4 { &[] } else { codes }, out);
}

fn list_answer(version: Version, header: u8, pkid: u16, codes: &[u8], out: &mut BytesMut) {
    let properties = usize::from(version == Version::V5);
    out.put_u8(header);
    put_length(2 + properties + codes.len(), out);
    out.put_u16(pkid);
    out.put_bytes(0, properties);
    out.put_slice(codes);
}

/// PINGRESP.
pub(crate) fn pong(out: &mut BytesMut) {
    out.put_slice(&[0xD0, 0]);
}

/// DISCONNECT of the server: only MQTT 5 has one. `0x98` is what an
/// administrative kick carries, without properties (`disconnect_semantics.txt`).
pub(crate) fn disconnect(reason: u8, out: &mut BytesMut) {
    out.put_slice(&[0xE0, 2, reason, 0]);
}

/// A delivery on its way to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0 with QoS 0.
    pub(crate) pkid: u16,
}

/// PUBLISH to a client. A topic or payload beyond the protocol's limits was
/// refused on the way in, so the codec cannot refuse it here.
pub(crate) fn publish(version: Version, packet: Outgoing<'_>, out: &mut BytesMut) {
    let Outgoing { topic, payload, qos, retain, dup, pkid } = packet;
    let result = match version {
        Version::V4 => {
            let qos = match qos {
                0 => V4QoS::AtMostOnce,
                1 => V4QoS::AtLeastOnce,
                _ => V4QoS::ExactlyOnce,
            };
            let mut publish = v4::Publish::from_bytes(topic, qos, payload.clone());
            (publish.retain, publish.dup, publish.pkid) = (retain, dup, pkid);
            publish.write(out).map_err(|error| error.to_string())
        }
        Version::V5 => {
            let qos = match qos {
                0 => V5QoS::AtMostOnce,
                1 => V5QoS::AtLeastOnce,
                _ => V5QoS::ExactlyOnce,
            };
            let mut publish = v5::Publish::new(topic, qos, payload.clone(), None);
            (publish.retain, publish.dup, publish.pkid) = (retain, dup, pkid);
            publish.write(out).map_err(|error| error.to_string())
        }
    };
    if let Err(error) = result {
        tracing::error!(topic, %error, "a delivery could not be encoded and is left out");
    }
}

/// MQTT's variable byte integer.
fn put_length(mut length: usize, out: &mut BytesMut) {
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        out.put_u8(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}
