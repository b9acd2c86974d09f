//! A persistent subscriber: the witness of what was delivered.

use std::collections::HashSet;
use std::sync::Arc;

use crate::client::{Broken, ConnectError, Connection, Event};
use crate::ledger::Audience;
use crate::shared::{Identity, Role, Shared};

/// Subscribes and notes what arrives until the run is closing. Its session
/// outlives its connections, so that the broker has to keep what it promised.
pub(crate) async fn witness(shared: Arc<Shared>, index: usize) {
    let mut who = shared.identity(Role::Subscriber, index);
    let mut watch = Watch { shared: &shared, index, subscribed_before: false, held: Held::default() };
    let mut session_may_exist = false;
    while !shared.closing.is_stopped() {
        let connected = tokio::select! {
            biased;
            () = shared.closing.stopped() => {
                session_may_exist = true;
                break;
            }
            connected = shared.connect(&mut who) => connected,
        };
        session_may_exist |= may_have_made_a_session(connected.as_ref().err());
        if let Ok(connection) = connected {
            let result = watch.follow(connection).await;
            shared.books(|books| books.ledger.left(index));
            match result {
                Ok(()) => break,
                Err(broken) => shared.tally(Role::Subscriber, |tally| tally.disconnected(&broken)),
            }
        }
        who.back_off(&shared, &shared.closing).await;
    }
    if session_may_exist {
        remove_session(&shared, who).await;
    }
}

/// A CONNECT that was never read, or was refused, has left nothing behind.
fn may_have_made_a_session(error: Option<&ConnectError>) -> bool {
    !matches!(error, Some(ConnectError::TcpRefused | ConnectError::NoAddress | ConnectError::Refused(_)))
}

/// Leaves no session behind in which messages would pile up: connects with a clean
/// session, again and again, for a broker may refuse for a while (a leave, a
/// restart). The run ends this after [`crate::Limits::cleanup`]; until it is done
/// the session counts as left.
async fn remove_session(shared: &Shared, mut who: Identity) {
    who.clean = true;
    shared.books(|books| books.sessions_left.insert(who.client_id.clone()));
    loop {
        if let Ok(connection) = shared.connect(&mut who).await {
            // It is gone with the CONNACK.
            shared.books(|books| books.sessions_left.remove(&who.client_id));
            return connection.leave().await;
        }
        who.back_off(shared, &shared.closing).await;
    }
}

struct Watch<'a> {
    shared: &'a Shared,
    index: usize,
    subscribed_before: bool,
    held: Held,
}

/// Identifiers of QoS 2 messages received and not yet released, across the
/// connections of one session: 65,535 at most.
#[derive(Debug, Default)]
struct Held(HashSet<u16>);

impl Held {
    /// Whether this is the same QoS 2 packet again, sent because our PUBREC did not
    /// arrive: not a further copy of the message, but the first one still (MQTT §4.3.3).
    fn is_repeat(&mut self, identifier: Option<u16>, redelivery: bool) -> bool {
        identifier.is_some_and(|identifier| !self.0.insert(identifier)) && redelivery
    }

    fn release(&mut self, identifier: u16) {
        self.0.remove(&identifier);
    }
}

impl Watch<'_> {
    fn filter(&self) -> String {
        match self.shared.plan.audience {
            Audience::Everyone => self.shared.plan.topic.clone(),
            Audience::Share => format!("{}/{}", self.shared.plan.topic, self.index),
        }
    }

    /// Follows one connection; `Ok` when the run is closing.
    async fn follow(&mut self, mut connection: Connection) -> Result<(), Broken> {
        let (shared, index) = (self.shared, self.index);
        if !connection.session_present {
            self.held = Held::default();
            if self.subscribed_before {
                shared.books(|books| books.ledger.session_lost(index));
            }
        }
        // With every CONNACK: a session may be there and its subscription not.
        if !connection.outbox.subscribe(&self.filter(), shared.plan.qos) {
            return Err(Broken::Protocol("the client did not take the subscription".to_owned()));
        }
        let answer_by = shared.clock.now() + shared.plan.limits.connect;
        let mut answered = false;
        loop {
            tokio::select! {
                biased;
                event = connection.inbox.next() => match event? {
                    Event::Subscribed(granted) => {
                        self.subscribed(granted)?;
                        answered = true;
                    }
                    Event::Message { payload, redelivery, retained: false, held }
                        if !self.held.is_repeat(held, redelivery) =>
                    {
                        self.note(&payload, redelivery);
                    }
                    Event::Released(identifier) => self.held.release(identifier),
                    // A retained message is of an earlier run: nothing of ours is retained.
                    _ => {}
                },
                () = shared.closing.stopped() => break,
                () = shared.clock.sleep_until(answer_by), if !answered => {
                    return Err(Broken::NoSubscribeAnswer);
                }
            }
        }
        connection.leave().await;
        Ok(())
    }

    fn subscribed(&mut self, granted: Result<u8, crate::Code>) -> Result<(), Broken> {
        let shared = self.shared;
        match granted {
            Ok(qos) => {
                shared.books(|books| {
                    books.ledger.arrived(self.index);
                    books.downgraded += u64::from(qos < shared.plan.qos);
                });
                if !std::mem::replace(&mut self.subscribed_before, true) {
                    shared.ready.send_modify(|ready| ready.1 += 1);
                }
                Ok(())
            }
            Err(code) => {
                shared.tally(Role::Subscriber, |tally| tally.subscription_refused(code.to_string()));
                Err(Broken::Refusal)
            }
        }
    }

    fn note(&self, payload: &[u8], redelivery: bool) {
        let shared = self.shared;
        let number = shared.plan.template.number(payload);
        let now = shared.clock.now();
        let intended = number.and_then(|number| shared.pace.borrow().schedule.intended(number));
        let since_intended = intended.map(|intended| now.saturating_sub(intended));
        shared.books(|books| books.received(self.index, number, redelivery, since_intended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_packet_is_repeated_until_it_is_released() {
        let mut held = Held::default();
        assert!(!held.is_repeat(Some(7), false));
        assert!(held.is_repeat(Some(7), true), "sent again on the next connection");
        assert!(!held.is_repeat(Some(7), false), "a broker that reuses it without DUP means another message");
        held.release(7);
        assert!(!held.is_repeat(Some(7), true), "a further copy after its end is one");
        assert!(!held.is_repeat(None, true), "QoS 1 is never held");
    }
}
