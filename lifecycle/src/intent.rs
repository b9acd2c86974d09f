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
    Canary,
    /// Grow: label `serving=true`, wait until an EndpointSlice lists it.
    Serve,
    /// Grow: settle before the next.
    Settle,
}
