//! What a step asks the edge to do, and what it tells people.

use std::time::Duration;

use crate::{Listener, NodeName, Ordinal, Time};

/// One call to the outside. Every one is safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Set the label `vernescale.dev/serving` of exactly this pod.
    LabelServing {
        /// Pod.
        ordinal: Ordinal,
        /// Guard: only the pod with this uid.
        pod_uid: String,
        /// Value of the label.
        serving: bool,
    },
    /// `cluster leave node=<target>` without the kill flag: suspends its listeners.
    Suspend {
        /// The member that is asked.
        coordinator: Ordinal,
        /// The node that is to stop taking clients.
        target: NodeName,
    },
    /// One round of disconnects: up to `ids` online sessions of `target`, listed once by `statename=online`,
    /// in batches spread over the `coordinators`, one call at a time at each. It ends for whom any member is down.
    DrainBatch {
        /// The members that are asked; the first lists the sessions.
        coordinators: Vec<Ordinal>,
        /// The node that is drained.
        target: NodeName,
        /// Sessions in this round at most.
        ids: u32,
        /// Ids in one call at most (docs/broker/drain.md, "Cost of a call": its cost grows faster than they
        /// do).
        batch: u32,
        /// Up to when the pace is used up with it.
        paid: Time,
    },
    /// `cluster leave node=<target> -k -i 1 -t 30`. Runs in the background;
    /// its outcome comes back in [`crate::Calls::leave`].
    Leave {
        /// The member that is asked.
        coordinator: Ordinal,
        /// The node that is to go.
        target: NodeName,
        /// Longest wait for the reply; the server cuts at 60 s.
        deadline: Duration,
    },
    /// Close the connection of a leave that has not begun (docs/broker/leave.md, "While a member is down").
    RevokeLeave,
    /// Reopen a listener: `listener restart` if suspended, `listener start` if deleted.
    Reopen {
        /// The node itself is asked.
        ordinal: Ordinal,
        /// The listener as it was.
        listener: Listener,
        /// Deleted rather than suspended.
        deleted: bool,
    },
    /// JSON patch on the scale subresource: test uid, test `from`, replace with `to`. Right before it, the pod
    /// of the ordinal that comes or goes is read again: no patch can test for another object, and a pod that was
    /// made since the reconcile may join before it dies by this patch (`pods_delete_in_leave.txt`).
    SetReplicas {
        /// Guard: uid of the StatefulSet.
        uid: String,
        /// Guard: the number that must be there.
        from: u32,
        /// The new number.
        to: u32,
        /// Guard: uid of the pod of the ordinal that comes or goes; none where there must be no pod.
        pod: Option<String>,
    },
    /// Write the time into an annotation of the StatefulSet, by compare-and-swap, for no other end than that it is
    /// looked at again.
    Touch {
        /// Guard: uid of the StatefulSet.
        uid: String,
    },
    /// Delete exactly this pod.
    DeletePod {
        /// Pod.
        ordinal: Ordinal,
        /// Guard.
        uid: String,
    },
    /// Delete exactly this claim.
    DeleteClaim {
        /// Name of the claim.
        name: String,
        /// Guard.
        uid: String,
    },
    /// Send a message from `newcomer` to `peer` and back over MQTT.
    RoutingProbe {
        /// The node that has joined.
        newcomer: Ordinal,
        /// A member that has been there.
        peer: Ordinal,
    },
}

/// What is waited for, and until when. There is no wait without both (I11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// CamelCase name: `EndpointsDropped`, `SurvivorsAgree`, ...
    pub name: &'static str,
    /// When the wait becomes a condition of its own.
    pub until: Time,
    /// What to look at then.
    pub remedy: &'static str,
    /// What stands in the way as of this reconcile, with the numbers, where a step says so.
    pub because: Option<String>,
}

/// Something that people must see: becomes a condition and an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// CamelCase reason: `VerifyFailed`, `MemberDead`, ...
    pub reason: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Cause, place and remedy in a sentence or two.
    pub message: String,
}

/// How bad a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Normal course of things.
    Info,
    /// The same, but a `Warning` once it has stood for longer than this. Who keeps the conditions knows
    /// since when: see [`Severity::after`].
    InfoFor(Duration),
    /// Somebody should look during the day.
    Warning,
    /// Somebody must look now.
    Critical,
}

impl Severity {
    /// How bad it is once it has stood for so long.
    #[must_use]
    pub fn after(self, stood: Duration) -> Self {
        match self {
            Self::InfoFor(patience) if stood > patience => Self::Warning,
            Self::InfoFor(_) => Self::Info,
            settled => settled,
        }
    }
}
