//! What the members say of one metric, and how sure that is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{NodeName, Time};

use super::Current;
use super::policy::{Metric, TargetKind};
use crate::metrics::{self, FleetView, NodeView, Reading, Span};

/// Two sources further apart than this share of the larger contradict each other.
pub(super) const APART_MAX: f64 = 0.2;

/// Two sources that sample at different moments differ by a message at each
/// end of the window: so little is never a contradiction.
const APART_COUNT_MIN: f64 = 2.0;

/// They must be apart for so many windows.
const APART_WINDOWS: u32 = 3;

/// One metric over all members.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The metric and its target.
    pub metric: Metric,
    /// What each member says; none where it is not known.
    pub nodes: BTreeMap<NodeName, Option<f64>>,
    /// Sum of what is known: the least that there is.
    pub total: f64,
    /// Why it may be more: empty where every member that should be there was heard.
    pub unknown: Vec<String>,
    /// The largest sum that any fresh source gives, where two are apart at this moment.
    pub apart: Option<f64>,
    /// They have been apart for three windows: `total` is then the larger sum.
    pub contradicts: bool,
}

impl Measured {
    /// Every member that should be there was heard, and the sources agree.
    pub fn complete(&self) -> bool {
        self.unknown.is_empty() && !self.contradicts
    }

    /// Value over target for `size` nodes.
    pub fn ratio(&self, size: u32) -> f64 {
        match self.metric.kind {
            TargetKind::Node | TargetKind::Share => {
                self.total / (self.metric.target * f64::from(size.max(1)))
            }
            TargetKind::Total => self.total / self.metric.target,
        }
    }

    /// The number that people compare with the target; none where no member was heard.
    pub fn shown(&self) -> Option<f64> {
        let heard = self.nodes.values().flatten().count();
        let known = heard > 0;
        known.then(|| match self.metric.kind {
            TargetKind::Node | TargetKind::Share => self.total / heard as f64,
            TargetKind::Total => self.total,
        })
    }
}

/// Looks one metric up at every member. Nodes that are no members do not
/// count: a newcomer before its join, or a node that came back alone on its old data.
pub(super) fn measure(metric: &Metric, span: Span, view: &FleetView, current: &Current) -> Measured {
    let leaver = current.leaver();
    let mut nodes = BTreeMap::new();
    let mut unknown = missing_members(current);
    let (mut total, mut total_max, mut apart) = (0.0, 0.0, false);
    for name in &current.members {
        let node = view.nodes.get(name);
        let value = node.map_or(Err("never seen".to_owned()), |node| value_of(node, &metric.name, span));
        match &value {
            Ok(value) => {
                let largest = node.map_or(*value, |node| largest(node, &metric.name, span).max(*value));
                apart |= differs(*value, node, &metric.name, span);
                total += value;
                total_max += largest;
            }
            // The leaver falls silent before it is gone: its load is at the survivors by then.
            Err(_) if Some(name) == leaver => {}
            Err(why) => unknown.push(format!("{name}: {why}")),
        }
        nodes.insert(name.clone(), value.ok());
    }
    Measured {
        metric: metric.clone(),
        nodes,
        total,
        unknown,
        apart: apart.then_some(total_max),
        contradicts: false,
    }
}

/// Marks the metrics of which two sources have been apart for three windows:
/// nobody knows which is right, so the larger sum counts, and it never lowers.
pub(super) fn contradict(
    measured: &mut [Measured],
    window: Duration,
    since: &mut BTreeMap<String, Time>,
    now: Time,
) -> Vec<String> {
    since.retain(|name, _| measured.iter().any(|one| &one.metric.name == name && one.apart.is_some()));
    let mut names = Vec::new();
    for one in measured {
        let Some(largest) = one.apart else { continue };
        let began = *since.entry(one.metric.name.clone()).or_insert(now);
        if now.since(began) >= window * APART_WINDOWS {
            one.total = one.total.max(largest);
            one.contradicts = true;
            names.push(one.metric.name.clone());
        }
    }
    names
}

/// Connections of all members to the listeners that hold a limit, TCP and TLS, where the broker counts them apart
/// from WebSocket's; else all.
pub(super) fn connections(view: &FleetView, current: &Current) -> Measured {
    let has = |name: &str| view.nodes.values().any(|node| node.metrics.contains_key(name));
    let limited = "active_mqtt_connections";
    let name = if has(limited) { limited } else { "total_active_connections" };
    let metric = Metric { name: name.into(), target: 1.0, kind: TargetKind::Share };
    measure(&metric, Span::OneMinute, view, current)
}

/// Members that the size promises and that nobody lists. During our own change
/// one of them is still coming or already gone.
fn missing_members(current: &Current) -> Vec<String> {
    let promised = current.replicas - u32::from(current.change.is_some()).min(current.replicas);
    let members = u32::try_from(current.members.len()).unwrap_or(u32::MAX);
    if members == 0 {
        vec!["no member is known".to_owned()]
    } else if members < promised {
        vec![format!("{members} of {promised} nodes are members")]
    } else {
        Vec::new()
    }
}

fn value_of(node: &NodeView, name: &str, span: Span) -> Result<f64, String> {
    let sources = std::iter::once(&node.metrics).chain(node.others.iter().map(|other| &other.metrics));
    let mut why = None;
    for metrics in sources {
        match metrics.get(name).map(|metric| reading(metric, span)) {
            Some(Reading::Known(value)) if value.is_finite() => return Ok(value),
            Some(Reading::Known(value)) => why = why.or(Some(format!("{value} is no number"))),
            Some(Reading::Unknown(because)) => why = why.or(Some(because.to_string())),
            None => {}
        }
    }
    Err(why.unwrap_or_else(|| format!("has no metric {name}")))
}

pub(super) fn reading(metric: &metrics::Metric, span: Span) -> Reading {
    match metric {
        metrics::Metric::Gauge(reading) => *reading,
        metrics::Metric::Counter(rates) => {
            rates.get(&span).copied().unwrap_or(Reading::Unknown(metrics::Why::NeverSeen))
        }
    }
}

fn others<'a>(node: &'a NodeView, name: &'a str, span: Span) -> impl Iterator<Item = f64> + 'a {
    node.others.iter().filter_map(move |other| reading(other.metrics.get(name)?, span).known())
}

fn largest(node: &NodeView, name: &str, span: Span) -> f64 {
    others(node, name, span).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

fn differs(value: f64, node: Option<&NodeView>, name: &str, span: Span) -> bool {
    let Some(node) = node else { return false };
    let least = match node.metrics.get(name) {
        Some(metrics::Metric::Counter(_)) => APART_COUNT_MIN / span.duration().as_secs_f64(),
        _ => APART_COUNT_MIN,
    };
    others(node, name, span).any(|other| {
        let distance = (other - value).abs();
        distance > APART_MAX * other.max(value) && distance > least
    })
}

/// The moment at which the member heard longest ago was heard, of those that
/// are fresh: it moves when every one has been heard once more.
pub(super) fn heard(view: &FleetView, members: &BTreeSet<NodeName>) -> Option<Time> {
    let fresh = members.iter().filter_map(|name| view.nodes.get(name)).filter(|node| node.fresh);
    let oldest: Duration = fresh.filter_map(|node| node.age).max()?;
    Some(view.at - oldest)
}
