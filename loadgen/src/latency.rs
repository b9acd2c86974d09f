//! Histograms of how long things took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longest time that is told apart: one hour, in nanoseconds. Longer ones count as this.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Times in nanoseconds with three significant digits, about 300 KiB.
#[derive(Clone, Debug)]
pub(crate) struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let bounds = Histogram::new_with_bounds(1, LONGEST_NS, 3);
        Self(bounds.expect("one nanosecond to one hour with three digits are valid bounds"))
    }
}

impl Times {
    /// Notes one time.
    pub(crate) fn record(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(LONGEST_NS);
        self.0.saturating_record(nanoseconds.max(1));
    }

    /// The usual figures; `None` if nothing was recorded.
    pub(crate) fn summary(&self) -> Option<Summary> {
        if self.0.is_empty() {
            return None;
        }
        let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let at = |quantile: f64| ms(self.0.value_at_quantile(quantile));
        Some(Summary {
            count: self.0.len(),
            min: ms(self.0.min()),
            mean: self.0.mean() / 1e6,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: ms(self.0.max()),
        })
    }
}

/// A histogram in nine figures; times in milliseconds, three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many times were recorded.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p99_9: f64,
    /// The 99.99th percentile.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_milliseconds_with_three_digits() {
        let mut times = Times::default();
        assert_eq!(times.summary(), None);
        for ms in 1..=1000 {
            times.record(Duration::from_millis(ms));
        }
        let summary = times.summary().unwrap();
        assert_eq!(summary.count, 1000);
        assert!((summary.p50 - 500.0).abs() < 1.0 && (summary.p99 - 990.0).abs() < 1.0, "{summary:?}");
    }

    #[test]
    fn times_out_of_range_are_kept_at_the_edge() {
        let mut times = Times::default();
        times.record(Duration::ZERO);
        times.record(Duration::from_secs(100_000));
        let summary = times.summary().unwrap();
        assert!(summary.count == 2 && summary.max > 3_599_000.0, "{summary:?}");
    }
}
