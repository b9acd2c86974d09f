//! One connection of the routing probe. What is written waits in a buffer until the connection is read: so that whoever waits
//! for two of them at once can drop either wait.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use crate::vernemq::http::{self, Stream};
use crate::vernemq::routing_probe::Side;
use crate::vernemq::routing_probe::frame::{self, Packet, Version};
use crate::vernemq::routing_probe::trouble::{Cause, Trouble};
use net::Login;

/// CONNACK and SUBACK come within milliseconds; a listener that is full never sends one (`disc2_max_connections.txt`).
const ANSWER: Duration = Duration::from_secs(2);

/// CONNACK codes of a version that is not among `allowed_protocol_versions`, of either version.
const WRONG_VERSION: [u8; 2] = [1, 0x84];

pub(super) struct Link {
    place: String,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    version: Version,
    incoming: BytesMut,
    outgoing: BytesMut,
    last_pkid: u16,
}

impl Link {
    /// Connects: with MQTT 3.1.1, and with 5 where that is refused.
    pub(super) async fn open(side: &Side, login: Option<&Login>, id: &str) -> Result<Self, Trouble> {
        for version in [Version::V4, Version::V5] {
            let mut link = Self::connect(side, version).await?;
            let login = login.map(|login| (login.username.as_str(), login.password.expose()));
            frame::connect(version, id, login, &mut link.outgoing);
            // Nothing else before the CONNACK: VerneMQ does not read a SUBSCRIBE that came in the segment of the
            // CONNECT until more arrives (docs/broker/listeners.md, "First packets").
            match timeout(ANSWER, link.next()).await {
                Err(_) => return Err(link.trouble(Cause::NoConnack(ANSWER))),
                // Whoever says nothing has not taken it for a client.
                Ok(Err(Trouble { cause: Cause::Cut(_), .. })) => return Err(link.trouble(Cause::Closed)),
                Ok(Err(trouble)) => return Err(trouble),
                Ok(Ok(Packet::ConnAck(0))) => return Ok(link),
                Ok(Ok(Packet::ConnAck(code))) if WRONG_VERSION.contains(&code) => {}
                Ok(Ok(Packet::ConnAck(code))) => return Err(link.trouble(Cause::Connack(code))),
                Ok(Ok(other)) => {
                    return Err(link.trouble(Cause::Cut(format!("instead of a CONNACK came {other:?}"))));
                }
            }
        }
        Err(Trouble { place: side.place.clone(), cause: Cause::Version })
    }

    async fn connect(side: &Side, version: Version) -> Result<Self, Trouble> {
        let trouble = |cause| Trouble { place: side.place.clone(), cause };
        let connected = timeout(ANSWER, http::connect(side.address, side.tls.as_ref(), side.proxy)).await;
        let stream = connected
            .map_err(|_| trouble(Cause::Wire(http::Broken::NoConnection(ANSWER))))?
            .map_err(|broken| trouble(Cause::Wire(broken)))?;
        let (reader, writer) = split(stream);
        Ok(Self {
            place: side.place.clone(),
            reader,
            writer,
            version,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            last_pkid: 0,
        })
    }

    pub(super) async fn subscribe(&mut self, topic: &str) -> Result<(), Trouble> {
        frame::subscribe(self.version, topic, &mut self.outgoing);
        let granted = async {
            loop {
                if let Packet::SubAck(code) = self.next().await? {
                    return Ok(code);
                }
            }
        };
        match timeout(ANSWER, granted).await {
            Ok(Ok(0..=2)) => Ok(()),
            Ok(Ok(code)) => Err(self.trouble(Cause::Subscribe(code, topic.to_owned()))),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(self.trouble(Cause::Cut(format!("no SUBACK within {ANSWER:?}")))),
        }
    }

    /// Is sent as the connection is read.
    pub(super) fn publish(&mut self, topic: &str, payload: &str) {
        self.last_pkid += 1;
        frame::publish(self.version, topic, payload, self.last_pkid, &mut self.outgoing);
    }

    /// The payload of the next message. May be dropped and asked anew.
    pub(super) async fn message(&mut self) -> Result<bytes::Bytes, Trouble> {
        loop {
            match self.next().await? {
                Packet::Publish { payload, .. } => return Ok(payload),
                Packet::PubAck(reason) if reason >= 0x80 => return Err(self.trouble(Cause::Publish(reason))),
                Packet::Disconnect(reason) => {
                    return Err(self.trouble(Cause::Cut(format!("DISCONNECT {reason:#04x}"))));
                }
                _ => {}
            }
        }
    }

    /// Says goodbye, as far as that is taken: without it the broker sees a closed connection.
    pub(super) async fn close(mut self, within: Duration) {
        frame::disconnect(&mut self.outgoing);
        let _ = timeout(within, async {
            self.writer.write_all_buf(&mut self.outgoing).await?;
            self.writer.shutdown().await
        })
        .await;
    }

    async fn next(&mut self) -> Result<Packet, Trouble> {
        loop {
            match frame::take(self.version, &mut self.incoming) {
                Ok(Some(packet)) => {
                    if let Packet::Publish { pkid: Some(pkid), .. } = packet {
                        frame::puback(pkid, &mut self.outgoing);
                    }
                    return Ok(packet);
                }
                Ok(None) => {}
                Err(malformed) => return Err(self.trouble(Cause::Cut(malformed.to_string()))),
            }
            let Self { reader, writer, incoming, outgoing, .. } = self;
            let done = tokio::select! {
                written = writer.write_buf(outgoing), if !outgoing.is_empty() => {
                    match written {
                        Ok(_) => writer.flush().await.map(|()| 1),
                        Err(error) => Err(error),
                    }
                }
                read = reader.read_buf(incoming) => read,
            };
            match done {
                Ok(0) => return Err(self.trouble(Cause::Cut("end of the stream".into()))),
                Ok(_) => {}
                Err(error) => return Err(self.trouble(Cause::Cut(error.to_string()))),
            }
        }
    }

    pub(super) fn trouble(&self, cause: Cause) -> Trouble {
        Trouble { place: self.place.clone(), cause }
    }
}
