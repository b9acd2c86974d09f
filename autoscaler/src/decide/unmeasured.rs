//! A metric that no node has: misspelt mostly. Its size stays, and nothing else would ever say why.

use std::collections::BTreeMap;

use lifecycle::{Condition, NodeName, Severity, Time};

use super::Current;
use super::measure::reading;
use super::policy::Policy;
use crate::metrics::{FleetView, NodeView, Reading, Span, Why};

/// No source of the node gives a value of it, and none is about to: a window that fills is no lack.
fn lacks(node: &NodeView, name: &str, span: Span) -> bool {
    let sources = std::iter::once(&node.metrics).chain(node.others.iter().map(|other| &other.metrics));
    let mut readings = sources.filter_map(|metrics| metrics.get(name)).map(|metric| reading(metric, span));
    readings.all(|reading| matches!(reading, Reading::Unknown(why) if why != Why::TooFewSamples))
}

/// Keeps `since` and returns the condition, where a metric has been unknown at every member that answers for
/// longer than its window. Where none answers, the metric is not what is wrong.
pub(super) fn unmeasured(
    policy: &Policy,
    view: &FleetView,
    current: &Current,
    since: &mut BTreeMap<String, Time>,
    now: Time,
) -> Option<Condition> {
    let answering: Vec<(&NodeName, &NodeView)> =
        view.nodes.iter().filter(|(name, node)| node.fresh && current.members.contains(name)).collect();
    let lacking = |name: &str| {
        !answering.is_empty() && answering.iter().all(|(_, node)| lacks(node, name, policy.window))
    };
    since.retain(|name, _| policy.metrics.iter().any(|metric| &metric.name == name) && lacking(name));
    for metric in policy.metrics.iter().filter(|metric| lacking(&metric.name)) {
        since.entry(metric.name.clone()).or_insert(now);
    }
    let window = policy.window.duration();
    let unknown: Vec<_> =
        since.iter().filter(|(_, at)| now.since(**at) > window).map(|(name, _)| name.as_str()).collect();
    if unknown.is_empty() {
        return None;
    }
    let (first, _) = answering.first()?;
    Some(Condition {
        reason: "MetricUnknown",
        severity: Severity::Warning,
        message: format!(
            "no value of {} at any of the {} members that answer, such as {first}, for more than {} s; looked for under \
             this name, with and without vernemq_, in /metrics of each: correct spec.metrics (`vmq-admin metrics show` \
             lists the names); the size is not lowered meanwhile, nor does it follow this metric",
            unknown.join(", "),
            answering.len(),
            window.as_secs()
        ),
    })
}

#[cfg(test)]
mod tests;
