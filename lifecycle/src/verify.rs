//! The two witnesses of a leave. Nothing lowers the size without them (I1).
//!
//! A survivor's word is not to be had at once: survivors drop the leaver with the end of its process, 1.1 to 1.7 s
//! after `Done`, and then its container runs again. What is there at once is the leaver's silence: its HTTP listeners
//! are closed within 10 ms of `Done` (`leaver_after_done.txt`). All survivors are asked once the size is lowered.

use std::collections::BTreeMap;

use crate::members::{Match, Verdict, agree, below, view};
use crate::transition::Context;
use crate::{Call, Intent, NodeName, Ordinal, Process, Reach};

/// Who is asked to have another node leave: the lowest ordinal, which leaves last.
pub(crate) const COORDINATOR: Ordinal = Ordinal(0);

/// The leave has happened: it was asked for, and the broker said so and has a second witness, or the process is gone
/// and a survivor's view is without the node.
pub(crate) fn left(intent: &Intent, ctx: &Context<'_>) -> bool {
    if !intent.asked {
        return false;
    }
    let done = said_done(&ctx.facts.calls.leave);
    let gone = process_gone(intent, ctx) && lasting_survivor(intent, ctx);
    (done && witnessed(intent, ctx))
        || (gone && a_survivor_dropped(intent, ctx))
        || (alone(intent, ctx) && all_dropped(intent, ctx))
}

/// The second witness of a `Done` that was said: the leaver's process has stopped to listen, or a survivor has dropped
/// it.
pub(crate) fn witnessed(intent: &Intent, ctx: &Context<'_>) -> bool {
    stops(intent, ctx) || a_survivor_dropped(intent, ctx)
}

/// The process that was asked to leave runs, and nobody listens in it any more. `Done` is said of a misspelt name, too,
/// or by a coordinator that has lost its data and knows nobody: then this one would listen.
fn stops(intent: &Intent, ctx: &Context<'_>) -> bool {
    let same = ctx.same_pod(intent).is_some_and(|pod| pod.restarts == intent.restarts);
    let refused = ctx.facts.nodes.get(&intent.ordinal).is_some_and(|node| node.reach == Reach::Refused);
    same && refused && coordinator_lasts(intent, ctx)
}

/// One run of a pod's broker.
pub(crate) fn process(ctx: &Context<'_>, ordinal: Ordinal) -> Option<Process> {
    let pod = ctx.facts.pods.get(&ordinal)?;
    Some(Process { uid: pod.uid.clone(), restarts: pod.restarts })
}

/// A sole survivor that sees only itself may have left the leaver's cluster, too: by losing its
/// data. One that has run on since the gate has not.
fn lasting_survivor(intent: &Intent, ctx: &Context<'_>) -> bool {
    intent.ordinal.0 > 1 || coordinator_lasts(intent, ctx)
}

/// The coordinator has run on since the gate, where it listed the leaver.
fn coordinator_lasts(intent: &Intent, ctx: &Context<'_>) -> bool {
    intent.coordinator.is_some() && process(ctx, COORDINATOR) == intent.coordinator
}

/// `Done` as the last line. `Done! Use -k …` is the answer to another question, and `Done` alone
/// also answers a misspelt name (docs/broker/leave.md, "What Done means"): it is one witness of two.
pub fn said_done(call: &Call) -> bool {
    matches!(call, Call::Answered(text) if text.trim_end().lines().last().map(str::trim) == Some("Done"))
}

/// The two answers after which no leave goes on, though the listeners are deleted: it may be asked
/// again, and it may be undone (docs/broker/leave.md, "Stuck leaves"; docs/broker/leave.md, "The last node").
pub(crate) fn over_before_migration(call: &Call) -> bool {
    matches!(call, Call::Answered(text)
        if text.contains("still online queues") || text.contains("no_target_available"))
}

/// The process that was to leave has ended, whether or not another runs in its place. The address of a container
/// that has ended in a pod that is deleted goes silent rather than refuse (`pods_delete_in_leave.txt`, 88.91 to
/// 89.89 s: time in which nobody makes that pod again).
pub(crate) fn process_gone(intent: &Intent, ctx: &Context<'_>) -> bool {
    let Some(pod) = ctx.same_pod(intent) else { return true };
    let refused = ctx.facts.nodes.get(&intent.ordinal).is_some_and(|node| node.reach == Reach::Refused);
    refused || pod.restarts > intent.restarts || !pod.running
}

/// A survivor's view is without the leaver; another's than the coordinator's where there is one.
pub(crate) fn a_survivor_dropped(intent: &Intent, ctx: &Context<'_>) -> bool {
    let survivors = intent.ordinal.0;
    // The leaver itself says otherwise: one of the two is wrong. One that lists the others without itself has left
    // (`q4_still_online.txt` E: so it does for the moment between its leave and its end).
    let itself = |v: &BTreeMap<NodeName, bool>| {
        v.len() > 1 && intent.node.as_ref().is_none_or(|own| v.contains_key(own))
    };
    let denied = ctx.same_pod(intent).is_some() && view(ctx, intent.ordinal).is_some_and(itself);
    !denied
        && below(survivors)
            .filter(|o| survivors == 1 || *o != COORDINATOR)
            .any(|o| dropped(intent, ctx, o, survivors))
}

/// The view of every survivor is without the leaver.
pub(crate) fn all_dropped(intent: &Intent, ctx: &Context<'_>) -> bool {
    dropped_by(intent, ctx, intent.ordinal.0)
}

/// The same of those that are there still, once the leave is verified: another hand may have lowered the size
/// further, and nobody can ask a pod that is gone.
pub(crate) fn all_left_dropped(intent: &Intent, ctx: &Context<'_>) -> bool {
    dropped_by(intent, ctx, intent.ordinal.0.min(ctx.facts.target.replicas))
}

fn dropped_by(intent: &Intent, ctx: &Context<'_>, survivors: u32) -> bool {
    // One that nobody knew may never have said its name: then they list one another and nobody else.
    if intent.stranger && intent.node.is_none() {
        return agree(ctx, survivors, Match::Exact) == Verdict::Clear;
    }
    survivors > 0 && below(survivors).all(|ordinal| dropped(intent, ctx, ordinal, survivors))
}

/// Survivors whose view has the node of the ordinal.
pub(crate) fn listed_by(intent: &Intent, ctx: &Context<'_>) -> Vec<Ordinal> {
    let Some(name) = intent.node.as_ref().or_else(|| ctx.name(intent.ordinal)) else { return Vec::new() };
    let survivors = below(intent.ordinal.0.min(ctx.facts.target.replicas));
    survivors.filter(|o| view(ctx, *o).is_some_and(|members| members.contains_key(name))).collect()
}

/// Every survivor's view was seen, and each has the leaver.
pub(crate) fn all_have(intent: &Intent, ctx: &Context<'_>) -> bool {
    let Some(name) = &intent.node else { return false };
    below(intent.ordinal.0).all(|o| view(ctx, o).is_some_and(|members| members.contains_key(name)))
}

/// This survivor's view is without the leaver, and is the view of the cluster rather than that of
/// one that sees only itself: an issuer that restarts does for up to 19 s
/// (docs/broker/netsplit.md, "The coordinator restarts").
fn dropped(intent: &Intent, ctx: &Context<'_>, ordinal: Ordinal, survivors: u32) -> bool {
    let (Some(members), Some(leaver)) = (view(ctx, ordinal), &intent.node) else { return false };
    let complete = below(survivors).filter_map(|o| ctx.name(o)).all(|name| members.contains_key(name));
    !members.contains_key(leaver) && complete && (survivors == 1 || members.len() > 1)
}

/// The leaver's pod runs a node that sees nobody but itself: the container was restarted after the
/// leave (docs/broker/join.md, "A node that has left"). Counts only together with all survivors.
fn alone(intent: &Intent, ctx: &Context<'_>) -> bool {
    let Some(leaver) = &intent.node else { return false };
    view(ctx, intent.ordinal).is_some_and(|members| sees_only(members.keys(), leaver))
}

fn sees_only<'a>(mut members: impl Iterator<Item = &'a NodeName>, name: &NodeName) -> bool {
    members.next() == Some(name) && members.next().is_none()
}
