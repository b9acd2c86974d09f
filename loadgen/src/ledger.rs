//! Who was promised what, and who got it.
//!
//! The broker promises with its acknowledgement; a persistent subscriber is the
//! witness. Memory is bounded: one bit a message for each question asked.

mod verdict;

use crate::bits::{Bits, LIMIT};
pub use verdict::{Verdict, Verdicts};

/// Which subscribers a message is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every subscriber gets every message.
    Everyone,
    /// Message `n` goes to subscriber `n mod subscribers` alone.
    Share,
}

/// What a subscriber's copy of a message was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The first one.
    First,
    /// A further one, of a message that we published again after a connection
    /// broke before its acknowledgement: our doing.
    ByResend,
    /// A further one with the DUP flag: the broker delivered again what it had no
    /// acknowledgement for, as QoS 1 demands.
    Redelivered,
    /// A further one that nothing explains.
    ByBroker,
    /// Of a number that this run never gave out, or not meant for this subscriber.
    Foreign,
}

/// Further copies received, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// See [`Copy::ByResend`].
    pub by_resend: u64,
    /// See [`Copy::Redelivered`].
    pub redelivered: u64,
    /// See [`Copy::ByBroker`].
    pub by_broker: u64,
    /// See [`Copy::Foreign`].
    pub foreign: u64,
}

/// The books on every message of a run.
#[derive(Clone, Debug)]
pub struct Ledger {
    audience: Audience,
    given_out: Bits,
    acknowledged: Bits,
    resent: Bits,
    subscribers: Vec<Subscriber>,
    copies: Copies,
    /// Pairs of acknowledged message and subscriber that are still open.
    missing: u64,
}

#[derive(Clone, Debug, Default)]
struct Subscriber {
    seen: Bits,
    seen_again: Bits,
    here: bool,
    sessions_lost: u64,
}

impl Ledger {
    /// Numbers from here on are not tracked: a run must end before.
    pub const LIMIT: u64 = LIMIT;

    /// Books for a run with `subscribers` witnesses, all of them away at first.
    pub fn new(subscribers: usize, audience: Audience) -> Self {
        Self {
            audience,
            given_out: Bits::default(),
            acknowledged: Bits::default(),
            resent: Bits::default(),
            subscribers: vec![Subscriber::default(); subscribers],
            copies: Copies::default(),
            missing: 0,
        }
    }

    /// Message `number` is about to be written for the first time, or again.
    pub fn publishing(&mut self, number: u64) {
        if self.given_out.insert(number) {
            self.resent.insert(number);
        }
    }

    /// The broker acknowledged `number` (PUBACK or PUBCOMP). `false`: it had before.
    pub fn acknowledged(&mut self, number: u64) -> bool {
        if self.acknowledged.insert(number) {
            return false;
        }
        self.missing += (0..self.subscribers.len())
            .filter(|&index| {
                self.is_meant_for(number, index) && !self.subscribers[index].seen.contains(number)
            })
            .count() as u64;
        true
    }

    /// Subscriber `index` received `number`; `redelivery` is the packet's DUP flag.
    pub fn received(&mut self, index: usize, number: u64, redelivery: bool) -> Copy {
        if index >= self.subscribers.len()
            || !self.given_out.contains(number)
            || !self.is_meant_for(number, index)
        {
            self.copies.foreign += 1;
            return Copy::Foreign;
        }
        let subscriber = &mut self.subscribers[index];
        if !subscriber.seen.insert(number) {
            self.missing -= u64::from(self.acknowledged.contains(number));
            return Copy::First;
        }
        subscriber.seen_again.insert(number);
        if self.resent.contains(number) {
            self.copies.by_resend += 1;
            Copy::ByResend
        } else if redelivery {
            self.copies.redelivered += 1;
            Copy::Redelivered
        } else {
            self.copies.by_broker += 1;
            Copy::ByBroker
        }
    }

    /// Subscriber `index` is connected and subscribed.
    pub fn arrived(&mut self, index: usize) {
        self.subscribers[index].here = true;
    }

    /// Subscriber `index` lost its connection.
    pub fn left(&mut self, index: usize) {
        self.subscribers[index].here = false;
    }

    /// The broker forgot the session of subscriber `index` (session present 0 on
    /// a reconnect), and with it whatever was queued there.
    pub fn session_lost(&mut self, index: usize) {
        self.subscribers[index].sessions_lost += 1;
    }

    /// Whether every acknowledged message has reached everyone it was meant for.
    pub fn is_settled(&self) -> bool {
        self.missing == 0
    }

    /// Deliveries of acknowledged messages still to come (or lost).
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// How many subscribers there are, and how many of them are connected.
    pub fn subscribers(&self) -> (usize, usize) {
        (self.subscribers.len(), self.subscribers.iter().filter(|subscriber| subscriber.here).count())
    }

    /// Deliveries to any subscriber, further copies not counted.
    pub fn deliveries(&self) -> u64 {
        self.subscribers.iter().map(|subscriber| subscriber.seen.count()).sum()
    }

    /// Further copies received so far.
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// Sessions that the broker forgot so far.
    pub fn sessions_lost(&self) -> u64 {
        self.subscribers.iter().map(|subscriber| subscriber.sessions_lost).sum()
    }

    fn is_meant_for(&self, number: u64, index: usize) -> bool {
        match self.audience {
            Audience::Everyone => true,
            Audience::Share => number % self.subscribers.len().max(1) as u64 == index as u64,
        }
    }
}
