//! Skew: one node is hot while the average is fine. More nodes do not help
//! sessions that do not move, so it is a condition and no wish.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Condition, NodeName, Severity, Time};

use super::measure::Measured;
use super::policy::TargetKind;
use super::quantity;

/// Hottest node over the mean, from which on it is skew.
const SKEW: f64 = 1.5;

/// So many windows it must last.
const WINDOWS: u32 = 3;

/// The hottest node of a metric per node, where it is skewed at this moment.
fn hottest(measured: &Measured) -> Option<(&NodeName, f64, f64)> {
    if measured.metric.kind != TargetKind::Node {
        return None;
    }
    let mean = measured.shown()?;
    let known = measured.nodes.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let (name, max) = known.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (max > SKEW * mean && max > measured.metric.target && mean <= measured.metric.target)
        .then_some((name, max, mean))
}

/// Keeps `since` and returns the condition of each metric that has been skewed
/// for three windows.
pub(super) fn skewed(
    measured: &[Measured],
    window: Duration,
    since: &mut BTreeMap<String, Time>,
    now: Time,
) -> Vec<Condition> {
    since.retain(|name, _| measured.iter().any(|m| &m.metric.name == name && hottest(m).is_some()));
    let mut conditions = Vec::new();
    for one in measured {
        let Some((node, max, mean)) = hottest(one) else { continue };
        let began = *since.entry(one.metric.name.clone()).or_insert(now);
        if now.since(began) >= window * WINDOWS {
            conditions.push(Condition {
                reason: "Skewed",
                severity: Severity::Warning,
                message: format!(
                    "{node} has {} of {} while the mean is {} and the target {}: more nodes do not help sessions \
                     that do not move; rebalance the clients",
                    one.metric.name,
                    quantity::print(max),
                    quantity::print(mean),
                    quantity::print(one.metric.target)
                ),
            });
        }
    }
    conditions
}

#[cfg(test)]
mod tests;
