//! One step: from the recorded intent and what was seen to what is done next.

use crate::{Facts, Intent, Limits, Output, Time};

/// Decides what happens now. Pure: the same arguments give the same output.
///
/// `intent` is what the StatefulSet's annotation says, finished or not; `facts` one fresh look.
/// Resuming after a crash is the same call with [`crate::Calls::default`].
pub fn step(intent: Option<&Intent>, facts: &Facts, limits: &Limits, now: Time) -> Output {
    let _ = (facts, now);
    Output { intent: intent.cloned(), again: limits.look, ..Output::default() }
}
