//! Why this size: the metrics, each clamp in order, the binding one, what would
//! change it, and what a leave would do to the survivors. Values first; `Display` writes them for people.

use std::fmt;

use super::desired::Desired;
use super::headroom::Prediction;
use super::policy::TargetKind;
use super::quantity;

/// Longest text in our status: more than eight metrics and all clamps need.
const TEXT_MAX: usize = 1_000;

/// So many of the numbers after a leave are named, the fullest first; the rest is counted.
const NUMBERS_MAX: usize = 3;

/// One reason for the wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// What one metric asks for.
    Metric(Desired),
    /// What somebody outside asks for, through the scale subresource.
    Outside(u32),
    /// A rule that moved the wish.
    Clamp(Clamp),
}

/// Which rule moved a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The most careful wish of some time.
    Stabilization,
    /// The shortest window raises at once.
    Panic,
    /// A policy of `behavior.scaleUp`.
    ScaleUpLimit,
    /// A policy of `behavior.scaleDown`.
    ScaleDownLimit,
    /// `minReplicas`.
    MinReplicas,
    /// `maxReplicas`.
    MaxReplicas,
}

/// A rule that moved the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamp {
    /// Which.
    pub rule: Rule,
    /// The wish before it.
    pub from: u32,
    /// The wish after it.
    pub to: u32,
}

/// The whole way from the numbers to the wish.
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// The size of the spec.
    pub size: u32,
    /// In the order in which they were applied.
    pub reasons: Vec<Reason>,
    /// The wish at the end.
    pub wish: u32,
    /// What would change the wish.
    pub next_change: String,
    /// Each node's load after one leave; empty where none is wanted.
    pub after_leave: Vec<Prediction>,
}

impl Explain {
    /// The reason that the wish is what it is: the last rule that moved it,
    /// else the metric that asks for most, else the wish from outside.
    pub fn binding(&self) -> Option<&Reason> {
        let clamp = self.reasons.iter().rev().find(|reason| matches!(reason, Reason::Clamp(_)));
        clamp.or_else(|| {
            let size = |reason: &Reason| match reason {
                Reason::Metric(desired) => desired.size,
                Reason::Outside(size) => *size,
                Reason::Clamp(clamp) => clamp.to,
            };
            self.reasons.iter().max_by_key(|reason| size(reason))
        })
    }

    /// Value and target of each metric as HPA prints them: `12m/60m`.
    pub fn target(&self) -> Option<String> {
        let metrics = self.reasons.iter().filter_map(|reason| match reason {
            Reason::Metric(desired) => Some(shown(desired)),
            _ => None,
        });
        let all: Vec<String> = metrics.collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

fn shown(desired: &Desired) -> String {
    let value = desired.shown.map_or("<unknown>".into(), quantity::print);
    let average = if desired.metric.kind == TargetKind::Share { " (avg)" } else { "" };
    format!("{value}/{}{average}", quantity::print(desired.metric.target))
}

/// What each survivor would carry.
fn numbers(after_leave: &[Prediction]) -> Option<String> {
    let mut fullest: Vec<_> = after_leave.iter().collect();
    fullest.sort_by(|a, b| (b.after / b.bound).total_cmp(&(a.after / a.bound)));
    let more = fullest.len().saturating_sub(NUMBERS_MAX);
    fullest.truncate(NUMBERS_MAX);
    let named: Vec<String> = fullest.into_iter().map(ToString::to_string).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("after a leave, with 20 % more: {}{more}", named.join(", ")))
}

/// What would make a metric ask for another number of nodes.
pub(super) fn next_change_of(desired: &Desired, size: u32, up: f64, down: f64) -> String {
    let name = &desired.metric.name;
    if !desired.unknown.is_empty() {
        return format!("nothing lowers until every member is heard: {}", desired.unknown[0]);
    }
    let one = match desired.metric.kind {
        TargetKind::Node | TargetKind::Share => desired.metric.target,
        TargetKind::Total => desired.metric.target / f64::from(size.max(1)),
    };
    let (now, wish) = (f64::from(size), f64::from(desired.size));
    let above = if desired.size < size { wish } else { wish.max(now * (1.0 + up)) } * one;
    let below = if desired.size > size { wish - 1.0 } else { (wish - 1.0).min(now * (1.0 - down)) } * one;
    let (above, below) = (quantity::print(above), quantity::print(below.max(0.0)));
    format!("{name} above {above} in total raises it, {below} or less lowers it")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(desired) => {
                write!(
                    f,
                    "{} {} (ratio {:.2}) asks for {}",
                    desired.metric.name,
                    shown(desired),
                    desired.ratio,
                    desired.size
                )?;
                match desired.unknown.as_slice() {
                    [] => Ok(()),
                    [one] => write!(f, " at least, unknown: {one}"),
                    [one, more @ ..] => write!(f, " at least, unknown: {one} and {} more", more.len()),
                }
            }
            Self::Outside(size) => write!(f, "the scale subresource asks for {size}"),
            Self::Clamp(Clamp { rule, from, to }) => write!(f, "{rule:?} makes {from} {to}"),
        }
    }
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
        parts.push(format!("wish {} of {} now", self.wish, self.size));
        parts.push(self.next_change.clone());
        parts.extend(numbers(&self.after_leave));
        let mut text = parts.join("; ");
        if text.chars().count() > TEXT_MAX {
            text = text.chars().take(TEXT_MAX - 1).chain(['…']).collect();
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;
