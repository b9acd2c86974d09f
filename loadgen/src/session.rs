//! One publishing connection, from CONNACK to its end.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use crate::books::Message;
use crate::client::{Broken, Connection, Event, Outbox};
use crate::shared::{Role, Shared};
use crate::window::{Sent, Window};

/// How often deadlines are looked at: a fraction of the shortest one.
const TICK: Duration = Duration::from_millis(100);

/// Where new messages come from.
pub(crate) trait Source {
    /// The next message if one is due at `now`.
    fn take(&mut self, now: Duration) -> Option<Message>;
    /// When the next message will be due, as known at `now`; `None`: no idea.
    fn next_due(&mut self, now: Duration) -> Option<Duration>;
    /// Whether no message will come any more.
    fn is_over(&mut self, now: Duration) -> bool;
    /// When open messages are given up; `None`: not yet known.
    fn give_up_at(&self) -> Option<Duration>;
}

/// Sends messages over one connection until the source is over and everything
/// is acknowledged, or the connection is lost.
pub(crate) struct Session<'a, S> {
    shared: &'a Shared,
    source: &'a mut S,
    outbox: Outbox,
    window: Window<Message>,
    /// To be sent before anything new, oldest first.
    again: VecDeque<Message>,
    leaving: bool,
    /// When to look at the deadlines again: not with every event.
    check_at: Duration,
}

impl<'a, S: Source> Session<'a, S> {
    /// Runs `connection`. Returns the messages without an acknowledgement, oldest
    /// first, and why it ended: `Ok` if that was our wish.
    pub(crate) async fn run(
        shared: &'a Shared,
        source: &'a mut S,
        connection: Connection,
        again: Vec<Message>,
    ) -> (Vec<Message>, Result<(), Broken>) {
        let Connection { outbox, mut inbox, window, identifiers, .. } = connection;
        let window = Window::new(window, identifiers);
        let mut session = Self {
            shared,
            source,
            outbox,
            window,
            again: again.into(),
            leaving: false,
            check_at: Duration::ZERO,
        };
        shared.books(|books| books.connected += 1);
        let mut pace = shared.pace.subscribe();
        let result = loop {
            // Polled to its end, across wake-ups, so that no flush is cut short.
            let mut next = pin!(inbox.next());
            let event = loop {
                let now = shared.clock.now();
                if let Err(broken) = session.turn(now) {
                    break Err(broken);
                }
                tokio::select! {
                    biased;
                    event = &mut next => break event,
                    () = shared.clock.sleep_until(session.wake_at(now)) => {}
                    _ = pace.changed() => {}
                }
            };
            match event.and_then(|event| session.handle(&event)) {
                Ok(Flow::On) => {}
                Ok(Flow::Over) => break Ok(()),
                Err(broken) => break Err(broken),
            }
        };
        shared.books(|books| books.connected -= 1);
        if let Err(broken) = &result {
            shared.tally(Role::Publisher, |tally| tally.disconnected(broken));
        }
        let mut unfinished: Vec<_> = session.window.drain().chain(session.again).collect();
        unfinished.sort_unstable_by_key(|message| message.number);
        (unfinished, result)
    }

    /// Gives the client what is due, says goodbye when done, checks deadlines.
    fn turn(&mut self, now: Duration) -> Result<(), Broken> {
        if self.check_at <= now {
            self.check_at = now + TICK;
            let patience = self.shared.plan.limits.acknowledge;
            if self.window.iter().any(|message| message.given + patience < now) {
                return Err(Broken::NoAcknowledgement);
            }
        }
        if self.leaving {
            return Ok(());
        }
        let out_of_time = self.source.give_up_at().is_some_and(|at| at <= now);
        while !out_of_time && self.window.has_room() {
            let Some(message) = self.again.pop_front().or_else(|| self.source.take(now)) else { break };
            self.give(message, now)?;
        }
        let idle = self.window.len() == 0 && self.again.is_empty();
        if out_of_time || (idle && self.source.is_over(now)) {
            self.outbox.disconnect();
            self.leaving = true;
        }
        Ok(())
    }

    fn give(&mut self, mut message: Message, now: Duration) -> Result<(), Broken> {
        let plan = &self.shared.plan;
        message.given = now;
        self.shared.books(|books| books.publishing(&message));
        let payload = plan.template.render(message.number);
        let accepted = self.outbox.publish(&plan.topic_of(message.number), plan.qos, &payload);
        // Into the window either way: it must not be forgotten.
        self.window.give(message);
        if accepted { Ok(()) } else { Err(Broken::Protocol("the client's queue is full".to_owned())) }
    }

    fn wake_at(&mut self, now: Duration) -> Duration {
        let tick = now + TICK;
        if self.leaving || !self.again.is_empty() || !self.window.has_room() {
            return tick;
        }
        self.source.next_due(now).map_or(tick, |due| due.min(tick))
    }

    fn handle(&mut self, event: &Event) -> Result<Flow, Broken> {
        let now = self.shared.clock.now();
        let out_of_step = |_| Broken::Protocol("unexpected packet identifier".to_owned());
        match event {
            Event::Sent(identifier) => match self.window.sent(*identifier).map_err(out_of_step)? {
                Sent::Open(message) => self.shared.books(|books| books.sent(message, now)),
                Sent::Forgotten(mut message) => self.shared.books(|books| books.sent(&mut message, now)),
            },
            Event::Finished { identifier, refused } => {
                let Some(message) = self.window.finished(*identifier) else { return Ok(Flow::On) };
                let Some(code) = refused else {
                    self.shared.books(|books| books.acknowledged(&message, now));
                    return Ok(Flow::On);
                };
                self.shared.books(|books| books.rejected(code.to_string()));
                if self.shared.plan.qos == 2 {
                    // rumqttc's v5 state keeps the slot of a refused QoS 2 message for ever.
                    return Err(Broken::Refusal);
                }
            }
            Event::Goodbye => return Ok(Flow::Over),
            Event::Message { .. } | Event::Released(_) | Event::Subscribed(_) => {}
        }
        Ok(Flow::On)
    }
}

enum Flow {
    On,
    Over,
}
