//! Pure: which size the load asks for, and why.
//!
//! ```text
//! FleetView ─► measure ─► desired ─► panic ─► stabilize ─► limits ─► [min, max] ─► wish
//!                  └─► headroom, stated, sources, churn, settle, mode ─► vetoes (apart from the wish)
//! ```
//!
//! A wish says where the size should go, a veto that it must not move now. What
//! is unknown may raise the wish and never lowers it.

mod current;
mod desired;
mod explain;
mod guard;
mod headroom;
mod history;
pub mod hpa;
mod measure;
mod panic;
mod policy;
mod quantity;
mod skew;
mod stabilization;
mod stated;
mod unmeasured;

use std::collections::BTreeSet;

use lifecycle::{Condition, Time, Veto};

use crate::metrics::{FleetView, Span};

pub use current::{Change, ConnsMax, Current, Room};
pub use desired::Desired;
pub use explain::{Clamp, Explain, Reason, Rule};
pub use headroom::Prediction;
pub use history::{Alarm, Change as SizeChange, History, Load, Stated, Wish};
pub use measure::Measured;
pub use policy::{
    Budget, CHURN_PERIOD_MAX, Limit, Metric, Mode, PanicRules, Policy, Rules, ScalingPolicyType,
    SelectPolicy, TargetKind,
};

use panic::Panic;

/// The schema takes no larger `maxReplicas`.
const REPLICAS_MAX: u32 = 100;

/// What is wished, what forbids it, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The size that is wanted, inside min and max.
    pub wish: u32,
    /// What forbids lowering the size now. The wish stays what it is.
    pub shrink_vetoes: BTreeSet<Veto>,
    /// What forbids raising the size now.
    pub grow_vetoes: BTreeSet<Veto>,
    /// What people should know, such as `Skewed`.
    pub conditions: Vec<Condition>,
    /// The way to the wish.
    pub explain: Explain,
}

/// Decides the size. The same inputs give the same decision (I8); the history
/// that comes back goes into the next call, and into the status.
pub fn decide(
    policy: &Policy,
    view: &FleetView,
    history: &History,
    current: &Current,
    now: Time,
) -> (Decision, History) {
    let mut history = history.clone();
    history.note_size(current.replicas, policy.up.stabilization.max(policy.down.stabilization), now);
    let mut measured = measure_all(policy, policy.window, view, current);
    let contradicting =
        measure::contradict(&mut measured, policy.window.duration(), &mut history.apart_since, now);
    let panic = match policy.outside_wish {
        None => panic::panic(policy, view, &mut history, current, now),
        Some(_) => None,
    };
    let mut way = match policy.outside_wish {
        None => Way::by_metrics(policy, &measured, &mut history, current, panic.as_ref(), now),
        Some(size) => Way { size: current.replicas, reasons: vec![Reason::Outside(size)], wish: size },
    };
    way.clamp(Rule::MinReplicas, way.wish.max(policy.min));
    way.clamp(Rule::MaxReplicas, way.wish.min(policy.max));

    let connections = measure::connections(view, current);
    let mut windows = measured.clone();
    for span in Span::ALL.into_iter().filter(|span| *span < policy.window) {
        windows.extend(measure_all(policy, span, view, current));
    }
    let predictions = headroom::predict(&windows, &connections, current);
    let wish = way.wish;
    let held = stated::hold(policy, wish, &connections, view, current, &mut history, now);
    let needed: Vec<_> = measured.iter().chain(&held.publishes).cloned().collect();
    let numbers_unknown = guard::numbers_unknown(&needed, &connections, &current.conns_max);
    let would_overload = guard::would_overload(&predictions);
    // What is not known is no number to show.
    let considered = wish < current.replicas && numbers_unknown.is_none();
    let after_leave = if considered { predictions } else { Vec::new() };
    let shrink_vetoes = [
        guard::shadow(policy.mode),
        guard::paused(policy.mode),
        guard::grow_only(policy.mode),
        numbers_unknown,
        guard::sources_contradict(&contradicting),
        guard::panic(panic.as_ref(), now),
        would_overload,
        held.outdated,
        guard::churn_budget_spent(policy, &history, now),
        guard::settling(policy, current, now),
    ];
    let grow_vetoes = [guard::shadow(policy.mode), guard::paused(policy.mode)];
    let mut conditions = skew::skewed(&measured, policy.window.duration(), &mut history.skewed_since, now);
    conditions.extend(unmeasured::unmeasured(policy, view, current, &mut history.unmeasured_since, now));
    conditions.extend(held.missing);
    let decision = Decision {
        wish,
        shrink_vetoes: shrink_vetoes.into_iter().flatten().collect(),
        grow_vetoes: grow_vetoes.into_iter().flatten().collect(),
        conditions,
        explain: Explain { after_leave, ..way.explain(policy, &history, panic.as_ref(), now) },
    };
    debug_assert!((policy.min..=policy.max).contains(&decision.wish), "I7: the wish is inside min and max");
    (decision, history)
}

fn measure_all(policy: &Policy, span: Span, view: &FleetView, current: &Current) -> Vec<Measured> {
    policy.metrics.iter().map(|metric| measure::measure(metric, span, view, current)).collect()
}

/// The way from the numbers to the wish, while it is walked.
struct Way {
    size: u32,
    reasons: Vec<Reason>,
    wish: u32,
}

impl Way {
    fn by_metrics(
        policy: &Policy,
        measured: &[Measured],
        history: &mut History,
        current: &Current,
        panic: Option<&Panic>,
        now: Time,
    ) -> Self {
        let size = current.replicas;
        let kept = current.kept();
        let desired: Vec<Desired> =
            measured.iter().map(|one| desired::desired(policy, one, size, kept)).collect();
        let wish = desired.iter().map(|one| one.size).max().unwrap_or(kept);
        let mut way = Self { size, wish, reasons: desired.into_iter().map(Reason::Metric).collect() };
        way.clamp(Rule::Panic, panic.map_or(way.wish, |panic| way.wish.max(panic.size).max(size)));
        // Nobody looked for a while: what was wished then is not known, so the size that is kept stands for it.
        if history.last_reconcile().is_none_or(|last| now.since(last) > history::GAP_MAX) {
            history.note_wish(kept, now);
        }
        // A wish above max is bounded first: it must not hold the size up for a window once max is raised.
        history.note_wish(way.wish.min(policy.max.max(size)), now);
        let up = if panic.is_some() { std::time::Duration::ZERO } else { policy.up.stabilization };
        let stable = stabilization::stabilize(history, up, policy.down.stabilization, size, now);
        way.clamp(Rule::Stabilization, stable);
        if way.wish > size {
            way.clamp(
                Rule::ScaleUpLimit,
                way.wish.min(stabilization::limit_up(&policy.up, history, size, now)),
            );
        }
        if way.wish < size {
            way.clamp(
                Rule::ScaleDownLimit,
                way.wish.max(stabilization::limit_down(&policy.down, history, size, now)),
            );
        }
        way
    }
}

impl Way {
    fn clamp(&mut self, rule: Rule, to: u32) {
        if to != self.wish {
            self.reasons.push(Reason::Clamp(Clamp { rule, from: self.wish, to }));
            self.wish = to;
        }
    }

    fn explain(self, policy: &Policy, history: &History, panic: Option<&Panic>, now: Time) -> Explain {
        let mut explain = Explain {
            size: self.size,
            reasons: self.reasons,
            wish: self.wish,
            next_change: String::new(),
            after_leave: Vec::new(),
        };
        explain.next_change = match explain.binding() {
            None => String::new(),
            Some(Reason::Outside(_)) => "kubectl scale, HPA or KEDA change it".into(),
            Some(Reason::Metric(desired)) => {
                explain::next_change_of(desired, self.size, policy.up.tolerance, policy.down.tolerance)
            }
            Some(Reason::Clamp(clamp)) => match clamp.rule {
                Rule::MaxReplicas if policy.max >= REPLICAS_MAX => {
                    format!("maxReplicas is at {REPLICAS_MAX}, the most that there is")
                }
                Rule::MaxReplicas => format!("raise maxReplicas above {} to follow the load", policy.max),
                Rule::MinReplicas if policy.min <= 1 => {
                    "one node always stays: a broker at zero has lost its offline queues".into()
                }
                Rule::MinReplicas => format!("lower minReplicas below {} to follow the load", policy.min),
                Rule::Panic => {
                    let left = panic.map_or(0, |panic| panic.until.since(now).as_secs());
                    format!("held for {left} s more after a jump of the load")
                }
                Rule::Stabilization => stabilization::next_change(history, policy, clamp, now),
                Rule::ScaleUpLimit => "behavior.scaleUp lets more come later".into(),
                Rule::ScaleDownLimit => "behavior.scaleDown lets more go later".into(),
            },
        };
        explain
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
