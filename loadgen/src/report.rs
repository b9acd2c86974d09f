//! The result of a run, for machines and for people. The fields are explained in
//! `REPORT.md` beside this crate.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::books::Books;
use crate::client::Protocol;
pub use crate::latency::Summary;
use crate::plan::{Load, Plan};
use crate::tally::Tally;

/// Name and version of the format of [`Report`] as JSON. Fields may be added; one
/// that changes its meaning makes a new version.
const SCHEMA: &str = "loadgen/report/v1";
/// Client ids that are named, as with lost numbers.
const IDS_MAX: usize = 20;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `loadgen/report/v1`.
    pub schema: String,
    /// What was asked for.
    pub settings: Settings,
    /// Why sending ended: `complete` or `stopped`.
    pub ended: String,
    /// Seconds from the first message's intended time to the end of sending, drain included.
    pub elapsed_s: f64,
    /// Messages by what became of them at the publishers.
    pub messages: Messages,
    /// What the subscribers prove; absent without subscribers.
    pub ledger: Option<LedgerReport>,
    /// How long things took.
    pub latency_ms: Latencies,
    /// Connections of the publishers or devices.
    pub connections: Tally,
    /// Connections of the subscribers.
    pub subscriber_connections: Tally,
    /// What the prober saw; absent without one.
    pub probes: Option<ProbeReport>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// `rate` (open loop), `flood` (closed loop) or `devices`.
    pub mode: String,
    /// The rate asked for at first, messages a second over all connections.
    pub rate: Option<f64>,
    /// Seconds from one cycle of a device to the next.
    pub cycle_s: Option<f64>,
    /// Publishing connections, or devices.
    pub connections: usize,
    /// Messages in flight on one connection at most.
    pub window: u16,
    /// Quality of service.
    pub qos: u8,
    /// 4 (MQTT 3.1.1) or 5.
    pub protocol: u8,
    /// Topic.
    pub topic: String,
    /// Bytes of payload.
    pub payload_bytes: usize,
    /// Persistent subscribers.
    pub subscribers: usize,
}

/// Messages by what became of them at the publishers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Messages {
    /// Intended by the schedule until the end of sending; absent unless at a rate.
    pub due: Option<u64>,
    /// Handed to the kernel for the first time.
    pub sent: u64,
    /// Handed to the kernel again after a connection broke before the acknowledgement.
    pub resent: u64,
    /// Acknowledged by the broker (PUBACK or PUBCOMP).
    pub acknowledged: u64,
    /// Refused by the broker with a reason code, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Sent and neither acknowledged nor rejected. At QoS 0 all of them.
    pub unacknowledged: u64,
    /// Device cycles that were skipped because the one before took too long.
    pub cycles_missed: u64,
    /// First sends a second.
    pub sent_per_s: f64,
    /// Acknowledgements a second.
    pub acknowledged_per_s: f64,
}

/// What the subscribers prove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LedgerReport {
    /// Acknowledged and received by every subscriber it was meant for.
    pub delivered: u64,
    /// Acknowledged, and a connected subscriber does not have it.
    pub lost: u64,
    /// Up to 20 numbers of lost messages.
    pub lost_numbers: Vec<u64>,
    /// Acknowledged, missing only at subscribers that were away at the end.
    pub unknown_subscriber_away: u64,
    /// Never acknowledged, yet received everywhere.
    pub unacknowledged_delivered: u64,
    /// Never acknowledged and not received everywhere. Nothing was promised.
    pub unacknowledged_missing: u64,
    /// Messages of which a subscriber got more than one copy.
    pub duplicated: u64,
    /// Further copies of messages that we sent again.
    pub copies_by_resend: u64,
    /// Further copies with the DUP flag: delivered again after a reconnect.
    pub copies_redelivered: u64,
    /// Further copies that nothing explains.
    pub copies_by_broker: u64,
    /// Messages received that this run did not send.
    pub foreign: u64,
    /// Times that a subscriber came back and the broker had forgotten its session.
    pub sessions_lost: u64,
    /// Subscriptions granted with a lower QoS than asked for.
    pub subscriptions_downgraded: u64,
    /// Sessions of subscribers that could not be removed at the end.
    #[serde(default)]
    pub sessions_left: u64,
    /// Up to 20 client ids of those.
    #[serde(default)]
    pub sessions_left_ids: Vec<String>,
}

/// How long things took, in milliseconds; absent where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// What the two below mean for this run.
    pub note: String,
    /// Intended send to acknowledgement; absent in a flood, which has no schedule.
    pub corrected: Option<Summary>,
    /// First actual send to acknowledgement: hides the time a message waited for its turn.
    pub raw: Option<Summary>,
    /// Intended to actual send.
    pub send_lag: Option<Summary>,
    /// Intended send to a subscriber; at a rate only.
    pub end_to_end: Option<Summary>,
    /// Start of the TCP connect to CONNACK, accepted connects only.
    pub connect: Option<Summary>,
}

/// What the prober saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Probes that went through.
    pub succeeded: u64,
    /// Failed probes by kind.
    pub failures: BTreeMap<String, u64>,
    /// Whole seconds in which every probe failed.
    pub seconds_without_service: u64,
    /// Whole seconds in which any probe failed.
    pub seconds_with_failures: u64,
    /// Seconds in which a probe started.
    pub seconds_observed: u64,
}

impl Report {
    pub(crate) fn new(
        plan: &Plan,
        books: &Books,
        due: Option<u64>,
        elapsed: Duration,
        stopped: bool,
    ) -> Self {
        let seconds = elapsed.as_secs_f64();
        Self {
            schema: SCHEMA.to_owned(),
            settings: Settings::new(plan),
            ended: if stopped { "stopped" } else { "complete" }.to_owned(),
            elapsed_s: seconds,
            messages: messages(books, due, seconds),
            ledger: (plan.subscribers > 0).then(|| ledger(books)),
            latency_ms: latencies(plan, books),
            connections: books.connections.clone(),
            subscriber_connections: books.subscriptions.clone(),
            probes: plan.probe.is_some().then(|| probes(books)),
        }
    }

    /// What is known only after everything else: whose sessions could not be removed.
    pub(crate) fn sessions_left(&mut self, ids: &BTreeSet<String>) {
        if let Some(ledger) = &mut self.ledger {
            ledger.sessions_left = ids.len() as u64;
            ledger.sessions_left_ids = ids.iter().take(IDS_MAX).cloned().collect();
        }
    }

    /// Whether the run proves that nothing acknowledged was lost: something was
    /// acknowledged (unless QoS 0 was asked for), and no subscriber misses any of it.
    pub fn is_clean(&self) -> bool {
        let promised = self.settings.qos == 0 || self.messages.acknowledged > 0;
        let kept = self.ledger.as_ref().is_none_or(|it| it.lost == 0 && it.unknown_subscriber_away == 0);
        promised && kept && self.messages.sent > 0
    }
}

impl Settings {
    fn new(plan: &Plan) -> Self {
        let (mode, rate, cycle_s) = match &plan.load {
            Load::Rate(rate) => ("rate", Some(*rate), None),
            Load::Flood => ("flood", None, None),
            Load::Devices { cycle, .. } => ("devices", None, Some(cycle.as_secs_f64())),
        };
        Self {
            mode: mode.to_owned(),
            rate,
            cycle_s,
            connections: plan.connections,
            window: plan.window,
            qos: plan.qos,
            protocol: if plan.protocol == Protocol::V4 { 4 } else { 5 },
            topic: plan.topic.clone(),
            payload_bytes: plan.template.len(),
            subscribers: plan.subscribers,
        }
    }
}

fn messages(books: &Books, due: Option<u64>, seconds: f64) -> Messages {
    let rejected: u64 = books.rejected.values().sum();
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    Messages {
        due,
        sent: books.sent,
        resent: books.resent,
        acknowledged: books.acknowledged,
        rejected: books.rejected.clone(),
        unacknowledged: books.sent.saturating_sub(books.acknowledged + rejected),
        cycles_missed: books.cycles_missed,
        sent_per_s: per_second(books.sent),
        acknowledged_per_s: per_second(books.acknowledged),
    }
}

fn ledger(books: &Books) -> LedgerReport {
    let (verdicts, copies) = (books.ledger.verdicts(), books.ledger.copies());
    LedgerReport {
        delivered: verdicts.delivered,
        lost: verdicts.lost,
        lost_numbers: verdicts.lost_numbers,
        unknown_subscriber_away: verdicts.subscriber_away,
        unacknowledged_delivered: verdicts.unacknowledged_delivered,
        unacknowledged_missing: verdicts.unacknowledged_missing,
        duplicated: verdicts.duplicated,
        copies_by_resend: copies.by_resend,
        copies_redelivered: copies.redelivered,
        copies_by_broker: copies.by_broker,
        foreign: copies.foreign,
        sessions_lost: books.ledger.sessions_lost(),
        subscriptions_downgraded: books.downgraded,
        sessions_left: 0,
        sessions_left_ids: Vec::new(),
    }
}

fn latencies(plan: &Plan, books: &Books) -> Latencies {
    let note = match plan.load {
        _ if plan.qos == 0 => "QoS 0 has no acknowledgement: only the send lag and deliveries are measured",
        Load::Flood => {
            "closed loop: no schedule, so no corrected latency; raw is mostly the time in our own queue of messages"
        }
        Load::Rate(_) => "open loop: corrected counts from the intended send time",
        Load::Devices { .. } => {
            "corrected counts from the start of the device's cycle, so it includes connecting"
        }
    };
    Latencies {
        note: note.to_owned(),
        corrected: books.corrected.summary(),
        raw: books.raw.summary(),
        send_lag: books.lag.summary(),
        end_to_end: books.end_to_end.summary(),
        connect: books.connect.summary(),
    }
}

fn probes(books: &Books) -> ProbeReport {
    let (without, with_failures, observed) = books.probes.seconds();
    ProbeReport {
        succeeded: books.probes.totals().0,
        failures: books.probes.failures().clone(),
        seconds_without_service: without,
        seconds_with_failures: with_failures,
        seconds_observed: observed,
    }
}
