//! Why a routing probe does not cross, and what to do: each cause has a remedy of its own.

use std::time::Duration;

use lifecycle::Call;

use crate::vernemq::http::Broken;
use crate::vernemq::routing_probe::CLIENT_IDS;

/// What was met, on which listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// `pod 2, mqtt 10.0.0.3:1883`.
    pub(super) place: String,
    pub(super) cause: Cause,
}

/// What was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// No connection.
    Wire(Broken),
    /// It was closed, unanswered.
    Closed,
    /// Nothing came.
    NoConnack(Duration),
    /// Neither MQTT 3.1.1 nor 5.
    Version,
    /// CONNACK with this code.
    Connack(u8),
    /// SUBACK with this code, for this topic.
    Subscribe(u8, String),
    /// MQTT 5: PUBACK with this reason.
    Publish(u8),
    /// This message has not crossed.
    Lost(u32),
    /// The connection ended in the middle.
    Cut(String),
}

/// Codes of CONNACK by their meaning, of MQTT 3.1.1 and 5 (both standards, §3.2.2).
const BAD_ID: [u8; 2] = [2, 0x85];
const UNAVAILABLE: [u8; 2] = [3, 0x88];
const LOGIN: [u8; 4] = [4, 5, 0x86, 0x87];

impl Trouble {
    /// The listener is set so; else it may be otherwise a moment later.
    pub(super) fn known(&self) -> bool {
        match &self.cause {
            Cause::Version | Cause::Subscribe(..) | Cause::Publish(_) => true,
            Cause::Connack(code) => !UNAVAILABLE.contains(code),
            Cause::Wire(broken) => matches!(broken, Broken::Tls(_)),
            Cause::Closed | Cause::NoConnack(_) | Cause::Lost(_) | Cause::Cut(_) => false,
        }
    }

    /// Another listener may let us in. A message that is lost is lost on every one.
    pub(super) fn elsewhere(&self) -> bool {
        !matches!(self.cause, Cause::Lost(_) | Cause::Cut(_) | Cause::Publish(_))
    }

    /// Cause, place and remedy.
    pub(super) fn text(&self) -> String {
        let Self { place, cause } = self;
        match cause {
            Cause::Wire(broken @ Broken::Tls(_)) => format!(
                "{place}: {broken}. Put the certificates of who signed the listener's into the Secret of \
                 spec.routingProbe.caSecretRef, and the name that it bears into spec.routingProbe.serverName"
            ),
            Cause::Wire(broken) => format!("{place}: {broken}"),
            Cause::Closed => format!(
                "{place} closed the connection without a CONNACK: a listener with proxy_protocol does so to who sends \
                 no PROXY header. If it is such a one set spec.routingProbe.proxyProtocol, or name another listener's port \
                 in spec.routingProbe.port"
            ),
            Cause::NoConnack(waited) => format!(
                "{place} took the connection and has sent no CONNACK within {waited:?}: it is full \
                 (max_connections), or waits for something that is not MQTT. Raise its limit, or name another \
                 listener's port in spec.routingProbe.port"
            ),
            Cause::Version => format!(
                "{place} takes neither MQTT 3.1.1 nor 5: add 4 or 5 to its allowed_protocol_versions, or name another \
                 listener's port in spec.routingProbe.port"
            ),
            Cause::Connack(code) => connack(place, *code),
            Cause::Subscribe(code, topic) => format!(
                "{place} does not let the routing probe subscribe to {topic} (SUBACK {code:#04x}): let the user of \
                 spec.routingProbeSecretRef (nobody, without one) publish and subscribe to vernescale/probe/#"
            ),
            Cause::Publish(reason) => format!(
                "{place} does not let the routing probe publish (PUBACK {reason:#04x}): let the user of \
                 spec.routingProbeSecretRef (nobody, without one) publish and subscribe to vernescale/probe/#"
            ),
            Cause::Lost(round) => format!(
                "{place}: message {round} has not crossed in both directions. Where it never does, the user of \
                 spec.routingProbeSecretRef (nobody, without one) may not publish to vernescale/probe/#, or the two client \
                 ids {} have logins of different mountpoints",
                ids()
            ),
            Cause::Cut(why) => format!("{place}: the connection ended ({why})"),
        }
    }
}

fn ids() -> String {
    CLIENT_IDS.join(" and ")
}

fn connack(place: &str, code: u8) -> String {
    let (what, remedy) = if LOGIN.contains(&code) {
        (
            "does not let the routing probe in",
            format!(
                "name the Secret with a login in spec.routingProbeSecretRef (without one it comes anonymously); where logins \
                 are kept by client id, add {} in the mountpoint of this listener",
                ids()
            ),
        )
    } else if BAD_ID.contains(&code) {
        ("refuses the routing probe's client id", format!("let {} in", ids()))
    } else if UNAVAILABLE.contains(&code) {
        (
            "is not ready for clients",
            "a member is down, or a change of the cluster is under way: see MemberDown, MemberDead and the broker's log"
                .into(),
        )
    } else {
        ("refuses the routing probe", "see the broker's log".into())
    };
    format!("{place} {what} (CONNACK {code:#04x}): {remedy}")
}

/// What a routing probe that crossed nowhere has come to.
pub(super) fn outcome(troubles: &[Trouble]) -> Call {
    let texts: Vec<_> = troubles.iter().map(Trouble::text).collect();
    let text = texts.join("; ");
    if troubles.iter().all(Trouble::known) { Call::Refused(text) } else { Call::Unknown(text) }
}
