//! How fast a node is drained.

use std::time::Duration;

use crate::Limits;

/// The pace of one drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Sessions a second.
    pub(crate) rate: u32,
    /// Ids that a round is a multiple of.
    pub(crate) least: u32,
    /// Between two rounds at least: each is a write of the record and a list of the sessions.
    pub(crate) every: Duration,
}

impl Pace {
    /// A share of the sessions that were online when the drain began, within its bounds.
    pub(crate) fn of(sessions: u32, limits: &Limits) -> Self {
        let share = u64::from(sessions) * u64::from(limits.drain_percent) / 100;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        // Who allows fewer than the least has the last word.
        let rate = share.max(limits.drain_rate_min).min(limits.drain_rate_max).max(1);
        let least = limits.drain_batch.0.max(1);
        Self { rate, least, every: Self::span(least, rate).max(limits.drain_every) }
    }

    /// Ids that may go in this time: whole multiples of the least.
    pub(crate) fn ids(&self, span: Duration) -> u32 {
        let ids = span.as_millis() * u128::from(self.rate) / 1_000;
        let ids = u32::try_from(ids).unwrap_or(u32::MAX);
        ids - ids % self.least
    }

    /// How long so many take, rounded up.
    pub(crate) fn span(ids: u32, rate: u32) -> Duration {
        Duration::from_millis((u64::from(ids) * 1_000).div_ceil(u64::from(rate.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(40, 10, 1_000)]
    #[case(3_000, 30, 334)]
    #[case(20_000, 200, 200)]
    #[case(1_000_000, 500, 200)]
    fn pace_is_a_share_of_the_sessions_within_its_bounds(
        #[case] sessions: u32,
        #[case] rate: u32,
        #[case] millis: u128,
    ) {
        let pace = Pace::of(sessions, &Limits::default());
        assert_eq!((pace.rate, pace.every.as_millis()), (rate, millis));
        assert!(pace.ids(pace.every) >= pace.least, "a round never waits for itself");
    }

    #[rstest::rstest]
    #[case(1, 10_000)]
    #[case(5, 2_000)]
    #[case(10, 1_000)]
    fn a_small_maximum_is_kept(#[case] most: u32, #[case] millis: u128) {
        let pace = Pace::of(3_000, &Limits { drain_rate_max: most, ..Limits::default() });
        assert_eq!((pace.ids(pace.every), pace.every.as_millis()), (10, millis));
    }

    #[test]
    fn a_long_reconcile_is_made_up_for_in_whole_portions() {
        let pace = Pace::of(1_000_000, &Limits::default());
        assert_eq!([219, 1_000, 1_019].map(|ms| pace.ids(Duration::from_millis(ms))), [100, 500, 500]);
        assert_eq!(Pace::span(500, pace.rate), Duration::from_secs(1));
    }
}
