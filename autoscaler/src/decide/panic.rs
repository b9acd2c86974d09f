//! Panic: the shortest window may raise at once, and while it lasts nothing is
//! lowered. It never lowers anything itself.

use lifecycle::Time;

use super::Current;
use super::desired::nodes_for;
use super::history::{Alarm, History};
use super::measure::{Measured, heard, measure};
use super::policy::{Metric, Policy};
use crate::metrics::{FleetView, Span};

/// What the shortest window says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panic {
    /// Until when nothing is lowered.
    pub until: Time,
    /// Largest wish since it began.
    pub size: u32,
}

/// Counts rounds of high samples and returns the panic, while there is one.
pub(super) fn panic(
    policy: &Policy,
    view: &FleetView,
    history: &mut History,
    current: &Current,
    now: Time,
) -> Option<Panic> {
    let high = policy
        .metrics
        .iter()
        .filter_map(|metric| shortest(metric, view, current))
        .filter(|measured| measured.ratio(current.replicas) >= policy.panic.ratio)
        .map(|measured| nodes_for(&measured, current.replicas))
        .max();
    let before = history.alarm.take().filter(|alarm| alarm.until.is_none_or(|until| now < until));
    let held = |alarm: &Alarm| alarm.until.is_some();
    history.alarm = match (high, before) {
        (None, before) => before.filter(held).map(|alarm| Alarm { samples: 0, ..alarm }),
        (Some(size), before) => {
            let round = heard(view, &current.members).unwrap_or(view.at);
            let mut alarm = before.unwrap_or(Alarm { samples: 0, heard: Time(0), until: None, size: 0 });
            if round > alarm.heard {
                alarm.samples = alarm.samples.saturating_add(1);
                alarm.heard = round;
            }
            if alarm.samples >= policy.panic.samples {
                alarm.until = Some(now + policy.panic.hold);
            }
            // A single high sample in a held panic may be noise: it neither lengthens nor raises it.
            if alarm.samples >= policy.panic.samples || alarm.until.is_none() {
                alarm.size = alarm.size.max(size);
            }
            Some(alarm)
        }
    };
    let alarm = history.alarm?;
    alarm.until.map(|until| Panic { until, size: alarm.size })
}

/// The metric over the shortest window that the brokers' sample interval
/// allows: ten seconds, or two intervals where those are longer.
fn shortest(metric: &Metric, view: &FleetView, current: &Current) -> Option<Measured> {
    let spans = [Span::TenSeconds, Span::OneMinute].map(|span| measure(metric, span, view, current));
    let heard = |measured: &Measured| measured.nodes.values().flatten().count();
    let [short, long] = spans;
    let best = if heard(&long) > heard(&short) { long } else { short };
    (heard(&best) > 0).then_some(best)
}

#[cfg(test)]
mod tests;
