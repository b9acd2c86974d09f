//! The handful of MQTT packets that a routing probe sends and reads, of both versions. Pure. Codes stay numbers: people are to
//! read the one that the broker sent.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest packet that is read. Our own messages have some tens of bytes.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Seconds of keep-alive. A routing probe lasts for less.
const KEEP_ALIVE: u16 = 10;

/// MQTT version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

impl Version {
    fn level(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }

    /// Empty properties, where the version has any.
    fn no_properties(self) -> &'static [u8] {
        match self {
            Self::V4 => &[],
            Self::V5 => &[0],
        }
    }
}

/// What a broker sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// With its code.
    ConnAck(u8),
    /// With the code of its one filter.
    SubAck(u8),
    /// With its reason; zero in 3.1.1.
    PubAck(u8),
    /// A message.
    Publish {
        /// Of QoS 1, to be acknowledged.
        pkid: Option<u16>,
        /// Payload.
        payload: Bytes,
    },
    /// MQTT 5: the broker says why it closes.
    Disconnect(u8),
    /// Anything else.
    Other,
}

/// Not MQTT, or too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came is not MQTT")]
pub(super) struct Malformed;

pub(super) fn connect(version: Version, id: &str, login: Option<(&str, &str)>, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    string("MQTT", &mut body);
    body.put_u8(version.level());
    // Clean session; user name and password where there are any.
    body.put_u8(if login.is_some() { 0xC2 } else { 0x02 });
    body.put_u16(KEEP_ALIVE);
    body.put_slice(version.no_properties());
    string(id, &mut body);
    if let Some((username, password)) = login {
        string(username, &mut body);
        string(password, &mut body);
    }
    framed(0x10, &body, out);
}

/// QoS 1.
pub(super) fn subscribe(version: Version, topic: &str, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    body.put_u16(1);
    body.put_slice(version.no_properties());
    string(topic, &mut body);
    body.put_u8(1);
    framed(0x82, &body, out);
}

/// QoS 1, not retained.
pub(super) fn publish(version: Version, topic: &str, payload: &str, pkid: u16, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    string(topic, &mut body);
    body.put_u16(pkid);
    body.put_slice(version.no_properties());
    body.put_slice(payload.as_bytes());
    framed(0x32, &body, out);
}

pub(super) fn puback(pkid: u16, out: &mut BytesMut) {
    framed(0x40, &pkid.to_be_bytes(), out);
}

pub(super) fn disconnect(out: &mut BytesMut) {
    framed(0xE0, &[], out);
}

/// Longer than MQTT allows is cut: neither a login of ours nor a topic is.
fn string(text: &str, out: &mut BytesMut) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.put_u16(length);
    out.put_slice(&text.as_bytes()[..usize::from(length)]);
}

fn framed(header: u8, body: &[u8], out: &mut BytesMut) {
    out.put_u8(header);
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).unwrap_or_default();
        length /= 128;
        out.put_u8(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    out.put_slice(body);
}

/// Takes the next packet off the front; none while it is not whole.
pub(super) fn take(version: Version, buffer: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
    let Some((length, head)) = length(buffer)? else { return Ok(None) };
    if buffer.len() < head + length {
        return Ok(None);
    }
    let header = buffer[0];
    buffer.advance(head);
    let body = buffer.split_to(length).freeze();
    packet(version, header, body).map(Some)
}

/// Remaining length, and the bytes before what it counts.
fn length(buffer: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((length, size)) = variable(buffer.get(1..).unwrap_or_default())? else { return Ok(None) };
    if length > PACKET_BYTES_MAX { Err(Malformed) } else { Ok(Some((length, 1 + size))) }
}

/// A variable byte integer, and its size; none while it is not whole.
fn variable(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed) }
}

fn packet(version: Version, header: u8, body: Bytes) -> Result<Packet, Malformed> {
    let at = |place: usize| body.get(place).copied();
    Ok(match header >> 4 {
        2 => Packet::ConnAck(at(1).ok_or(Malformed)?),
        3 => message(version, header, body)?,
        4 => Packet::PubAck(at(2).unwrap_or(0)),
        9 => {
            let rest = body.get(2..).ok_or(Malformed)?;
            Packet::SubAck(*rest.get(properties(version, rest)?).ok_or(Malformed)?)
        }
        14 => Packet::Disconnect(at(0).unwrap_or(0)),
        _ => Packet::Other,
    })
}

fn message(version: Version, header: u8, mut body: Bytes) -> Result<Packet, Malformed> {
    let short = |body: &Bytes, bytes: usize| if body.len() < bytes { Err(Malformed) } else { Ok(()) };
    short(&body, 2)?;
    let topic = usize::from(body.get_u16());
    short(&body, topic)?;
    body.advance(topic);
    let mut pkid = None;
    if header & 0b0110 != 0 {
        short(&body, 2)?;
        pkid = Some(body.get_u16());
    }
    let skipped = properties(version, &body)?;
    short(&body, skipped)?;
    body.advance(skipped);
    Ok(Packet::Publish { pkid, payload: body })
}

/// Bytes that the properties at the front take.
fn properties(version: Version, bytes: &[u8]) -> Result<usize, Malformed> {
    match version {
        Version::V4 => Ok(0),
        Version::V5 => variable(bytes)?.map(|(length, size)| size + length).ok_or(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
        let mut out = BytesMut::new();
        write(&mut out);
        out
    }

    /// Another reader takes what is written here.
    #[test]
    fn another_codec_reads_what_is_written() {
        let login = Some(("user", "pass"));
        let mut out = written(|out| connect(Version::V4, "id", login, out));
        let Ok(v4::Packet::Connect(four)) = v4::Packet::read(&mut out, 1_000) else { panic!("no CONNECT") };
        assert_eq!((four.client_id.as_str(), four.clean_session, four.keep_alive), ("id", true, 10));
        assert_eq!(
            four.login.map(|login| (login.username, login.password)),
            Some(("user".into(), "pass".into()))
        );
        let mut out = written(|out| connect(Version::V5, "id", None, out));
        let Ok(v5::Packet::Connect(five, None, None)) = v5::Packet::read(&mut out, None) else {
            panic!("no CONNECT")
        };
        assert_eq!((five.client_id.as_str(), five.clean_start), ("id", true));
        let mut out = written(|out| {
            subscribe(Version::V5, "a/b", out);
            publish(Version::V5, "a/b", "text", 7, out);
            puback(9, out);
        });
        let Ok(v5::Packet::Subscribe(asked)) = v5::Packet::read(&mut out, None) else {
            panic!("no SUBSCRIBE")
        };
        assert_eq!(asked.filters[0].path, "a/b");
        let Ok(v5::Packet::Publish(sent)) = v5::Packet::read(&mut out, None) else { panic!("no PUBLISH") };
        assert_eq!((sent.pkid, &sent.topic[..], &sent.payload[..]), (7, &b"a/b"[..], &b"text"[..]));
        assert!(matches!(v5::Packet::read(&mut out, None), Ok(v5::Packet::PubAck(ack)) if ack.pkid == 9));
    }

    /// Bytes of `netsplit_raw_bytes.txt`, `leave_edge_cases.txt` and `disc2_connack_and_metrics_headers.txt`.
    #[test]
    fn reads_what_brokers_send() {
        let read = |version, bytes: &[u8]| take(version, &mut BytesMut::from(bytes)).unwrap().unwrap();
        assert_eq!(read(Version::V4, &[0x20, 2, 0, 3]), Packet::ConnAck(3));
        assert_eq!(read(Version::V5, &[0x20, 3, 0, 0x88, 0]), Packet::ConnAck(0x88));
        assert_eq!(read(Version::V4, &[0x90, 3, 0, 1, 0x80]), Packet::SubAck(0x80));
        assert_eq!(read(Version::V5, &[0x90, 4, 0, 1, 0, 1]), Packet::SubAck(1));
        assert_eq!(read(Version::V5, &[0x40, 4, 0, 2, 0x83, 0]), Packet::PubAck(0x83));
        assert_eq!(read(Version::V5, &[0xE0, 2, 0x98, 0]), Packet::Disconnect(0x98));
        let mut v5 = BytesMut::new();
        v5::Publish { pkid: 3, ..v5::Publish::new("t", rumqttc::v5::mqttbytes::QoS::AtLeastOnce, "x", None) }
            .write(&mut v5)
            .unwrap();
        assert_eq!(
            take(Version::V5, &mut v5),
            Ok(Some(Packet::Publish { pkid: Some(3), payload: "x".into() }))
        );
        assert_eq!(
            take(Version::V4, &mut BytesMut::from(&b"HTTP/1.1 400"[..])),
            Ok(None),
            "waits for 84 bytes"
        );
        assert_eq!(
            take(Version::V4, &mut BytesMut::from(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF][..])),
            Err(Malformed)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..64), five in any::<bool>()) {
            let version = if five { Version::V5 } else { Version::V4 };
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take(version, &mut buffer) {}
        }
    }
}
