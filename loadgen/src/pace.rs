//! The open-loop schedule: when each message is meant to be sent.

use std::time::Duration;

/// Changes of the rate kept at most: one every 100 ms for 100 minutes, 1.5 MiB.
const CHANGES_MAX: usize = 60_000;

/// Message `n` has one intended time, whoever sends it and however late. The
/// rate can change during the run; what was planned before stays planned.
#[derive(Clone, Debug)]
pub struct Schedule {
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    from: Duration,
    /// Messages planned before this segment; the part of one counts.
    planned: f64,
    /// Messages a second, zero or more.
    rate: f64,
}

impl Segment {
    /// Snapped to whole messages where only a rounding error is between, so that
    /// a message due at the very moment of a change belongs to one side.
    fn planned_at(&self, at: Duration) -> f64 {
        let planned = self.planned + at.saturating_sub(self.from).as_secs_f64() * self.rate;
        if (planned - planned.round()).abs() < 1e-6 { planned.round() } else { planned }
    }
}

impl Schedule {
    /// `rate` messages a second from time zero on.
    pub fn new(rate: f64) -> Self {
        Self { segments: vec![Segment { from: Duration::ZERO, planned: 0.0, rate: sane(rate) }] }
    }

    /// Changes the rate from `now` on. Zero pauses. `false`: there were too many changes.
    pub fn set_rate(&mut self, now: Duration, rate: f64) -> bool {
        let Some(&last) = self.segments.last() else { return false };
        if last.from >= now {
            self.segments.pop();
        }
        if self.segments.len() >= CHANGES_MAX {
            return false;
        }
        let from = now.max(last.from);
        self.segments.push(Segment { from, planned: last.planned_at(from), rate: sane(rate) });
        true
    }

    /// The rate now set, in messages a second.
    pub fn rate(&self) -> f64 {
        self.segments.last().map_or(0.0, |segment| segment.rate)
    }

    /// When message `number` (from 0) is meant to be sent; `None` while the rate is zero.
    pub fn intended(&self, number: u64) -> Option<Duration> {
        let number = number as f64;
        let after = self.segments.partition_point(|segment| segment.planned <= number);
        // Several segments may begin with the same count (a pause): the last of
        // them is the one that sends.
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (segment.rate > 0.0)
            .then(|| segment.from + Duration::from_secs_f64((number - segment.planned) / segment.rate))
    }

    /// How many messages are meant to be sent before `now`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, far below 2^52"
    )]
    pub fn due(&self, now: Duration) -> u64 {
        let after = self.segments.partition_point(|segment| segment.from <= now);
        let Some(segment) = after.checked_sub(1).and_then(|last| self.segments.get(last)) else { return 0 };
        segment.planned_at(now).ceil() as u64
    }
}

/// Rates that are no numbers stop the sender instead of breaking its clock. A
/// rate below one message in 11 days counts as zero.
fn sane(rate: f64) -> f64 {
    if rate.is_finite() && rate > 1e-6 { rate.min(1e9) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn times_are_absolute_and_do_not_drift() {
        let schedule = Schedule::new(3.0);
        assert_eq!(schedule.intended(0), Some(ms(0)));
        assert_eq!(schedule.intended(3_000_000), Some(ms(1_000_000_000)));
    }

    #[test]
    fn a_changed_rate_keeps_what_was_planned() {
        let mut schedule = Schedule::new(10.0);
        assert!(schedule.set_rate(ms(1_000), 100.0));
        assert_eq!(schedule.intended(5), Some(ms(500)));
        assert_eq!(schedule.intended(10), Some(ms(1_000)));
        assert_eq!(schedule.intended(20), Some(ms(1_100)));
    }

    #[test]
    fn a_pause_plans_nothing_and_ends() {
        let mut schedule = Schedule::new(10.0);
        schedule.set_rate(ms(1_000), 0.0);
        assert_eq!((schedule.intended(10), schedule.due(ms(9_000))), (None, 10));
        schedule.set_rate(ms(5_000), 1.0);
        assert_eq!(schedule.intended(10), Some(ms(5_000)));
        assert_eq!(schedule.intended(9), Some(ms(900)));
    }

    #[test]
    fn nonsense_rates_pause() {
        for rate in [-1.0, f64::NAN, f64::INFINITY, 0.0] {
            assert_eq!(Schedule::new(rate).intended(0), None, "{rate}");
        }
    }

    proptest! {
        #[test]
        fn intended_times_never_go_back(
            changes in prop::collection::vec((0_u64..5_000, prop_oneof![Just(0.0), 0.01_f64..500.0]), 0..12),
        ) {
            let mut schedule = Schedule::new(50.0);
            let mut now = 0;
            for (after, rate) in changes {
                now += after;
                prop_assert!(schedule.set_rate(ms(now), rate));
            }
            schedule.set_rate(ms(now), 100.0);
            let mut last = Duration::ZERO;
            for number in 0..2_000 {
                let at = schedule.intended(number).unwrap();
                prop_assert!(at >= last);
                prop_assert!(schedule.due(at + ms(1)) > number);
                last = at;
            }
        }
    }
}
