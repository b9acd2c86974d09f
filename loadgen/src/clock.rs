//! The one reader of the clock. Everything else takes `now` as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Monotonic time since the start of a run. It follows tokio's clock, so that
/// tests and the demo can pause it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts at zero. Call it inside a tokio runtime when the time is paused.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Sleeps until `at`, counted from the start. Absolute, so that a late
    /// wake-up does not shift the ones after it. Tokio's timer has steps of 1 ms.
    pub(crate) async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.origin + at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_the_paused_clock_and_sleeps_to_absolute_times() {
        let clock = Clock::start();
        tokio::time::advance(Duration::from_millis(400)).await;
        clock.sleep_until(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Duration::from_secs(1));
    }
}
