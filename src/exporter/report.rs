//! What goes wrong, counted by reason and said once.

use std::collections::HashMap;
use std::time::Duration;

use lifecycle::Time;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::process::Process;
use crate::mqtt::connection_state::Link;

/// The same complaint is not repeated in the log for as long.
const QUIET: Duration = Duration::from_mins(1);

/// Why a message was not taken as it is. The words are values of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadInput {
    /// The payload is no number, or none that this metric can have.
    Payload,
    /// The payload is longer than any number.
    PayloadTooLarge,
    /// The topic is not `$SYS/<node>/<metric>`.
    Topic,
    /// The topic is another broker's.
    Foreign,
    /// The metric's name cannot be a name in Prometheus.
    MetricName,
    /// The node's name has a quote, a slash, a backslash or a control character. Its values are shown, escaped.
    NodeName,
    /// A retained message: VerneMQ sends none, so somebody else left it there.
    Retained,
    /// There are more nodes than are kept.
    TooManyNodes,
    /// There are more series than are kept of a node.
    TooManySeries,
}

impl BadInput {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Payload,
        Self::PayloadTooLarge,
        Self::Topic,
        Self::Foreign,
        Self::MetricName,
        Self::NodeName,
        Self::Retained,
        Self::TooManyNodes,
        Self::TooManySeries,
    ];

    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Payload => "payload_malformed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Topic => "topic_malformed",
            Self::Foreign => "foreign_tree",
            Self::MetricName => "metric_name",
            Self::NodeName => "node_name_odd",
            Self::Retained => "retained",
            Self::TooManyNodes => "too_many_nodes",
            Self::TooManySeries => "too_many_series",
        }
    }
}

/// Our own metrics.
pub struct Report {
    pub(super) registry: Registry,
    pub(super) node_up: IntGaugeVec,
    pub(super) sample_age: GaugeVec,
    pub(super) sample_interval: GaugeVec,
    pub(super) clock: Gauge,
    messages: IntCounter,
    bad_input: IntCounterVec,
    link_changes: IntCounterVec,
    link_up: IntGaugeVec,
    link: Link,
    place: String,
    complained: HashMap<BadInput, Time>,
}

impl Report {
    /// All series that have a fixed set of labels are there from the start, at zero: what appears with its first
    /// event is invisible to `increase()`.
    pub fn new(place: String) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let node = &["node"];
        let source = &["source", "reason"];
        let report = Self {
            node_up: IntGaugeVec::new(
                Opts::new("vernescale_node_up", "1 if the node was heard within three intervals, else 0."),
                node,
            )?,
            sample_age: GaugeVec::new(
                Opts::new("vernescale_sample_age_seconds", "Time since the node was last heard."),
                node,
            )?,
            sample_interval: GaugeVec::new(
                Opts::new(
                    "vernescale_sample_interval_seconds",
                    "Learned time between two samples of the node.",
                ),
                node,
            )?,
            clock: Gauge::new(
                "vernescale_clock_seconds",
                "This machine's clock in Unix time at the scrape: its distance from timestamp() of this series is how far \
                 the clocks of exporter and Prometheus are apart.",
            )?,
            messages: IntCounter::new("vernescale_messages_total", "Messages received.")?,
            bad_input: IntCounterVec::new(
                Opts::new(
                    "vernescale_bad_input_total",
                    "Messages that were not taken as they are, by reason.",
                ),
                &["reason"],
            )?,
            link_changes: IntCounterVec::new(
                Opts::new(
                    "vernescale_source_events_total",
                    "How often the source came into the state `reason`.",
                ),
                source,
            )?,
            link_up: IntGaugeVec::new(
                Opts::new("vernescale_source_up", "1 for the present state of the source, 0 for all others."),
                source,
            )?,
            link: Link::Connecting,
            place,
            complained: HashMap::new(),
            registry,
        };
        report.register()?;
        for bad in BadInput::ALL {
            report.bad_input.with_label_values(&[bad.label()]);
        }
        for link in Link::ALL {
            report.link_changes.with_label_values(&[&report.place, link.label()]);
        }
        report.show_link();
        Ok(report)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(self.node_up.clone()))?;
        self.registry.register(Box::new(self.sample_age.clone()))?;
        self.registry.register(Box::new(self.sample_interval.clone()))?;
        self.registry.register(Box::new(self.clock.clone()))?;
        self.registry.register(Box::new(self.messages.clone()))?;
        self.registry.register(Box::new(self.bad_input.clone()))?;
        self.registry.register(Box::new(self.link_changes.clone()))?;
        self.registry.register(Box::new(self.link_up.clone()))?;
        self.registry.register(Box::new(Process::new()?))
    }

    /// The present state of the source.
    pub fn link(&self) -> Link {
        self.link
    }

    pub(super) fn message(&self) {
        self.messages.inc();
    }

    /// Takes the state of the source; says it when it has changed, and only then.
    pub(super) fn link_is(&mut self, link: Link, cause: &str) {
        self.link_changes.with_label_values(&[&self.place, link.label()]).inc();
        let changed = self.link != link;
        self.link = link;
        self.show_link();
        if !changed {
            return;
        }
        match link {
            Link::Up | Link::Subscribed | Link::Connecting => {
                tracing::info!(source = %self.place, reason = link.label(), "{cause}");
            }
            _ => {
                tracing::warn!(source = %self.place, reason = link.label(), remedy = link.remedy(), "{cause}");
            }
        }
    }

    fn show_link(&self) {
        for link in Link::ALL {
            let value = i64::from(link == self.link);
            self.link_up.with_label_values(&[&self.place, link.label()]).set(value);
        }
    }

    /// Counts a bad message, and says it if it was not said within the last minute. `topic` and `detail` may hold
    /// anything: they are cut and escaped.
    pub(super) fn bad(&mut self, bad: BadInput, topic: &str, detail: &str, now: Time) {
        self.bad_input.with_label_values(&[bad.label()]).inc();
        if self.complained.get(&bad).is_some_and(|last| now.since(*last) < QUIET) {
            return;
        }
        self.complained.insert(bad, now);
        let (topic, source) = (cut(topic), &self.place);
        tracing::warn!(%source, reason = bad.label(), ?topic, "{detail}; counted, said once a minute");
    }
}

/// At most 120 characters.
fn cut(text: &str) -> &str {
    text.char_indices().nth(120).map_or(text, |(end, _)| &text[..end])
}
