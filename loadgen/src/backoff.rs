//! How long a client waits before it connects again.

use std::time::Duration;

/// Shortest wait. Devices that lose a node must not come back in step (hence jitter).
const FIRST: Duration = Duration::from_millis(100);

/// Bounded exponential back-off with full jitter over its upper half.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Longest wait: a leave of a few seconds must not look like an outage.
    pub(crate) const CEILING: Duration = Duration::from_secs(3);

    /// The next wait; `random` is uniform in `0.0..1.0`.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(10)).min(Self::CEILING);
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// A connection held: the next failure starts from the short wait.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_ceiling_and_stays_there() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(waits[..6], [100, 200, 400, 800, 1600, 3000]);
        assert_eq!(waits[39], 3000);
        backoff.reset();
        assert_eq!(backoff.next(0.0), Duration::from_millis(50));
    }
}
