//! What one step says: what to record, what to do, what is waited for, what people must see.

use std::time::Duration;

use crate::{Condition, Effect, Intent, Kind, Ordinal, Outcome, Wait};

/// The outcome of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The intent as it stands now. Where it differs from the one that was handed in, it must be
    /// recorded by a guarded write **before** any effect runs; none only where there never was one.
    pub intent: Option<Intent>,
    /// Calls to make now, in this order. All are safe to repeat.
    pub effects: Vec<Effect>,
    /// What is waited for, if anything.
    pub wait: Option<Wait>,
    /// What people must see now. Reported as long as it is in the output of a reconcile.
    pub conditions: Vec<Condition>,
    /// An intent has just ended. May be repeated for one epoch after a crash.
    pub finished: Option<Finished>,
    /// Look again after this time at the latest, even if nothing was reported.
    pub again: Duration,
}

/// The end of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its epoch: count each only once.
    pub epoch: u64,
    /// Direction.
    pub kind: Kind,
    /// The ordinal that came or went.
    pub ordinal: Ordinal,
    /// How it ended.
    pub outcome: Outcome,
    /// A leave was verified by two witnesses.
    pub leave_verified: bool,
    /// Why it was cancelled or failed; empty where it completed.
    pub reason: String,
}
