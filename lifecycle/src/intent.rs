//! What is recorded before the first side effect, and resumed after a crash.

use serde::{Deserialize, Serialize};

use crate::{Listener, NodeName, Ordinal, Time};

/// One change of size, by one ordinal. Serialized into the annotation
/// `vernescale.dev/intent` of the StatefulSet by a guarded patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Grows by one with every new intent on this StatefulSet.
    pub epoch: u64,
    /// Growing or shrinking.
    pub kind: Kind,
    /// The ordinal that comes or goes.
    pub ordinal: Ordinal,
    /// The pod that it is about; none while it does not exist yet.
    pub pod_uid: Option<String>,
    /// The broker's name as it was heard; none while a newcomer has not said it.
    pub node: Option<NodeName>,
    /// The leaver's listeners as they were at the gate, for the undo.
    pub listeners: Vec<Listener>,
    /// Where it is.
    pub step: Step,
    /// When it began.
    pub started: Time,
    /// When `step` was entered: deadlines count from here.
    pub entered: Time,
    /// Restarts of the pod's broker container when it was last looked at on purpose: one more and
    /// the process that we spoke of has ended (I4, and the isolated node of
    /// docs/broker/kubernetes.md, "Restarts by kubelet").
    #[serde(default)]
    pub restarts: u32,
    /// Uids of the leaver's claims at the gate. They carry the data of a node that leaves and must
    /// never be used again as they are (docs/broker/join.md, "A node that has left").
    #[serde(default)]
    pub claims: Vec<String>,
    /// Sessions online when the drain began: its pace is a share of them.
    #[serde(default)]
    pub sessions: u32,
    /// Sessions a second that the drain came to; none before its end, or where nobody had to be disconnected.
    #[serde(default)]
    pub drained_per_second: Option<u32>,
    /// Since when what this step waits for has held without a break.
    #[serde(default)]
    pub since: Option<Time>,
    /// When this process of a newcomer was first seen to answer anything: its join counts from here, for before that
    /// it boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Time>,
    /// When the first of the readings was taken in which a newcomer has lacked nothing since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_step: Option<Time>,
    /// The last progress of a leave that has begun; written at most every few seconds.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// Since when nobody says what has become of a leave that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Time>,
    /// The leave was asked for, or was seen to have begun. Before that nothing proves it.
    #[serde(default)]
    pub asked: bool,
    /// It was asked through a transport that cannot be revoked; whatever the spec says by now
    /// (docs/broker/leave.md, "While a member is down").
    #[serde(default)]
    pub armed: bool,
    /// The process of the one that is asked, at the gate: where it is the only survivor, its word
    /// counts only as long as it has not restarted.
    #[serde(default, alias = "asker")]
    pub coordinator: Option<Process>,
    /// The leave was verified by two witnesses: replicas may be lowered by this ordinal (I1).
    #[serde(default)]
    pub verified: bool,
    /// The leaver is a newcomer whose growth was given up: it was never served, and is not by an undo.
    #[serde(default, alias = "unserved")]
    pub unroutable: bool,
    /// No member knew the newcomer when its growth was given up: there is no leave, and the size is lowered for as
    /// long as every survivor says so (I1).
    #[serde(default)]
    pub stranger: bool,
    /// Why it was cancelled or has failed, in a sentence.
    #[serde(default)]
    pub reason: Option<String>,
    /// How it ended; set together with [`Step::Done`].
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

impl Intent {
    /// Still going on. A finished intent stays recorded: it carries the epoch on.
    pub fn active(&self) -> bool {
        self.step != Step::Done
    }

    /// The record allows to lower the size by its ordinal (I1).
    pub(crate) fn may_lower(&self) -> bool {
        self.verified || self.stranger
    }
}

/// Queues that a leaving node still had, and when that number had last fallen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// `queue_processes` of the leaver.
    pub queues: i64,
    /// When it was seen to be lower than before.
    pub at: Time,
}

/// One run of a pod's broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Uid of the pod.
    pub uid: String,
    /// Restarts of the container.
    pub restarts: u32,
}

/// How an intent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The size has changed by one.
    Completed,
    /// Undone before its leave had begun; the size is as it was.
    Cancelled,
    /// Something outside ended it (a foreign change of the size, a pod lost in the middle).
    Failed,
}

/// Direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// One more.
    Grow,
    /// One less.
    Shrink,
}

/// The step that an intent is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Shrink: label `serving=false`, wait until no EndpointSlice lists the pod.
    Fence,
    /// Shrink: `cluster leave` without `-k`.
    Suspend,
    /// Shrink: paced disconnects.
    Drain,
    /// Shrink: `cluster leave -k` asked, being watched.
    Leave,
    /// Shrink: two witnesses.
    Verify,
    /// Shrink: the patch on the scale subresource.
    Shrink,
    /// Shrink: wait for the pod's end; verify again.
    PodGone,
    /// Shrink: delete the claim of the node that has left.
    Volume,
    /// Shrink: quiet time before anything else.
    Quiet,
    /// Undo of a shrink before its leave: listeners, label.
    Cancel,
    /// Grow: the patch on the scale subresource.
    Raise,
    /// Grow: pod exists; label it `serving=false` before it can be routed.
    FenceNewcomer,
    /// Grow: ready, a member everywhere, counts equal, 10 s since the join.
    Join,
    /// Grow: a message has crossed in both directions.
    #[serde(alias = "Canary")]
    RoutingProbe,
    /// Grow: label `serving=true`, wait until an EndpointSlice lists it.
    Serve,
    /// Grow: settle before the next.
    Settle,
    /// Over. Stays in the annotation until the next intent, so that epochs go on.
    Done,
}
