//! A persistent subscriber: the witness of what was delivered.

use std::sync::Arc;

use crate::client::{Broken, Connection, Event};
use crate::ledger::Audience;
use crate::shared::{Role, Shared};

/// Subscribes and notes what arrives until the run is closing. Its session
/// outlives its connections, so that the broker has to keep what it promised.
pub(crate) async fn witness(shared: Arc<Shared>, index: usize) {
    let mut who = shared.identity(Role::Subscriber, index);
    let mut watch = Watch { shared: &shared, index, subscribed_before: false };
    while !shared.closing.is_stopped() {
        let connected = tokio::select! {
            biased;
            () = shared.closing.stopped() => break,
            connected = shared.connect(&mut who) => connected,
        };
        if let Ok(connection) = connected {
            let result = watch.follow(connection).await;
            shared.books(|books| books.ledger.left(index));
            match result {
                Ok(()) => break,
                Err(broken) => shared.tally(Role::Subscriber, |tally| tally.disconnected(&broken)),
            }
        }
        who.back_off(&shared.closing).await;
    }
    // Leave no session behind in which messages would pile up.
    who.clean = true;
    if let Ok(connection) = shared.connect(&mut who).await {
        connection.leave().await;
    }
}

struct Watch<'a> {
    shared: &'a Shared,
    index: usize,
    subscribed_before: bool,
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
        if self.subscribed_before && !connection.session_present {
            shared.books(|books| books.ledger.session_lost(index));
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
                    Event::Message { payload, redelivery, retained: false, .. } => {
                        self.note(&payload, redelivery);
                    }
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
