//! From a measured metric to a number of nodes, as HPA does it: no change
//! within the tolerance, else the smallest number of nodes that brings the
//! value to its target.

use super::measure::Measured;
use super::policy::{Metric, Policy, TargetKind};

/// A quotient that is a whole number but for the last bits is that number.
const ROUNDING: f64 = 1e-9;

/// What one metric asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The metric and its target.
    pub metric: Metric,
    /// The number that is compared with the target; none where nothing was heard.
    pub shown: Option<f64>,
    /// Value over target at the size of today.
    pub ratio: f64,
    /// Nodes.
    pub size: u32,
    /// Why it may be more; then `size` is never below the size of today, or the one that a shrink goes to.
    pub unknown: Vec<String>,
}

/// What `measured` asks for when the spec says `size` today, and `kept` is the least where it is not known.
///
/// The base is the size of the spec, never the number of nodes that happened
/// to answer: else a node that is silent would be taken away.
pub(super) fn desired(policy: &Policy, measured: &Measured, size: u32, kept: u32) -> Desired {
    let ratio = measured.ratio(size);
    let wanted = if ratio > 1.0 + policy.up.tolerance || ratio < 1.0 - policy.down.tolerance {
        nodes_for(measured, size)
    } else {
        size
    };
    let wanted = if measured.complete() { wanted } else { wanted.max(kept) };
    let mut unknown = measured.unknown.clone();
    if measured.contradicts {
        unknown.push("two sources contradict each other".into());
    }
    Desired { metric: measured.metric.clone(), shown: measured.shown(), ratio, size: wanted, unknown }
}

/// The smallest number of nodes at which the value is at its target.
pub(super) fn nodes_for(measured: &Measured, size: u32) -> u32 {
    match measured.metric.kind {
        TargetKind::Node | TargetKind::Share => ceil(measured.total / measured.metric.target),
        TargetKind::Total => ceil(f64::from(size) * measured.total / measured.metric.target),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
pub(super) fn ceil(nodes: f64) -> u32 {
    (nodes * (1.0 - ROUNDING)).ceil() as u32
}

#[cfg(test)]
mod tests;
