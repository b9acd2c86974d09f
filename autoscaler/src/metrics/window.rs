//! Rates of one counter over the last 10 s, 1 m and 5 m, from arrival times.

use std::collections::VecDeque;
use std::time::Duration;

use lifecycle::Time;

use super::{Reading, Why};

/// A point stays only if the one after the next is this far away: at most two in each such step, so a window
/// of 5 minutes has at most about 640 points (10 kB) however fast a source is. Just below one second, so
/// that a source of 1 s keeps every sample.
const STEP_MIN: Duration = Duration::from_millis(950);

/// A length of time that a rate is averaged over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// 10 seconds: for panic.
    TenSeconds,
    /// 1 minute: the default of a policy.
    OneMinute,
    /// 5 minutes: what shrinking looks at.
    FiveMinutes,
}

impl Span {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::TenSeconds, Self::OneMinute, Self::FiveMinutes];

    /// Its length.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::TenSeconds => 10,
            Self::OneMinute => 60,
            Self::FiveMinutes => 300,
        })
    }

    /// Its name as a label's value: `10s`, `1m`, `5m`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TenSeconds => "10s",
            Self::OneMinute => "1m",
            Self::FiveMinutes => "5m",
        }
    }
}

/// What one more value of a counter means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// How much was counted since the value before. After a reset: what was counted since the reset.
    /// Zero for the first value, which says nothing about when it was counted.
    pub increase: f64,
    /// The value fell: the node was restarted, or its metrics were reset, which VerneMQ does without a
    /// restart too (`misc_restart_reset_idle.txt`).
    pub reset: bool,
}

/// The last raw value of one series of a counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotone {
    last: Option<f64>,
}

impl Monotone {
    /// Takes the next raw value.
    pub fn step(&mut self, raw: f64) -> Step {
        let before = self.last.replace(raw);
        match before {
            None => Step { increase: 0.0, reset: false },
            Some(before) if raw < before => Step { increase: raw, reset: true },
            Some(before) => Step { increase: raw - before, reset: false },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Time,
    total: f64,
}

/// The increases of a counter over the last five minutes.
#[derive(Clone, Debug, Default)]
pub struct Window {
    points: VecDeque<Point>,
    total: f64,
}

impl Window {
    /// Adds what was counted up to `at`.
    pub fn add(&mut self, increase: f64, at: Time) {
        self.credit(increase);
        self.mark(at);
    }

    /// Adds what was counted, at a moment that the next [`Window::mark`] names.
    pub fn credit(&mut self, increase: f64) {
        debug_assert!(increase >= 0.0, "an increase is never negative");
        self.total += increase;
    }

    /// Says that everything added so far was counted by `at`.
    pub fn mark(&mut self, at: Time) {
        let point = Point { at, total: self.total };
        let count = self.points.len();
        // A clock that goes backwards must not make a rate negative or infinite.
        if let Some(last) = self.points.back()
            && at < last.at
        {
            return;
        }
        let merge = (count > 0 && self.points[count - 1].at == at)
            || (count > 1 && at.since(self.points[count - 2].at) < STEP_MIN);
        if merge {
            self.points[count - 1] = point;
        } else {
            self.points.push_back(point);
        }
        // One point at or before the longest span's beginning stays, to measure from.
        while self.points.len() > 2 && at.since(self.points[1].at) >= Span::FiveMinutes.duration() {
            self.points.pop_front();
        }
    }

    /// Forgets everything: after a gap nobody knows when the missing part was counted.
    pub fn clear(&mut self) {
        self.points.clear();
        self.total = 0.0;
    }

    /// Increase per second over `span`, up to the last sample. `interval` is the time between two samples.
    ///
    /// Two samples are never further from `span` than half an interval on the short side and one on the
    /// long side: a minute's rate is not shown before there is a minute.
    pub fn rate(&self, span: Span, interval: Duration) -> Reading {
        let length = span.duration();
        if length < interval * 2 {
            return Reading::Unknown(Why::SpanTooShort);
        }
        let Some(end) = self.points.back() else { return Reading::Unknown(Why::TooFewSamples) };
        let wanted = length.saturating_sub(interval / 2);
        let start = self.points.iter().rev().find(|point| end.at.since(point.at) >= wanted);
        match start {
            Some(start) => Reading::Known((end.total - start.total) / end.at.since(start.at).as_secs_f64()),
            None => Reading::Unknown(Why::TooFewSamples),
        }
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// It holds none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_secs(2);

    fn known(reading: Reading) -> f64 {
        match reading {
            Reading::Known(value) => value,
            Reading::Unknown(why) => panic!("unknown: {why:?}"),
        }
    }

    #[test]
    fn a_steady_counter_has_its_rate_on_every_span() {
        let mut window = Window::default();
        for tick in 0..=150 {
            window.add(if tick == 0 { 0.0 } else { 14.0 }, Time(1_000_000 + tick * 2_000));
        }
        for span in Span::ALL {
            assert!((known(window.rate(span, TICK)) - 7.0).abs() < 1e-9, "{span:?}");
        }
    }

    #[test]
    fn a_span_is_unknown_until_it_has_passed() {
        let mut window = Window::default();
        for tick in 0..=10 {
            window.add(1.0, Time(tick * 2_000));
        }
        assert_eq!(window.rate(Span::OneMinute, TICK), Reading::Unknown(Why::TooFewSamples));
        assert!((known(window.rate(Span::TenSeconds, TICK)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_span_below_two_intervals_does_not_exist() {
        let mut window = Window::default();
        for tick in 0..=20 {
            window.add(1.0, Time(tick * 20_000));
        }
        let interval = Duration::from_secs(20);
        assert_eq!(window.rate(Span::TenSeconds, interval), Reading::Unknown(Why::SpanTooShort));
        assert!((known(window.rate(Span::OneMinute, interval)) - 0.05).abs() < 1e-9);
    }

    #[test]
    fn the_first_value_and_a_fall_are_no_load() {
        let mut counter = Monotone::default();
        assert_eq!(counter.step(6_590_540.0), Step { increase: 0.0, reset: false });
        assert_eq!(counter.step(6_590_547.0), Step { increase: 7.0, reset: false });
        assert_eq!(counter.step(3.0), Step { increase: 3.0, reset: true });
    }

    proptest! {
        /// Whatever the values and the clock do: bounded, and a rate is finite, not negative and not above
        /// the fastest increase that was fed.
        #[test]
        fn rates_stay_in_their_bounds(steps in prop::collection::vec((0u64..5_000, 0u32..1_000_000), 1..2_000)) {
            let mut counter = Monotone::default();
            let mut window = Window::default();
            let mut now = 1_000_000;
            let mut sum = 0.0;
            for (wait, raw) in steps {
                now += wait;
                let step = counter.step(f64::from(raw));
                sum += step.increase;
                window.add(step.increase, Time(now));
                prop_assert!(window.len() <= 640, "{}", window.len());
                for span in Span::ALL {
                    if let Reading::Known(rate) = window.rate(span, TICK) {
                        prop_assert!(rate.is_finite() && rate >= 0.0);
                        prop_assert!(rate * span.duration().saturating_sub(TICK / 2).as_secs_f64() <= sum + 1e-6);
                    }
                }
            }
        }

        /// A reset anywhere changes the rate by what was counted between the last sample and the reset, never more.
        #[test]
        fn a_reset_is_never_load(at in 1usize..40, per_tick in 1u32..10_000) {
            let mut counter = Monotone::default();
            let mut window = Window::default();
            let mut raw = 1e12;
            for tick in 0..40usize {
                raw = if tick == at { f64::from(per_tick) } else { raw + f64::from(per_tick) };
                window.add(counter.step(raw).increase, Time(tick as u64 * 2_000));
            }
            let rate = known(window.rate(Span::OneMinute, TICK));
            prop_assert!((rate - f64::from(per_tick) / 2.0).abs() < 1e-6, "{rate}");
        }
    }
}
