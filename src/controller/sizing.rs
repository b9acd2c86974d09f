//! What the decision about the size remembers from one reconcile to the next.

use std::collections::BTreeSet;

use autoscaler::decide::{Decision, History, Policy, decide};
use autoscaler::metrics::FleetView;
use lifecycle::{Kind, NodeName, Outcome, Time};

use super::facts;
use super::observation::Observation;

/// The history of one resource's decisions; a copy is in its status, from which a process begins.
#[derive(Default)]
pub(super) struct Sizing {
    history: Option<History>,
    members: Option<BTreeSet<NodeName>>,
    last_join: Option<Time>,
}

impl Sizing {
    /// Begins where the status has left off, once.
    pub(super) fn begin(&mut self, recorded: Option<&History>) {
        self.history.get_or_insert_with(|| recorded.cloned().unwrap_or_default());
    }

    /// For the status.
    pub(super) fn history(&self) -> History {
        self.history.clone().unwrap_or_default()
    }

    /// A leave was verified, and its record has made room for the next change.
    pub(super) fn note_leave(&mut self, now: Time) {
        self.history.get_or_insert_default().note_leave(now);
    }

    /// Decides the size.
    pub(super) fn decide(
        &mut self,
        policy: &Policy,
        fleet: &FleetView,
        observed: &Observation,
        now: Time,
    ) -> Decision {
        let mut history = self.history.take().unwrap_or_default();
        // The record on the StatefulSet is the one truth about the last change: a crash between its
        // end and our status must not make the churn budget forget it.
        if let Some(intent) = observed.held.intent().filter(|intent| !intent.active())
            && intent.kind == Kind::Shrink
            && (intent.verified || intent.outcome == Some(Outcome::Cancelled))
            && !history.leaves.contains(&intent.entered)
        {
            history.note_leave(intent.entered);
        }
        let members = observed.members();
        if let Some(before) = &self.members
            && members.iter().any(|member| !before.contains(member))
        {
            self.last_join = Some(now);
        }
        if !members.is_empty() {
            self.members = Some(members);
        }
        let current = facts::current(observed, self.last_join);
        let (decision, history) = decide(policy, fleet, &history, &current, now);
        self.history = Some(history);
        decision
    }
}
