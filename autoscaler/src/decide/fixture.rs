//! Policies, views and reconciles for the tests of this folder.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{NodeName, Time};

use super::{
    Budget, ConnsMax, Current, Decision, History, Metric, Mode, PanicRules, Policy, Rules, SelectPolicy,
    TargetKind, decide,
};
use crate::metrics::{self, FleetView, NodeView, OtherSource, Reading, Source, Span, Why};

pub(super) const RATE: &str = "mqtt_publish_received";
pub(super) const CONNECTIONS: &str = "total_active_connections";

pub(super) const fn at(seconds: u64) -> Time {
    Time(seconds * 1_000)
}

pub(super) fn name(number: usize) -> NodeName {
    NodeName(format!("VerneMQ@vmq-{number:02}"))
}

/// A metric of each node, and its target.
pub(super) fn per_node(name: &str, target: f64) -> Metric {
    Metric { name: name.into(), target, kind: TargetKind::Node }
}

/// 60m messages a second per node, 1 to 10 nodes, Active; the rest as it is by default.
pub(super) fn policy() -> Policy {
    let rules = |stabilization| Rules {
        stabilization,
        tolerance: 0.1,
        select: SelectPolicy::Max,
        limits: Vec::new(),
    };
    Policy {
        min: 1,
        max: 10,
        mode: Mode::Active,
        outside_wish: None,
        metrics: vec![per_node(RATE, 0.06)],
        window: Span::OneMinute,
        up: rules(Duration::ZERO),
        down: rules(Duration::from_mins(10)),
        panic: PanicRules { ratio: 2.0, samples: 3, hold: Duration::from_mins(5) },
        churn: vec![
            Budget { leaves: 1, per: Duration::from_mins(30) },
            Budget { leaves: 4, per: Duration::from_hours(24) },
        ],
        settle: Duration::from_secs(30),
    }
}

/// [`policy`] without stabilization of lowering.
pub(super) fn quick() -> Policy {
    let mut policy = policy();
    policy.down.stabilization = Duration::ZERO;
    policy
}

pub(super) fn counter(rate: f64) -> metrics::Metric {
    metrics::Metric::Counter(Span::ALL.into_iter().map(|span| (span, Reading::Known(rate))).collect())
}

pub(super) fn stale() -> metrics::Metric {
    metrics::Metric::Counter(Span::ALL.into_iter().map(|span| (span, Reading::Unknown(Why::Stale))).collect())
}

pub(super) fn node(rate: f64) -> NodeView {
    NodeView {
        source: Source::Metrics,
        age: Some(Duration::ZERO),
        interval: Some(Duration::from_secs(2)),
        fresh: true,
        last_reset: None,
        metrics: BTreeMap::from([
            (RATE.into(), counter(rate)),
            (CONNECTIONS.into(), metrics::Metric::Gauge(Reading::Known(10.0))),
        ]),
        others: Vec::new(),
    }
}

/// A node that has gone silent.
pub(super) fn silent() -> NodeView {
    NodeView {
        fresh: false,
        age: Some(Duration::from_mins(1)),
        metrics: BTreeMap::from([
            (RATE.into(), stale()),
            (CONNECTIONS.into(), metrics::Metric::Gauge(Reading::Unknown(Why::Stale))),
        ]),
        ..node(0.0)
    }
}

/// A node of which `$SYS` says something else.
pub(super) fn disputed(rate: f64, other: f64) -> NodeView {
    let metrics = BTreeMap::from([(RATE.into(), counter(other))]);
    NodeView { others: vec![OtherSource { source: Source::Sys, metrics }], ..node(rate) }
}

pub(super) fn view_of(nodes: Vec<NodeView>, now: Time) -> FleetView {
    FleetView { at: now, nodes: nodes.into_iter().enumerate().map(|(n, node)| (name(n), node)).collect() }
}

pub(super) fn view(rates: &[f64], now: Time) -> FleetView {
    view_of(rates.iter().map(|rate| node(*rate)).collect(), now)
}

/// `size` nodes, all of them members.
pub(super) fn current(size: u32) -> Current {
    Current {
        replicas: size,
        members: (0..size as usize).map(name).collect(),
        change: None,
        conns_max: ConnsMax::Unlimited,
        last_join: None,
    }
}

/// Reconciles one after the other.
pub(super) struct Reconciles {
    pub(super) policy: Policy,
    pub(super) history: History,
    pub(super) now: Time,
}

impl Reconciles {
    /// Begins at `second`.
    pub(super) fn from(policy: Policy, second: u64) -> Self {
        Self { policy, history: History::default(), now: at(second) }
    }

    pub(super) fn reconcile_with(&mut self, nodes: Vec<NodeView>, current: &Current) -> Decision {
        let view = view_of(nodes, self.now);
        let (decision, history) = decide(&self.policy, &view, &self.history, current, self.now);
        self.history = history;
        decision
    }

    /// All of `size` nodes at the same rate.
    pub(super) fn reconcile(&mut self, size: u32, rate: f64) -> Decision {
        let nodes = (0..size).map(|_| node(rate)).collect();
        self.reconcile_with(nodes, &current(size))
    }

    /// Reconciles every 2 s for `seconds`, the last one at the end of them.
    pub(super) fn reconcile_for(&mut self, seconds: u64, size: u32, rate: f64) -> Decision {
        let mut last = None;
        for _ in 0..(seconds / 2).max(1) {
            self.now = self.now + Duration::from_secs(2);
            last = Some(self.reconcile(size, rate));
        }
        last.unwrap()
    }
}

pub(super) fn names(vetoes: &std::collections::BTreeSet<lifecycle::Veto>) -> Vec<&'static str> {
    vetoes.iter().map(|veto| veto.name).collect()
}

/// The size after one change from `size`, as the lifecycle's gate reads a decision: one ordinal towards the
/// wish, none against a veto.
pub(super) fn next_size(decision: &super::Decision, size: u32) -> u32 {
    match decision.wish.cmp(&size) {
        std::cmp::Ordering::Greater if decision.grow_vetoes.is_empty() => size + 1,
        std::cmp::Ordering::Less if decision.shrink_vetoes.is_empty() => size - 1,
        _ => size,
    }
}
