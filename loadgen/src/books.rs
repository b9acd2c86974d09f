//! Everything that a run counts, as one plain value.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::latency::Times;
use crate::ledger::{Copy, Ledger};
use crate::plan::{Load, Plan};
use crate::probes::Probes;
use crate::tally::Tally;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: u64,
    /// When the schedule meant it to be sent; in a flood, when it was given to the client.
    pub(crate) intended: Duration,
    /// When it was handed to the kernel for the first time.
    pub(crate) first_sent: Option<Duration>,
    /// When it was last given to the client.
    pub(crate) given: Duration,
}

impl Message {
    pub(crate) fn new(number: u64, intended: Duration) -> Self {
        Self { number, intended, first_sent: None, given: intended }
    }
}

/// The counts of a run. No I/O and no clock: times are handed in.
#[derive(Clone, Debug)]
pub struct Books {
    pub(crate) open_loop: bool,
    pub(crate) ledger: Ledger,
    pub(crate) sent: u64,
    pub(crate) resent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) rejected: BTreeMap<String, u64>,
    pub(crate) cycles_missed: u64,
    /// The grant of a subscription was lower than asked: deliveries promise less.
    pub(crate) downgraded: u64,
    /// Client ids of subscribers whose sessions are still to be removed.
    pub(crate) sessions_left: BTreeSet<String>,
    pub(crate) connected: u64,
    pub(crate) connections: Tally,
    pub(crate) subscriptions: Tally,
    pub(crate) probes: Probes,
    pub(crate) corrected: Times,
    pub(crate) raw: Times,
    pub(crate) lag: Times,
    pub(crate) end_to_end: Times,
    pub(crate) connect: Times,
}

/// A glance at a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Time since the first message was due; zero before.
    pub running: Duration,
    /// The rate now set, in messages a second; `None` unless open loop.
    pub rate: Option<f64>,
    /// Messages sent for the first time.
    pub sent: u64,
    /// Messages sent again after a connection broke.
    pub resent: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages refused by the broker.
    pub rejected: u64,
    /// Deliveries to subscribers, further copies not counted.
    pub deliveries: u64,
    /// Deliveries of acknowledged messages still to come.
    pub missing: u64,
    /// Further copies that nothing explains.
    pub duplicates_by_broker: u64,
    /// Publishing connections that are open.
    pub connected: u64,
    /// Subscribers that are connected and subscribed.
    pub subscribers_here: u64,
    /// Connects of publishers and subscribers that failed.
    pub connects_failed: u64,
    /// Connections of publishers and subscribers lost.
    pub connections_lost: u64,
    /// Probes that succeeded and that failed.
    pub probes: (u64, u64),
    /// Text of the last failure.
    pub last_failure: Option<String>,
}

impl Books {
    /// Empty books for `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            open_loop: !matches!(plan.load, Load::Flood),
            ledger: Ledger::new(plan.subscribers, plan.audience),
            sent: 0,
            resent: 0,
            acknowledged: 0,
            rejected: BTreeMap::new(),
            cycles_missed: 0,
            downgraded: 0,
            sessions_left: BTreeSet::new(),
            connected: 0,
            connections: Tally::default(),
            subscriptions: Tally::default(),
            probes: Probes::default(),
            corrected: Times::default(),
            raw: Times::default(),
            lag: Times::default(),
            end_to_end: Times::default(),
            connect: Times::default(),
        }
    }

    /// `message` is being given to the client.
    pub(crate) fn publishing(&mut self, message: &Message) {
        self.ledger.publishing(message.number);
    }

    /// `message` was handed to the kernel.
    pub(crate) fn sent(&mut self, message: &mut Message, now: Duration) {
        if message.first_sent.is_some() {
            self.resent += 1;
            return;
        }
        message.first_sent = Some(now);
        self.sent += 1;
        if self.open_loop {
            self.lag.record(now.saturating_sub(message.intended));
        }
    }

    /// The broker acknowledged `message`.
    pub(crate) fn acknowledged(&mut self, message: &Message, now: Duration) {
        self.ledger.acknowledged(message.number);
        self.acknowledged += 1;
        if self.open_loop {
            self.corrected.record(now.saturating_sub(message.intended));
        }
        self.raw.record(now.saturating_sub(message.first_sent.unwrap_or(message.given)));
    }

    /// The broker refused `message` for good.
    pub(crate) fn rejected(&mut self, code: String) {
        *self.rejected.entry(code).or_default() += 1;
    }

    /// Subscriber `index` received `number` (`None`: not one of ours).
    pub(crate) fn received(
        &mut self,
        index: usize,
        number: Option<u64>,
        redelivery: bool,
        since_intended: Option<Duration>,
    ) {
        // A number out of bounds counts as foreign, like no number.
        let copy = self.ledger.received(index, number.unwrap_or(u64::MAX), redelivery);
        if let (Copy::First, Some(time)) = (copy, since_intended) {
            self.end_to_end.record(time);
        }
    }

    /// A glance.
    pub(crate) fn live(&self) -> Live {
        let (_, here) = self.ledger.subscribers();
        Live {
            running: Duration::ZERO,
            rate: None,
            sent: self.sent,
            resent: self.resent,
            acknowledged: self.acknowledged,
            rejected: self.rejected.values().sum(),
            deliveries: self.ledger.deliveries(),
            missing: self.ledger.missing(),
            duplicates_by_broker: self.ledger.copies().by_broker,
            connected: self.connected,
            subscribers_here: here as u64,
            connects_failed: self.connections.failures() + self.subscriptions.failures(),
            connections_lost: self.connections.lost_connections() + self.subscriptions.lost_connections(),
            probes: self.probes.totals(),
            last_failure: self
                .connections
                .last_failure
                .clone()
                .or_else(|| self.subscriptions.last_failure.clone()),
        }
    }
}
