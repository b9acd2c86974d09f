//! Who may act: a lease, as a pure machine; the guarded writes are in
//! [`lease`]. Nothing here trusts the clock of another machine: how long
//! somebody else's lease has been unchanged is counted on our own clock.

use std::time::Duration;

use lifecycle::Time;

/// The three times of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Others wait this long after the last renewal before they take over.
    pub lease: Duration,
    /// We stop acting this long after our last renewal, well before others may begin.
    pub act: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Timing {
    /// 15, 10 and 2 s, as in the components of Kubernetes itself.
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), act: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// What a Lease object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `spec.holderIdentity`; none or empty after a release.
    pub holder: Option<String>,
    /// `metadata.resourceVersion`: changes with every renewal.
    pub version: String,
    /// `spec.leaseTransitions`.
    pub transitions: u32,
    /// `spec.leaseDurationSeconds` of whoever wrote it.
    pub duration: Option<Duration>,
}

/// What to do after a look at the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Somebody else holds it.
    Wait,
    /// Write it, guarded by the version that was read; none: it must not exist yet.
    Write {
        /// The version that the write must find.
        version: Option<String>,
        /// Transitions to write.
        transitions: u32,
        /// We become the holder: `acquireTime` is set anew.
        acquire: bool,
    },
}

/// One candidate.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    /// The lease of another as last seen to change, and when.
    other: Option<(String, Time)>,
    /// We hold the lease; renewed by a call that was *sent* at this time.
    renewed: Option<Time>,
}

impl Election {
    /// A candidate that has not looked yet. Two processes must never share an identity.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, other: None, renewed: None }
    }

    /// What to do about the lease as it was just read.
    pub fn observe(&mut self, record: Option<&Record>, now: Time) -> Move {
        let Some(record) = record else {
            self.other = None;
            return Move::Write { version: None, transitions: 0, acquire: true };
        };
        let version = Some(record.version.clone());
        match record.holder.as_deref() {
            Some(holder) if holder == self.identity => {
                self.other = None;
                Move::Write { version, transitions: record.transitions, acquire: self.renewed.is_none() }
            }
            Some(holder) if !holder.is_empty() => {
                // Whatever we believed, somebody else holds it now.
                self.renewed = None;
                let since = match &self.other {
                    Some((seen, since)) if *seen == record.version => *since,
                    _ => now,
                };
                self.other = Some((record.version.clone(), since));
                // Where the other one promised to hold it longer than we would, we wait longer.
                let patience = self.timing.lease.max(record.duration.unwrap_or_default());
                if now.since(since) < patience {
                    return Move::Wait;
                }
                Move::Write { version, transitions: record.transitions.saturating_add(1), acquire: true }
            }
            _ => Move::Write { version, transitions: record.transitions.saturating_add(1), acquire: true },
        }
    }

    /// The write that was sent at `sent` has succeeded.
    pub fn written(&mut self, sent: Time) {
        self.renewed = Some(sent);
        self.other = None;
    }

    /// Until when we may act; none where we do not hold it. Whoever takes over waits at least
    /// `lease - act` longer than this.
    pub fn acts_until(&self) -> Option<Time> {
        self.renewed.map(|renewed| renewed + self.timing.act)
    }

    /// We may act now.
    pub fn leads(&self, now: Time) -> bool {
        self.acts_until().is_some_and(|until| now < until)
    }

    /// Our name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The three times.
    pub fn timing(&self) -> Timing {
        self.timing
    }
}

#[cfg(test)]
mod tests;
