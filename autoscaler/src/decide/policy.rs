//! What a decision is made by: numbers instead of texts, and nothing that cannot be.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Span;

/// Longest budget period: what the history keeps of leaves is bounded by it.
pub const CHURN_PERIOD_MAX: Duration = Duration::from_hours(7 * 24);

/// What a decision is made by.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Smallest size, at least 1.
    pub min: u32,
    /// Largest size, at least `min`.
    pub max: u32,
    /// What may be done.
    pub mode: Mode,
    /// The wish of the scale subresource; none where the size follows the metrics.
    pub outside_wish: Option<u32>,
    /// What the size follows. With an outside wish only the headroom is taken from them.
    pub metrics: Vec<Metric>,
    /// Over which time a counter becomes a rate.
    pub window: Span,
    /// Raising.
    pub up: Rules,
    /// Lowering.
    pub down: Rules,
    /// Raising at once.
    pub panic: PanicRules,
    /// All of them must have something left for a leave.
    pub churn: Vec<Budget>,
    /// Quiet time after a join.
    pub settle: Duration,
}

/// One metric and its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Plain name, without `vernemq_`.
    pub name: String,
    /// Target value, larger than zero.
    pub target: f64,
    /// How the target is meant.
    pub kind: TargetKind,
}

/// How a target is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// `Pods` with `averageValue`: per node.
    Node,
    /// `External` with `averageValue`: over all nodes, divided by their number.
    Share,
    /// `External` with `value`: over all nodes, whatever their number.
    Total,
}

/// Rules of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The most careful wish of this time counts.
    pub stabilization: Duration,
    /// A ratio this close to 1 changes nothing.
    pub tolerance: f64,
    /// Which of the limits counts.
    pub select: SelectPolicy,
    /// Limits; none means no limit.
    pub limits: Vec<Limit>,
}

/// One limit of change over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Nodes or percent.
    pub kind: ScalingPolicyType,
    /// How many.
    pub value: u32,
    /// In how long.
    pub period: Duration,
}

/// When it is panic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PanicRules {
    /// Value over target, larger than 1.
    pub ratio: f64,
    /// Samples of every node in a row.
    pub samples: u32,
    /// How long it is held after the last of them.
    pub hold: Duration,
}

/// So many leaves in that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub leaves: u32,
    /// In how long.
    pub per: Duration,
}

impl Policy {
    /// The wish comes from outside, and no metric says what a node may carry.
    pub(super) fn held_by_the_load(&self) -> bool {
        self.outside_wish.is_some() && self.metrics.is_empty()
    }
}

/// What the controller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Decide and show, change nothing.
    #[default]
    Shadow,
    /// Raise only.
    GrowOnly,
    /// Raise and lower.
    Active,
    /// Change nothing, for a while.
    Paused,
}

/// Which policy counts where there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows most.
    #[default]
    Max,
    /// The one that allows least.
    Min,
    /// No change in this direction.
    Disabled,
}

/// What a policy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPolicyType {
    /// A number of nodes.
    Pods,
    /// Percent of the nodes.
    Percent,
}
