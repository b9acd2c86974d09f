//! The one reader of the clock. Everything else takes `now` as an argument.

use lifecycle::Time;
use tokio::time::Instant;

/// Wall-clock time that never goes backwards: read once from the system, then
/// advanced by tokio's monotonic clock (so that tests can pause it).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Time,
    origin: Instant,
}

impl Clock {
    /// Starts at the system's time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn system() -> Self {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { base: Time(0) + since_epoch, origin: Instant::now() }
    }

    /// Starts at `base`, for tests and replays.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn starting_at(base: Time) -> Self {
        Self { base, origin: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.base + self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock_of_tests() {
        let clock = Clock::starting_at(Time(1_000));
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(clock.now(), Time(3_500));
    }
}
