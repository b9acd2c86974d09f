//! A wish from outside was made for a load, and whoever made it may not see that the load has risen since: HPA reads
//! the wish from `spec` of our scale and counts the pods that are still there, so that within its tolerance it lets a
//! wish of 1 stand while five pods are exactly at their target (`tests/recordings/disc2_hpa_scale_lag.txt`). Where the
//! resource names no metrics, this is what holds the fall.

use std::time::Duration;

use lifecycle::{Condition, Severity, Time, Veto};

use super::Current;
use super::headroom::{MARGIN, Prediction};
use super::history::{History, Load, Stated};
use super::measure::{Measured, measure};
use super::policy::{Metric, Policy, TargetKind};
use crate::metrics::{FleetView, Span};

/// What everybody who publishes costs a broker, of all transports.
const PUBLISHES: &str = "mqtt_publish_received";

/// So little is no load for a node, by any figure that we have: an idle cluster that begins to stir may still
/// become smaller.
const LITTLE: Load = Load { connections: 100.0, publishes: 1.0 };

/// Messages that come one by one vary from count to count: so many standard deviations are no rise.
const VARIES: f64 = 3.0;

/// The shortest window that a rate is taken over, in seconds.
const WINDOW: f64 = 10.0;

/// That the wish still stands is noted this seldom: a status that changes with every reconcile would be written with it.
const SEEN_EVERY: Duration = Duration::from_mins(1);

/// A wish that is another one after a longer pause was made while nobody looked, and nobody knows for which load.
const SEEN_GAP: Duration = Duration::from_mins(2);

/// What a wish from outside is held by, where the resource names no metrics; nothing where it does.
#[derive(Default)]
pub(super) struct Held {
    /// Must be known for a shrink.
    pub(super) publishes: Option<Measured>,
    /// The survivors would carry more than whoever made the wish can have meant.
    pub(super) outdated: Option<Veto>,
    /// That nothing else holds a fall.
    pub(super) missing: Option<Condition>,
}

/// Keeps what the wish of today was made for, and holds it against the load.
pub(super) fn hold(
    policy: &Policy,
    wish: u32,
    connections: &Measured,
    view: &FleetView,
    current: &Current,
    history: &mut History,
    now: Time,
) -> Held {
    if !policy.held_by_the_load() {
        history.stated = None;
        return Held::default();
    }
    let (publishes, total) = load(connections, view, current);
    note(history, wish, current.replicas, total, now);
    let falls = wish < current.replicas;
    let outdated = falls.then(|| outdated(wish, &predict(history, current.replicas, total))).flatten();
    Held { publishes: Some(publishes), outdated, missing: Some(metrics_missing()) }
}

/// The load of today over all nodes, none where some of it is not known; one that has just come counts, one that has
/// just gone does not yet. And the rate over the shortest window, the first that is known.
fn load(connections: &Measured, view: &FleetView, current: &Current) -> (Measured, Option<Load>) {
    let metric = Metric { name: PUBLISHES.into(), target: 1.0, kind: TargetKind::Share };
    let publishes = measure(&metric, Span::TenSeconds, view, current);
    let longer = measure(&metric, Span::OneMinute, view, current);
    let longer = if longer.complete() { longer.total } else { 0.0 };
    let total = Load { connections: connections.total, publishes: publishes.total.max(longer) };
    let known = publishes.complete() && connections.complete();
    (publishes, known.then_some(total))
}

fn note(history: &mut History, wish: u32, size: u32, total: Option<Load>, now: Time) {
    let mut stated = match history.stated {
        Some(old) if old.size == wish => old,
        old => {
            let unseen = old.is_some_and(|old| now.since(old.seen) > SEEN_GAP);
            Stated { size: wish, at: now, seen: now, unseen, share: None }
        }
    };
    if now.since(stated.seen) >= SEEN_EVERY {
        stated.seen = now;
    }
    if stated.share.is_none()
        && let Some(total) = total
    {
        let late = now.since(stated.at) > SEEN_GAP;
        let nodes = f64::from(if stated.unseen || late { size } else { wish }.max(1));
        let share = Load { connections: total.connections / nodes, publishes: total.publishes / nodes };
        stated.share = Some(share);
    }
    history.stated = Some(stated);
}

/// What each survivor of one leave would carry, against what it may: a margin above what the wish was made for.
fn predict(history: &History, size: u32, total: Option<Load>) -> Vec<Prediction> {
    let share = history.stated.and_then(|stated| stated.share);
    let (Some(share), Some(total)) = (share, total) else { return Vec::new() };
    let left = f64::from(size.saturating_sub(1).max(1));
    // Two counts are compared, of the wish and of now.
    let varies = VARIES * (2.0 * total.publishes / WINDOW).sqrt() / left;
    let one = |name: &str, total: f64, share: f64, little: f64| Prediction {
        name: name.to_owned(),
        after: total / left,
        bound: share.max(little),
    };
    vec![
        one("connections", total.connections, share.connections * MARGIN, LITTLE.connections),
        one(PUBLISHES, total.publishes, share.publishes * MARGIN + varies, LITTLE.publishes),
    ]
}

fn outdated(wish: u32, predictions: &[Prediction]) -> Option<Veto> {
    let failing: Vec<String> = predictions.iter().filter(|p| !p.holds()).map(ToString::to_string).collect();
    if failing.is_empty() {
        return None;
    }
    Some(Veto::forbids(
        "WishOutdated",
        format!(
            "the wish of {wish} was made for a smaller load. After a leave each node would carry: {} (20 % above what \
             the wish was made for, and what so few messages vary by). An HPA does not see that, for it counts the pods that are still there. It lifts when \
             the load falls or another wish is made; what one node may carry can be said in spec.metrics, which then \
             counts instead",
            failing.join("; ")
        ),
    ))
}

fn metrics_missing() -> Condition {
    Condition {
        reason: "MetricsMissing",
        severity: Severity::Info,
        message: "wishFrom is Scale and spec.metrics is empty: a fall that HPA, KEDA or kubectl scale wishes is held only \
                  by the load that the wish was made for (connections and mqtt_publish_received). Say in spec.metrics what \
                  one node may carry, such as Pods with mqtt_publish_received and an averageValue: with wishFrom Scale \
                  metrics raise nothing, they only hold a fall"
            .into(),
    }
}

#[cfg(test)]
mod tests;
