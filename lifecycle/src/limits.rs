//! Every number of the lifecycle: waits, budgets, rates. One struct, handed in.

use std::time::Duration;

/// Bounds and settings of a step. The defaults are those of the design; each
/// names the measurement that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The client Service selects on `vernescale.dev/serving` (level 2). Without it the label is
    /// set all the same, but there is no endpoint to wait for.
    pub fence: bool,
    /// Versions of the broker whose leaves we know; another's are not asked for.
    pub versions: Vec<String>,
    /// Closing the call of a leave that has not begun revokes it: true for the management API,
    /// false for `pods/exec`, where it stays armed (docs/broker/leave.md, "While a member is down").
    pub revocable: bool,
    /// Until no EndpointSlice lists the leaver.
    pub endpoints: Duration,
    /// After that: kube-proxy on every node must have heard. A new connection still came up to 24 ms later, up to
    /// 770 ms where another Service changes all the time (`disc2_kube_proxy_fence.txt`).
    pub unrouted: Duration,
    /// Until the leaver's listeners are suspended (0.2 s measured, docs/broker/leave.md, "Without -k").
    pub suspend: Duration,
    /// The whole drain; then the shrink is cancelled.
    pub drain: Duration,
    /// Share of the leaver's sessions that is disconnected in a second, in percent.
    pub drain_percent: u32,
    /// Slowest pace, sessions a second: one smallest batch; 25/s a survivor was safe
    /// (docs/broker/drain.md, "A safe pace").
    pub drain_rate_min: u32,
    /// Fastest pace, sessions a second.
    pub drain_rate_max: u32,
    /// Smallest and largest number of ids in one call (docs/broker/drain.md, "Cost of a call": cost grows
    /// faster than ids).
    pub drain_batch: (u32, u32),
    /// Between two rounds of disconnects at least: each is a write of the record and a list of sessions, 17 to
    /// 50 ms of every node (docs/broker/http-api.md, "Listing sessions").
    pub drain_every: Duration,
    /// What a slow reconcile has put off is made up for by no more than this time's worth at once: 1,000 at once still
    /// went well (docs/broker/drain.md, "Queues that clients pull").
    pub drain_burst: Duration,
    /// Members that carry out disconnects at the same time: every call costs all nodes something
    /// (docs/broker/drain.md, "Cost of a call").
    pub drain_lanes: usize,
    /// The pace that is reached is not held against the budget before.
    pub drain_judged: Duration,
    /// The list of online sessions must have been empty for so long: a busy row can be missing from
    /// one answer, and a kicked queue drains for 0.5 s (docs/broker/drain.md, "A safe pace").
    pub drained: Duration,
    /// Sessions that may still be online when the leave kills them; ours are among them.
    pub max_online_at_kill: u32,
    /// Deadline of the leave's call. The server cuts at 60.00 s (docs/broker/leave.md, "Cut at 60 s").
    pub leave_call: Duration,
    /// Until the leave has begun, seen by the leaver's deleted listeners.
    pub leave_begin: Duration,
    /// After a call has ended, the leaver's listeners are read again over this time before anything
    /// is decided: closing and beginning can cross (docs/broker/leave.md, "While a member is down").
    pub reread: Duration,
    /// The same where the leave was asked through `pods/exec`: an armed one fires within 3 s of the last
    /// member's return (docs/broker/leave.md, "While a member is down").
    pub reread_armed: Duration,
    /// A shrink before its drain is held for so long where something is not known: a controller that
    /// has just started knows a rate over one minute after that minute.
    pub unknown: Duration,
    /// A begun leave whose queues do not fall for so long is stuck. There is no total: 22,000
    /// queues took 174 s (docs/broker/leave.md, "Cut at 60 s").
    pub stall: Duration,
    /// The record of progress is written at most this often.
    pub progress: Duration,
    /// Survivors agree within this time of a leave (6 s at most measured,
    /// docs/broker/leave.md, "After Done").
    pub agree: Duration,
    /// Where the pod of a node that has left was taken away before the size was lowered, the StatefulSet makes it
    /// again: within 0.1 s as seen (`pods_delete_in_leave.txt`, 89.89 s), within some seconds on a busy machine.
    pub replaced: Duration,
    /// The patch of the scale subresource is seen.
    pub patch: Duration,
    /// A pod without deletion mark this long after the patch is deleted by uid: `OrderedReady` waits
    /// for an unhealthy lower ordinal.
    pub pod_mark: Duration,
    /// A pod that ends takes 1.5 to 3 s, one whose container was just started up to 5.4 s with the hook of
    /// docs/operating.md, and all of its grace without (`pods_killed_leaver.txt`).
    pub pod_late: Duration,
    /// The pod is gone: grace of 60 s (official chart) and some.
    pub pod_gone: Duration,
    /// The claims are gone.
    pub volume: Duration,
    /// Nothing happens between two changes: back-to-back leaves crashed the store in 1 of 8
    /// (docs/broker/leave.md, "Two leaves").
    pub quiet: Duration,
    /// Listeners reopened and the label back.
    pub undo: Duration,
    /// A raise that is no longer wanted and has not been seen for so long has not happened.
    pub raise_lost: Duration,
    /// A wanted pod that nothing is in the way of is made within a second (`pods_delete_in_leave.txt`). After this
    /// time the StatefulSet stands still, and is touched; again every so often.
    pub still: Duration,
    /// The newcomer's pod exists.
    pub pod_created: Duration,
    /// The newcomer's broker answers anything: machine, image pull, volume, and a boot, which took 21 to 147 s on a
    /// machine under load.
    pub boot: Duration,
    /// From there on: it is ready, listed by all and in step with them: the chart's probe delay of 90 s, 11 s of
    /// sync (docs/broker/join.md, "Losses after a join").
    pub join: Duration,
    /// Time since the join was seen: a newcomer loses messages silently for 7.5 s
    /// (docs/broker/join.md, "Losses after a join").
    pub joined: Duration,
    /// A routing probe has crossed in both directions.
    pub routing_probe: Duration,
    /// An EndpointSlice lists the newcomer.
    pub serve: Duration,
    /// After a join, before the next change.
    pub settle: Duration,
    /// Queues that lie where they do not belong keep a leave from beginning until every pod has been ready for so long: a
    /// rollout of some nodes is over by then, and a broker whose numbers never fit is not held for ever.
    pub unsettled: Duration,
    /// A member whose pod has not been ready for so long counts as dead.
    pub dead: Duration,
    /// A wanted change that something wrong holds back is told as `Info` for so long, then as a `Warning`.
    /// Longer than what ends by itself: a pod of the official chart is back in three minutes (60 s of
    /// grace, 90 s before its first probe), and a member whose pod stays away is told as `MemberDead`
    /// after `dead`. A rollout of more than five nodes can take longer, and is worth a look by then.
    pub held: Duration,
    /// Time between reconciles while the 1.7 s after a leave count
    /// (docs/broker/kubernetes.md, "Restarts by kubelet"), and while draining.
    pub requeue_soon: Duration,
    /// Time between reconciles otherwise.
    pub requeue: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            fence: true,
            versions: vec!["2.1.2".into(), "2.2.0".into()],
            revocable: true,
            endpoints: seconds(30),
            unrouted: Duration::from_millis(1_500),
            suspend: seconds(30),
            drain: seconds(15 * 60),
            drain_percent: 1,
            drain_rate_min: 10,
            drain_rate_max: 500,
            drain_batch: (10, 50),
            drain_every: Duration::from_millis(200),
            drain_burst: seconds(2),
            drain_lanes: 4,
            drain_judged: seconds(60),
            drained: seconds(2),
            max_online_at_kill: 50,
            leave_call: seconds(65),
            leave_begin: seconds(90),
            reread: seconds(2),
            reread_armed: seconds(10),
            unknown: seconds(120),
            stall: seconds(60),
            progress: seconds(5),
            agree: seconds(30),
            replaced: seconds(10),
            patch: seconds(10),
            pod_mark: seconds(5),
            pod_late: seconds(10),
            pod_gone: seconds(90),
            volume: seconds(60),
            quiet: seconds(5),
            undo: seconds(60),
            raise_lost: seconds(10),
            still: seconds(30),
            pod_created: seconds(60),
            boot: seconds(300),
            join: seconds(300),
            joined: seconds(10),
            routing_probe: seconds(60),
            serve: seconds(60),
            settle: seconds(30),
            unsettled: seconds(600),
            dead: seconds(600),
            held: seconds(15 * 60),
            requeue_soon: Duration::from_millis(200),
            requeue: seconds(1),
        }
    }
}

impl Limits {
    /// For leaves through `pods/exec`, which cannot be revoked.
    #[must_use]
    pub fn for_exec(self) -> Self {
        Self { revocable: false, ..self }
    }
}
