//! Vetoes: what forbids a change of size now. Each is one function with one
//! name, which is the condition's reason, the metric's label and the log's field.

use lifecycle::{Time, Veto};

use super::headroom::Prediction;
use super::history::History;
use super::measure::Measured;
use super::panic::Panic;
use super::policy::{Mode, Policy};
use super::{ConnsMax, Current};

/// So many reasons are named in one message; the rest is counted.
const NAMED_MAX: usize = 3;

/// Shadow shows and changes nothing.
pub(super) fn shadow(mode: Mode) -> Option<Veto> {
    let message = "spec.mode is Shadow: decisions are shown and nothing is changed; set GrowOnly or Active";
    (mode == Mode::Shadow).then(|| Veto::forbids("Shadow", message))
}

/// Paused changes nothing for a while.
pub(super) fn paused(mode: Mode) -> Option<Veto> {
    (mode == Mode::Paused).then(|| Veto::forbids("Paused", "spec.mode is Paused: set Active to go on"))
}

/// Only raises.
pub(super) fn grow_only(mode: Mode) -> Option<Veto> {
    let message = "spec.mode is GrowOnly: nothing is lowered; set Active to allow leaves";
    (mode == Mode::GrowOnly).then(|| Veto::forbids("GrowOnly", message))
}

/// A number that a shrink is decided by is missing or stale.
pub(super) fn numbers_unknown(
    metrics: &[Measured],
    connections: &Measured,
    conns_max: &ConnsMax,
) -> Option<Veto> {
    let mut missing: Vec<String> = Vec::new();
    for measured in metrics.iter().chain([connections]) {
        for why in &measured.unknown {
            let line = format!("{} of {why}", measured.metric.name);
            if !missing.contains(&line) {
                missing.push(line);
            }
        }
    }
    if *conns_max == ConnsMax::Unknown {
        missing.push("max_conns of the listeners (`listener show`) has not been read".into());
    }
    if missing.is_empty() {
        return None;
    }
    let more = missing.len().saturating_sub(NAMED_MAX);
    missing.truncate(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(Veto::unknown(
        "NumbersUnknown",
        format!(
            "unknown never shrinks: {}{more}. See whether each member has a pod, and whether each pod's /metrics on \
             spec.management.metricsPort shows what is missing",
            missing.join("; ")
        ),
    ))
}

/// Two sources have been apart for three windows.
pub(super) fn sources_contradict(contradicting: &[String]) -> Option<Veto> {
    let first = contradicting.first()?;
    Some(Veto::unknown(
        "SourcesContradict",
        format!(
            "two sources of {first} have been more than 20 % apart for three windows: look whether both read the same \
             nodes; until then nothing is lowered",
        ),
    ))
}

/// Nothing is lowered in panic.
pub(super) fn panic(panic: Option<&Panic>, now: Time) -> Option<Veto> {
    let left = panic?.until.since(now).as_secs();
    Some(Veto::forbids("Panic", format!("the load jumped: nothing is lowered for {left} s more")))
}

/// The survivors of a leave could not carry the load.
pub(super) fn would_overload(predictions: &[Prediction]) -> Option<Veto> {
    let failing: Vec<String> = predictions.iter().filter(|p| !p.holds()).map(ToString::to_string).collect();
    if failing.is_empty() {
        return None;
    }
    Some(Veto::forbids(
        "WouldOverload",
        format!(
            "after a leave, with a margin of 20 %, each node would carry: {}. It lifts when the load falls; else raise \
             that target (for connections, max_connections or nr_of_acceptors of that listener, whose product it takes), \
             or set minReplicas to this size",
            failing.join("; ")
        ),
    ))
}

/// There have been as many leaves as the budget allows.
pub(super) fn churn_budget_spent(policy: &Policy, history: &History, now: Time) -> Option<Veto> {
    let spent = policy.churn.iter().find_map(|budget| {
        let leaves = history.leaves_within(budget.per, now);
        let full = leaves >= usize::try_from(budget.leaves).unwrap_or(usize::MAX);
        full.then_some((budget, leaves))
    });
    let (budget, leaves) = spent?;
    let within = history.leaves.iter().filter(|at| now.since(**at) < budget.per);
    // Lifted when so many have grown old that one fewer than the budget is left.
    let surplus = leaves - usize::try_from(budget.leaves).unwrap_or(usize::MAX).min(leaves);
    let lifts = within.copied().nth(surplus).map_or(Time(0), |at| at + budget.per);
    Some(Veto::forbids(
        "ChurnBudgetSpent",
        format!(
            "{leaves} of {} leaves in {} min are spent: the next is possible in {} s, or sooner where spec.churn allows it",
            budget.leaves,
            budget.per.as_secs() / 60,
            lifts.since(now).as_secs()
        ),
    ))
}

/// A node has just joined and the load has not settled.
pub(super) fn settling(policy: &Policy, current: &Current, now: Time) -> Option<Veto> {
    let ends = current.last_join? + policy.settle;
    let left = ends.since(now);
    if left.is_zero() {
        return None;
    }
    Some(Veto::forbids(
        "Settling",
        format!("a node has just joined: the numbers settle for {} s more", left.as_secs() + 1),
    ))
}

#[cfg(test)]
mod tests;
