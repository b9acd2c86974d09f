//! What the fleet looks like at one moment: values, or the reason why there is none.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{NodeName, Time};

use super::{Rate, Reading, Source, Span};

/// All nodes that were heard within the last hour.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetView {
    /// The moment.
    pub at: Time,
    /// By the broker's own name.
    pub nodes: BTreeMap<NodeName, NodeView>,
}

/// One node, as its best source tells it: the nodes' own `/metrics` before `$SYS`, a fresh source before
/// a stale one.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// The source of the figures here.
    pub source: Source,
    /// Time since it was last heard; none if never.
    pub age: Option<Duration>,
    /// Learned time between two samples; none before the second.
    pub interval: Option<Duration>,
    /// Heard within three intervals.
    pub fresh: bool,
    /// Last time that a counter fell: a restart, or `vmq-admin metrics reset`.
    pub last_reset: Option<Time>,
    /// By plain name (`mqtt_publish_received`, no `vernemq_`), summed over labels. Buckets of histograms
    /// are left out; their `_sum` and `_count` are counters.
    pub metrics: BTreeMap<String, Metric>,
    /// What other fresh sources say of the same node, for comparison.
    pub others: Vec<OtherSource>,
}

/// A second opinion on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherSource {
    /// Who says it.
    pub source: Source,
    /// Its figures, as in [`NodeView::metrics`].
    pub metrics: BTreeMap<String, Metric>,
}

/// A metric in the form that a decision can use.
#[derive(Clone, Debug, PartialEq)]
pub enum Metric {
    /// Increase per second over each span.
    Counter(BTreeMap<Span, Rate>),
    /// The value itself.
    Gauge(Reading),
}
