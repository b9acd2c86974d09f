//! Between what the numbers ask for now and what is wished: the most careful
//! wish of some time, and limits of change. As `autoscaling/v2` does it.

use std::time::Duration;

use lifecycle::Time;

use super::desired::ceil;
use super::explain::Clamp;
use super::history::{History, Wish};
use super::policy::{Limit, Policy, Rules, ScalingPolicyType, SelectPolicy};

/// The highest wish of the time that lowering looks back, and the lowest of
/// the time that raising looks back: the size moves only as far as both agree.
/// The wish of this reconcile, the last in the history, always counts; without a
/// window it alone.
pub(super) fn stabilize(history: &History, up: Duration, down: Duration, size: u32, now: Time) -> u32 {
    let within = |wishes: &[Wish], span: Duration| {
        let first = wishes.iter().find(|wish| !span.is_zero() && now.since(wish.at) <= span);
        first.or(wishes.last()).map(|wish| wish.size)
    };
    let (lowest, highest) = (within(&history.lowest, up), within(&history.highest, down));
    match (lowest, highest) {
        (Some(lowest), _) if size < lowest => lowest,
        (_, Some(highest)) if size > highest => highest,
        _ => size,
    }
}

/// When the window that holds the wish lets it move.
pub(super) fn next_change(history: &History, policy: &Policy, clamp: &Clamp, now: Time) -> String {
    let (wishes, span) = if clamp.to > clamp.from {
        (&history.highest, policy.down.stabilization)
    } else {
        (&history.lowest, policy.up.stabilization)
    };
    let holder = wishes.iter().find(|wish| wish.size == clamp.to).or(wishes.first());
    let left = holder.map_or(Duration::ZERO, |wish| (wish.at + span).since(now)).as_secs();
    let verb = if clamp.to > clamp.from { "lowers" } else { "raises" };
    format!("{verb} in {left} s at the earliest")
}

/// The largest size that the limits of raising allow.
pub(super) fn limit_up(rules: &Rules, history: &History, size: u32, now: Time) -> u32 {
    let allowed = rules.limits.iter().map(|limit| {
        let begin = size.saturating_sub(moved(history, limit.period, now, 1));
        match limit.kind {
            ScalingPolicyType::Pods => begin.saturating_add(limit.value),
            ScalingPolicyType::Percent => ceil(f64::from(begin) * (1.0 + f64::from(limit.value) / 100.0)),
        }
    });
    select(rules.select, allowed, u32::MAX, size).max(size)
}

/// The smallest size that the limits of lowering allow.
pub(super) fn limit_down(rules: &Rules, history: &History, size: u32, now: Time) -> u32 {
    let room = rules.limits.iter().map(|limit| {
        let begin = size.saturating_add(moved(history, limit.period, now, -1));
        u32::MAX - lowest(begin, limit)
    });
    // Room to go down is compared upside down, so that "most" means most here too.
    (u32::MAX - select(rules.select, room, u32::MAX, u32::MAX - size)).min(size)
}

fn lowest(begin: u32, limit: &Limit) -> u32 {
    match limit.kind {
        ScalingPolicyType::Pods => begin.saturating_sub(limit.value),
        // Truncated, as HPA does: 10 % of 9 nodes is one node.
        ScalingPolicyType::Percent => begin * 100_u32.saturating_sub(limit.value) / 100,
    }
}

fn select(select: SelectPolicy, allowed: impl Iterator<Item = u32>, without: u32, size: u32) -> u32 {
    match select {
        SelectPolicy::Disabled => size,
        SelectPolicy::Max => allowed.max().unwrap_or(without),
        SelectPolicy::Min => allowed.min().unwrap_or(without),
    }
}

/// Nodes that came (`sign` 1) or went (-1) within the last `period`.
fn moved(history: &History, period: Duration, now: Time, sign: i32) -> u32 {
    let within = history.changes.iter().filter(|change| now.since(change.at) < period);
    within.map(|change| u32::try_from(change.by.saturating_mul(sign)).unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests;
