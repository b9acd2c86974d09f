//! What is, apart from the load.

use std::collections::BTreeSet;

use lifecycle::{NodeName, Time};

/// What is, apart from the load.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// `spec.replicas` of the StatefulSet, at least 1.
    pub replicas: u32,
    /// Every name that a member's `cluster show` lists, running or not. Only
    /// these count, and every one of them must be heard for a shrink.
    pub members: BTreeSet<NodeName>,
    /// Our own change of size that is under way.
    pub change: Option<Change>,
    /// How many connections a node takes.
    pub conns_max: ConnsMax,
    /// When the newest member joined, if that was seen.
    pub last_join: Option<Time>,
}

/// Our own change of size: one node is still coming or already going.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more.
    Growing,
    /// One less.
    Shrinking {
        /// Its name, once it is known.
        leaver: Option<NodeName>,
        /// `spec.replicas` when it has left.
        to: u32,
    },
}

impl Current {
    /// The node whose leave is under way.
    pub(super) fn leaver(&self) -> Option<&NodeName> {
        match &self.change {
            Some(Change::Shrinking { leaver, .. }) => leaver.as_ref(),
            _ => None,
        }
    }

    /// The size where nothing is known: that of today, or the one that a shrink under way goes to. It
    /// was decided on what was known then; a wish for more must be a known one to undo it.
    pub(super) fn kept(&self) -> u32 {
        match &self.change {
            Some(Change::Shrinking { to, .. }) if to + 1 == self.replicas => *to,
            _ => self.replicas,
        }
    }
}

/// How many connections the MQTT listeners take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnsMax {
    /// No listener that clients reach holds a limit.
    Unlimited,
    /// Those that hold one.
    Limited(Vec<Room>),
    /// Not read: nothing shrinks.
    Unknown,
}

/// A listener that holds a limit, on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// For people: which listener, and what its limit is made of.
    pub name: String,
    /// Connections on one node, the smallest over the nodes.
    pub limit: u64,
    /// Connections on all nodes; none where only the metrics count them, for all listeners together.
    pub held: Option<u64>,
}
