//! The proof that a newcomer really routes: messages that cross between it and
//! an older member over MQTT. `cluster show` is no proof, nor is a SUBACK: a
//! node that has just joined acknowledges and loses for 7.5 s (drain.md §6).
//!
//! Never before the join: one client on a node that is not yet a member makes
//! its join impossible (`join_refused_after_client_on_newcomer.txt`). The
//! lifecycle sees to that.

use std::time::Duration;

use lifecycle::Call;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeReasonCode,
};
use tokio::time::{sleep, timeout};

use super::sessions::OUR_CLIENTS;

/// Messages that must cross in each direction, one after the other (drain.md §8, growth 1).
const CROSSINGS: u32 = 3;

/// A granted subscription does not route at once, even on its own node (baseline.md §1, base run).
const AFTER_SUBACK: Duration = Duration::from_millis(200);

/// One message must be there within this time; across two nodes it takes milliseconds.
const ONE_CROSSING: Duration = Duration::from_secs(2);

/// Text of the answer of a canary that has crossed.
pub const CROSSED: &str = "crossed";

/// Where a broker takes MQTT clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Address of the pod.
    pub host: String,
    /// Port of a plain MQTT listener.
    pub port: u16,
}

/// Who the canary is to the broker.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    username: String,
    password: String,
}

impl Login {
    /// As a Secret has it.
    pub fn new(username: String, password: String) -> Self {
        Self { username, password }
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({}, …)", self.username)
    }
}

struct Link {
    client: AsyncClient,
    events: EventLoop,
}

/// Sends messages from `newcomer` to `peer` and back. `tag` makes topics and
/// client ids of this canary its own. Answered with [`CROSSED`], refused where
/// the broker does not let the canary in, unknown where anything else fails.
pub async fn cross(newcomer: &Side, peer: &Side, login: Option<&Login>, tag: &str, limit: Duration) -> Call {
    match timeout(limit, both(newcomer, peer, login, tag)).await {
        Ok(Ok(())) => Call::Answered(CROSSED.into()),
        Ok(Err(call)) => call,
        Err(_) => Call::Unknown(format!("no message crossed within {limit:?}")),
    }
}

async fn both(newcomer: &Side, peer: &Side, login: Option<&Login>, tag: &str) -> Result<(), Call> {
    let topic = |side: &str| format!("vernescale/canary/{tag}/{side}");
    let (mut new, mut old) = (link(newcomer, login, tag, "newcomer"), link(peer, login, tag, "peer"));
    // One after the other: a refusal by the first leaves the second untouched.
    subscribe(&mut new, &topic("newcomer")).await?;
    subscribe(&mut old, &topic("peer")).await?;
    idle(&mut new, &mut old, AFTER_SUBACK).await?;
    for round in 0..CROSSINGS {
        let payload = format!("{tag}-{round}");
        publish(&new.client, &topic("peer"), &payload).await?;
        publish(&old.client, &topic("newcomer"), &payload).await?;
        timeout(ONE_CROSSING, received(&mut new, &mut old, &payload))
            .await
            .map_err(|_| Call::Unknown(format!("message {round} has not crossed in both directions")))??;
    }
    for link in [&mut new, &mut old] {
        // Best effort: without the packet the broker sees a closed connection.
        if link.client.disconnect().await.is_ok() {
            let _ = timeout(AFTER_SUBACK, async { while link.events.poll().await.is_ok() {} }).await;
        }
    }
    Ok(())
}

fn link(side: &Side, login: Option<&Login>, tag: &str, name: &str) -> Link {
    let id = format!("{OUR_CLIENTS}canary-{tag}-{name}");
    let mut options = MqttOptions::new(id, side.host.clone(), side.port);
    options.set_clean_session(true).set_keep_alive(Duration::from_secs(10));
    if let Some(Login { username, password }) = login {
        options.set_credentials(username, password);
    }
    // A handful of requests at a time is all there ever is.
    let (client, events) = AsyncClient::new(options, 8);
    Link { client, events }
}

async fn subscribe(link: &mut Link, topic: &str) -> Result<(), Call> {
    // Only after the CONNACK: VerneMQ does not read a SUBSCRIBE that came in the
    // segment of the CONNECT until more arrives (leave.md, head).
    loop {
        if let Event::Incoming(Packet::ConnAck(_)) = link.events.poll().await.map_err(broken)? {
            break;
        }
    }
    link.client.subscribe(topic, QoS::AtLeastOnce).await.map_err(gone)?;
    loop {
        if let Event::Incoming(Packet::SubAck(ack)) = link.events.poll().await.map_err(broken)? {
            return match ack.return_codes.first() {
                Some(SubscribeReasonCode::Success(_)) => Ok(()),
                _ => Err(Call::Refused(format!("the broker does not let the canary subscribe to {topic}"))),
            };
        }
    }
}

async fn publish(client: &AsyncClient, topic: &str, payload: &str) -> Result<(), Call> {
    client.publish(topic, QoS::AtLeastOnce, false, payload).await.map_err(gone)
}

/// Keeps both connections going until both have received `payload`.
async fn received(new: &mut Link, old: &mut Link, payload: &str) -> Result<(), Call> {
    let (mut at_new, mut at_old) = (false, false);
    let is_it = |event: &Event| matches!(event, Event::Incoming(Packet::Publish(publish)) if publish.payload == payload);
    while !(at_new && at_old) {
        tokio::select! {
            event = new.events.poll() => at_new |= is_it(&event.map_err(broken)?),
            event = old.events.poll() => at_old |= is_it(&event.map_err(broken)?),
        }
    }
    Ok(())
}

async fn idle(new: &mut Link, old: &mut Link, pause: Duration) -> Result<(), Call> {
    let pause = sleep(pause);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            event = new.events.poll() => drop(event.map_err(broken)?),
            event = old.events.poll() => drop(event.map_err(broken)?),
            () = &mut pause => return Ok(()),
        }
    }
}

fn broken(error: ConnectionError) -> Call {
    match error {
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized),
        ) => Call::Refused(format!("the broker does not let the canary in ({code:?})")),
        other => Call::Unknown(other.to_string()),
    }
}

fn gone<E: std::fmt::Display>(error: E) -> Call {
    Call::Unknown(error.to_string())
}
