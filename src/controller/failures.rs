//! Reconciles that failed, and what a predecessor broke off by: how long to wait, and what to say of it.

use std::time::Duration;

use lifecycle::{Severity, Time};

use super::resource_conditions::panicked;
use crate::conditions::Told;
use crate::kubernetes::call::Failure;

/// Between two reconciles that failed: doubles from the first to the last, but where the failure is a conflict.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Conflicts in a row that may be races: two seconds of them.
const RACES: u32 = 10;

/// After a panic of ours nothing new begins for this long. Whatever it has met may be there still: each time
/// costs what an undone shrink costs, and the churn budget bounds those.
const PANIC_HOLDS: Duration = Duration::from_mins(5);

/// The failures of one resource's reconciles, in a row.
pub(super) struct Failures {
    in_a_row: u32,
    /// Conflicts in a row.
    races: u32,
    /// This reconcile's failure is in its report already.
    reported: bool,
    /// What our predecessor broke off by, when, and whether it was told.
    fault: Option<(String, Time, bool)>,
}

/// What comes of a failed reconcile.
pub(super) struct Retry {
    /// The next reconcile comes after this.
    pub(super) pause: Duration,
    /// To be told, where it is news and no report has it yet.
    pub(super) told: Option<Told>,
}

impl Failures {
    /// `fault` is what a predecessor in this process broke off by.
    pub(super) fn new(fault: Option<String>, now: Time) -> Self {
        let fault = fault.map(|fault| (fault, now, false));
        Self { in_a_row: 0, races: 0, reported: false, fault }
    }

    /// A reconcile went through.
    pub(super) fn end(&mut self) {
        (self.in_a_row, self.races) = (0, 0);
    }

    /// A report tells whether its reconcile has failed.
    pub(super) fn reported(&mut self, failed: bool) {
        self.reported = failed;
    }

    /// A reconcile that failed changes nothing and says so.
    pub(super) fn note(&mut self, resource: &str, failure: &Failure) -> Retry {
        let reported = std::mem::take(&mut self.reported);
        // One that lost a race against another writer is no news, and no trouble of the server's: who
        // waits longer each time never wins against somebody who writes all the time.
        if self.lost_a_race(failure) {
            self.races += 1;
            tracing::debug!(resource, %failure, "looking again");
            return Retry { pause: RETRY_FIRST, told: None };
        }
        let pause = RETRY_FIRST.saturating_mul(1 << self.in_a_row.min(8)).min(RETRY_LAST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        tracing::warn!(resource, %failure, "the reconcile failed; nothing was changed");
        let message = format!("{failure}. Nothing is changed meanwhile");
        let told = Told { name: "ReconcileFailed", severity: Severity::Warning, message, blocks: true };
        // Two reports of one reconcile would contradict each other, with each reconcile anew.
        Retry { pause, told: (!reported).then_some(told) }
    }

    /// A policy that refuses us may answer as the guard of a patch does: nobody loses that often.
    pub(super) fn lost_a_race(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Conflict { .. }) && self.races < RACES
    }

    /// What our predecessor broke off by, for as long as that holds us.
    pub(super) fn broke_off(&self, now: Time) -> Option<Told> {
        let (fault, at, _) = self.fault.as_ref()?;
        let left = PANIC_HOLDS.checked_sub(now.since(*at))?;
        Some(panicked(fault, left))
    }

    /// The same once, before anything is done: it may break off there again.
    pub(super) fn broke_off_untold(&mut self, now: Time) -> Option<Told> {
        let told = self.broke_off(now)?;
        let (_, _, known) = self.fault.as_mut()?;
        (!std::mem::replace(known, true)).then_some(told)
    }
}
