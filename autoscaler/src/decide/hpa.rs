//! Today's practice, for comparison: what HPA v2 with a `Pods` metric does to
//! the StatefulSet itself. Nothing of it is used by our own decision.
//!
//! Timings of the real one (15 s sync, 1 → 4 at most in one step, 5 → 1 in a
//! single patch some 315 s after the load has ended) are in the tests.

use std::collections::VecDeque;
use std::time::Duration;

use lifecycle::Time;

use super::desired::ceil;

/// HPA as kube-controller-manager runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Smallest size.
    pub min: u32,
    /// Largest size.
    pub max: u32,
    /// `averageValue`.
    pub target: f64,
    /// `--horizontal-pod-autoscaler-tolerance`.
    pub tolerance: f64,
    /// `--horizontal-pod-autoscaler-downscale-stabilization`.
    pub down_stabilization: Duration,
    /// `--horizontal-pod-autoscaler-sync-period`: also the shortest time between two changes.
    pub sync: Duration,
}

impl Settings {
    /// The defaults of Kubernetes for one metric.
    pub const fn new(min: u32, max: u32, target: f64) -> Self {
        Self {
            min,
            max,
            target,
            tolerance: 0.1,
            down_stabilization: Duration::from_mins(5),
            sync: Duration::from_secs(15),
        }
    }
}

/// What HPA remembers: its recommendations of the stabilization window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hpa {
    recommendations: VecDeque<(Time, u32)>,
    synced: Option<Time>,
}

/// Recommendations that are kept: an hour of 1 s syncs, the longest window.
const KEPT_MAX: usize = 3_600;

/// Without `behavior` one sync raises to the double or to this, whichever is more.
const RAISE_TO: u32 = 4;

impl Hpa {
    /// One sync on `values`, the metric of each pod that answered; the number
    /// that is to be written to `spec.replicas`, if it is another than `size`.
    /// Does nothing until the sync period has passed. No values, no change.
    pub fn sync(&mut self, settings: &Settings, size: u32, values: &[f64], now: Time) -> Option<u32> {
        if self.synced.is_some_and(|at| now.since(at) < settings.sync) {
            return None;
        }
        self.synced = Some(now);
        if self.recommendations.is_empty() {
            self.recommendations.push_back((now, size));
        }
        let raw = Self::desired(settings, size, values)?;
        let stable = self.stabilize(settings, raw, now);
        let limit = size.saturating_mul(2).max(RAISE_TO);
        let limited = stable.min(limit).min(settings.max).max(settings.min);
        (limited != size).then_some(limited)
    }

    /// `ceil(size × value / target)`, with the tolerance. A pod that did not
    /// answer counts as idle when raising and as at its target when lowering.
    pub fn desired(settings: &Settings, size: u32, values: &[f64]) -> Option<u32> {
        if values.is_empty() || size == 0 {
            return None;
        }
        let sum: f64 = values.iter().sum();
        let first = sum / values.len() as f64 / settings.target;
        let missing = f64::from(size) - values.len() as f64;
        let assumed = if first < 1.0 { missing.max(0.0) * settings.target } else { 0.0 };
        let pods = f64::from(size).max(values.len() as f64);
        let ratio = (sum + assumed) / pods / settings.target;
        let turned = (first < 1.0) != (ratio < 1.0);
        let within = (1.0 - settings.tolerance..=1.0 + settings.tolerance).contains(&ratio);
        if turned || within {
            return Some(size);
        }
        Some(ceil(pods * ratio))
    }

    /// The highest recommendation of the window.
    fn stabilize(&mut self, settings: &Settings, raw: u32, now: Time) -> u32 {
        self.recommendations.push_back((now, raw));
        self.recommendations.retain(|(at, _)| now.since(*at) <= settings.down_stabilization);
        while self.recommendations.len() > KEPT_MAX {
            self.recommendations.pop_front();
        }
        self.recommendations.iter().map(|(_, size)| *size).max().unwrap_or(raw)
    }
}

#[cfg(test)]
mod tests;
