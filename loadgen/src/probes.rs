//! What the prober saw, second by second.

use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds kept: a day. Later probes count in the totals alone.
const SECONDS_MAX: usize = 86_400;

/// Results of probes, each counted in the second in which it started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probes {
    seconds: Vec<Second>,
    succeeded: u64,
    failures: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    succeeded: u32,
    failed: u32,
}

impl Probes {
    /// A probe that started at `started` ended; `Err` names the kind of failure.
    pub(crate) fn record(&mut self, started: Duration, result: Result<(), String>) {
        let second = usize::try_from(started.as_secs()).unwrap_or(usize::MAX);
        let failed = result.is_err();
        match result {
            Ok(()) => self.succeeded += 1,
            Err(kind) => *self.failures.entry(kind).or_default() += 1,
        }
        if second >= SECONDS_MAX {
            return;
        }
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        let count =
            if failed { &mut self.seconds[second].failed } else { &mut self.seconds[second].succeeded };
        *count += 1;
    }

    /// Probes that succeeded and that failed.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.succeeded, self.failures.values().sum())
    }

    /// Failures by kind.
    pub(crate) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// Whole seconds in which every probe failed, in which any failed, and observed at all.
    pub(crate) fn seconds(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for second in self.seconds.iter().filter(|second| second.succeeded + second.failed > 0) {
            counts.0 += u64::from(second.succeeded == 0);
            counts.1 += u64::from(second.failed > 0);
            counts.2 += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_without_service_are_told_from_bad_ones() {
        let mut probes = Probes::default();
        let refused = || Err("CONNACK 3".to_owned());
        for (ms, result) in
            [(0, Ok(())), (100, refused()), (1_000, refused()), (1_900, refused()), (5_000, Ok(()))]
        {
            probes.record(Duration::from_millis(ms), result);
        }
        assert_eq!((probes.totals(), probes.seconds()), ((2, 3), (1, 2, 3)));
        assert_eq!(probes.failures()["CONNACK 3"], 3);
    }
}
