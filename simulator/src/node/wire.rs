//! Bytes of MQTT, both versions: rumqttc's codecs read, and write the PUBLISH;
//! the small answers are written here, byte for byte as the recordings have them.

mod read;
mod write;

use bytes::Bytes;

pub(crate) use read::{read, read_connect};
pub(crate) use write::{
    Outgoing, connack, disconnect, pong, publish, publish_answer, release, suback, unsuback,
};

/// Longest packet that is read, in bytes. VerneMQ's own default is unlimited;
/// 4 MiB lets the 1 MiB payloads of the bad-input tests pass and bounds what
/// one connection can make this process hold.
pub(crate) const MAX_PACKET: u32 = 4 * 1024 * 1024;

/// Protocol version of a connection, from its CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
}

impl Version {
    /// Protocol level of the CONNECT.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }
}

/// A will, as the CONNECT carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A CONNECT of either version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    /// `clean_session` of 3.1.1, `clean_start` of 5.
    pub(crate) clean: bool,
    /// Seconds; 0 turns it off.
    pub(crate) keep_alive: u16,
    /// MQTT 5's session expiry in seconds; none when absent (then 0).
    pub(crate) session_expiry: Option<u32>,
    pub(crate) will: Option<Will>,
    pub(crate) login: Option<(String, String)>,
}

/// A packet of a client after its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    Publish {
        topic: String,
        payload: Bytes,
        qos: u8,
        retain: bool,
        pkid: u16,
    },
    PubAck(u16),
    /// `refused`: MQTT 5 reason of 0x80 or above, which ends the delivery.
    PubRec {
        pkid: u16,
        refused: bool,
    },
    PubRel(u16),
    PubComp(u16),
    Subscribe {
        pkid: u16,
        filters: Vec<(String, u8)>,
    },
    Unsubscribe {
        pkid: u16,
        filters: Vec<String>,
    },
    Ping,
    /// `will`: MQTT 5 reason 0x04, disconnect with will message.
    Disconnect {
        will: bool,
    },
}

/// Why bytes of a client end its connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The CONNECT names a protocol that this node does not speak: answered
    /// with CONNACK 1 by 3.1.1's rule, then closed.
    #[error("protocol level {0} is not spoken here; use MQTT 3.1.1 (4) or 5")]
    Level(u8),
    /// Anything else but a CONNECT came first, or a CONNECT came twice.
    #[error("packet type {0} out of order")]
    OutOfOrder(u8),
    /// Not MQTT, or longer than [`MAX_PACKET`].
    #[error("unreadable MQTT packet: {0}")]
    Unreadable(String),
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rumqttc::{mqttbytes::v4, v5::mqttbytes::v5};

    use super::*;

    fn hex(bytes: &BytesMut) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        hex(&out)
    }

    #[test]
    fn answers_with_the_recorded_bytes() {
        // netsplit_raw_bytes.txt, in its order; CONNACK refusals as
        // docs/broker/netsplit.md, "What clients are told" has them.
        assert_eq!(written(|out| connack(Version::V4, false, 0, out)), "20020000");
        assert_eq!(written(|out| connack(Version::V5, false, 0, out)), "2003000000");
        assert_eq!(written(|out| suback(Version::V4, 1, &[0x80], out)), "9003000180");
        assert_eq!(written(|out| suback(Version::V5, 1, &[1], out)), "900400010001");
        assert_eq!(written(|out| publish_answer(Version::V5, 0x40, 2, 0x83, out)), "400400028300");
        assert_eq!(written(|out| publish_answer(Version::V5, 0x50, 3, 0x80, out)), "500400038000");
        assert_eq!(written(pong), "d000");
        assert_eq!(written(|out| connack(Version::V4, false, 3, out)), "20020003");
        assert_eq!(written(|out| connack(Version::V5, false, 0x88, out)), "2003008800");
    }

    #[test]
    fn tells_the_version_from_the_connect_and_waits_for_all_of_it() {
        for (level, version) in [(4, Version::V4), (5, Version::V5)] {
            let mut bytes = BytesMut::new();
            if level == 4 {
                v4::Connect::new("c").write(&mut bytes).unwrap();
            } else {
                let connect = v5::Connect {
                    keep_alive: 10,
                    client_id: "c".into(),
                    clean_start: true,
                    properties: None,
                };
                connect.write(&None, &None, &mut bytes).unwrap();
            }
            let whole = bytes.clone();
            for cut in 0..whole.len() {
                let mut part = BytesMut::from(&whole[..cut]);
                assert!(read_connect(&mut part).unwrap().is_none(), "cut at {cut}");
                assert_eq!(part.len(), cut, "an incomplete packet stays");
            }
            let hello = read_connect(&mut bytes).unwrap().unwrap();
            assert_eq!((hello.version, hello.client_id.as_str(), hello.keep_alive), (version, "c", 10));
        }
    }

    #[test]
    fn refuses_what_is_not_mqtt() {
        let mut http = BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..]);
        assert!(matches!(read_connect(&mut http), Err(WireError::OutOfOrder(4))));
        let mut old = BytesMut::from(&b"\x10\x0d\x00\x06MQIsdp\x03\x02\x00\x0a\x00"[..]);
        assert!(matches!(read_connect(&mut old), Err(WireError::Level(3))));
        let mut endless = BytesMut::from(&b"\x10\xff\xff\xff\xff\xff\xff"[..]);
        assert!(matches!(read_connect(&mut endless), Err(WireError::Unreadable(_))));
        let mut huge = BytesMut::from(&b"\x30\xff\xff\xff\x7f"[..]);
        assert!(matches!(read(Version::V4, &mut huge), Err(WireError::Unreadable(_))));
    }

    #[test]
    fn reads_a_bare_disconnect_in_both_versions() {
        for version in [Version::V4, Version::V5] {
            let mut bytes = BytesMut::from(&[0xE0, 0][..]);
            assert_eq!(read(version, &mut bytes).unwrap(), Some(Inbound::Disconnect { will: false }));
        }
    }
}
