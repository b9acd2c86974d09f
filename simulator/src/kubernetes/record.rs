//! Every write that was asked for, for tests to assert on.

use std::collections::VecDeque;

use lifecycle::Time;
use serde_json::Value;

use super::request::Verb;

/// Writes that are remembered: a scenario of ten sizes up and down makes some
/// hundreds, and the demo may run for days.
const KEPT: usize = 10_000;

/// One write as it was asked for, whether it was done or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// When it arrived.
    pub at: Time,
    /// What was asked.
    pub verb: Verb,
    /// Plural and subresource: `pods`, `statefulsets/scale`.
    pub resource: String,
    /// Namespace; empty for kinds without.
    pub namespace: String,
    /// Name; of a creation the name in the body.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// The `fieldManager` parameter, else the `User-Agent`: tells two clients apart.
    pub client: String,
    /// The body; of an exec the argv.
    pub body: Value,
    /// HTTP status of the answer; 0 where the client was left without one.
    pub code: u16,
}

/// The latest writes, oldest first.
#[derive(Default)]
pub(super) struct Record {
    writes: VecDeque<Write>,
    /// Writes that are no longer kept.
    dropped: usize,
}

impl Record {
    /// Adds a write without an answer yet; the number is for [`Record::answered`].
    pub(super) fn asked(&mut self, write: Write) -> usize {
        self.writes.push_back(write);
        if self.writes.len() > KEPT {
            self.writes.pop_front();
            self.dropped += 1;
        }
        self.dropped + self.writes.len() - 1
    }

    pub(super) fn answered(&mut self, number: usize, code: u16) {
        let at = number.checked_sub(self.dropped);
        if let Some(write) = at.and_then(|at| self.writes.get_mut(at)) {
            write.code = code;
        }
    }

    pub(super) fn all(&self) -> Vec<Write> {
        self.writes.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.dropped += self.writes.len();
        self.writes.clear();
    }
}
