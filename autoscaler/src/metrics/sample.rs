//! What goes into a fleet, within which bounds, and why something does not.

use std::time::Duration;

use lifecycle::{NodeName, Time};

use super::Source;
use crate::metrics::exposition::Labels;

/// One value of one series of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The node that it is about.
    pub node: NodeName,
    /// Plain name, without `vernemq_`.
    pub name: String,
    /// Labels, less `node`.
    pub labels: Labels,
    /// Value in the metric's own unit.
    pub value: f64,
    /// When it arrived here: brokers' clocks are not asked.
    pub at: Time,
    /// Who says it.
    pub source: Source,
}

/// Which counters have windows. A window costs up to 10 kB a counter and node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Every counter; for the controller, whose policy may name any.
    All,
    /// Only these; for the exporter, which leaves rates of the rest to Prometheus.
    Only(&'static [&'static str]),
}

/// Bounds of a fleet.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Which counters have windows.
    pub keep: Keep,
    /// Nodes times sources. Node names come out of messages that anybody may be allowed to publish.
    pub nodes_max: usize,
    /// Series of one node from one source. VerneMQ 2.1.2 has 526 in `/metrics` and 150 in `$SYS`.
    pub series_max: usize,
    /// Names over all nodes. VerneMQ 2.1.2 has 159.
    pub families_max: usize,
    /// A node unheard for as long is forgotten; until then it is shown as down.
    pub forget_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Keep::All,
            nodes_max: 256,
            series_max: 2_048,
            families_max: 1_024,
            forget_after: Duration::from_hours(1),
        }
    }
}

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// See [`Settings::nodes_max`].
    #[error("there are as many nodes as this process keeps")]
    TooManyNodes,
    /// See [`Settings::series_max`] and [`Settings::families_max`].
    #[error("there are as many series as this process keeps of a node")]
    TooManySeries,
    /// Not a number, infinite, or a counter below zero.
    #[error("the value is not a number that this metric can have")]
    BadValue,
    /// The node was evicted since the key was made: make a new one.
    #[error("the node has been forgotten since")]
    Gone,
}
