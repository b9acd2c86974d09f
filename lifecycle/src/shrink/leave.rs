//! The leave was asked for. What has become of it is read from the world, not from the call
//! (docs/broker/leave.md, "Reading a leave"): the call can be cut at 60 s, lost, or answer `Done` to
//! anything.

use crate::cancel::cancel;
use crate::gate::undisturbed;
use crate::listeners::{Listeners, listeners};
use crate::members::{Match, Verdict, agree};
use crate::transition::{Context, Flow, Transition};
use crate::verify::{COORDINATOR, all_dropped, all_have, left, over_before_migration, said_done};
use crate::{Call, Effect, Progress, Severity, Step};

use super::verify::way_out;
use super::{brief, fence_replacement};

pub(crate) fn leave(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.out.again = ctx.limits.requeue_soon;
    if left(&transition.intent, ctx) {
        transition.intent.verified = true;
        return transition.enter(Step::Shrink);
    }
    fence_replacement(transition, ctx);
    if ctx.same_pod(&transition.intent).is_none() && all_have(&transition.intent, ctx) {
        // A leave that waits for the node to come back would take the new one.
        if transition.intent.armed || ctx.facts.calls.leave == Call::InFlight {
            return not_begun(transition, ctx);
        }
        let text = format!("pod {} went away before its leave was through", transition.intent.ordinal);
        return cancel(transition, "LeaverReplaced", &text);
    }
    match listeners(&transition.intent, ctx) {
        // All others have dropped it, so it has left; only the proof that its process ended is not
        // seen yet. Asking again or undoing would both be wrong.
        _ if all_dropped(&transition.intent, ctx) => outcome_unseen(transition, ctx),
        Listeners::Present => not_begun(transition, ctx),
        Listeners::Deleted if said_done(&ctx.facts.calls.leave) => transition.enter(Step::Verify),
        Listeners::Deleted => begun(transition, ctx),
        Listeners::Unknown => outcome_unseen(transition, ctx),
    }
}

fn outcome_unseen(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.broken();
    // Not from the last progress: a leave that was stuck for long ends so, too, and its outcome is known soon
    // (dropped 1.4 s after a SIGTERM: `pods_stuck_leave.txt`).
    let since = *transition.intent.unseen.get_or_insert(ctx.now);
    if transition.wait_until("LeaveOutcome", since + ctx.limits.stall) {
        let text = format!(
            "whether pod {} has left is not to be seen: its management address does not say, and the \
             survivors do not agree without it. Look at its log; it must not be deleted before.{}",
            transition.intent.ordinal,
            way_out(&transition.intent, ctx)
        );
        transition.tell("LeaveOutcomeUnknown", Severity::Critical, text);
    }
    Flow::Requeue
}

/// The listeners are still there, so the leave waits, was revoked, or was refused.
fn not_begun(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let verdict = undisturbed(&transition.intent, ctx);
    let overdue = transition.wait("LeaveBegins", ctx.limits.leave_begin);
    if ctx.facts.calls.leave == Call::InFlight {
        transition.broken();
        revoke_if_needed(transition, &verdict, overdue);
        return Flow::Requeue;
    }
    // Through exec it cannot be told from one that will fire when the last member is back.
    if transition.intent.armed {
        match agree(ctx, ctx.facts.target.replicas, Match::Exact) {
            Verdict::Clear => {}
            Verdict::No(..) => {
                armed(transition);
                return Flow::Requeue;
            }
            Verdict::Unknown(_) => return outcome_unseen(transition, ctx),
        }
    }
    transition.intent.unseen = None;
    let reread = if transition.intent.armed { ctx.limits.reread_armed } else { ctx.limits.reread };
    let held = transition.held();
    if held < reread {
        transition.wait_until("ListenersReread", ctx.now + reread.saturating_sub(held));
        return Flow::Requeue;
    }
    decide(transition, ctx, verdict, overdue)
}

/// The call has ended, and the listeners have been there ever since.
fn decide(transition: &mut Transition, ctx: &Context<'_>, verdict: Verdict, overdue: bool) -> Flow {
    match (&ctx.facts.calls.leave, verdict) {
        (_, Verdict::No(reason, text)) => cancel(transition, reason, &text),
        (Call::Answered(text) | Call::Refused(text), _) => {
            let text = brief(text);
            let text = format!(
                "the broker answered {text:?} and pod {} goes on: see the logs of both, and whether all pods run \
                 the same build",
                transition.intent.ordinal
            );
            cancel(transition, "LeaveRefused", &text)
        }
        _ if overdue => {
            let text = format!(
                "the leave of pod {} has not begun in time: see the log of pod {COORDINATOR}, which was asked, and \
                 `vmq-admin cluster show` for a member that is not running",
                transition.intent.ordinal
            );
            cancel(transition, "LeaveNotBegun", &text)
        }
        (_, Verdict::Unknown(_)) => Flow::Requeue,
        (_, Verdict::Clear) => {
            transition.broken();
            ask(transition, ctx);
            Flow::Requeue
        }
    }
}

/// The same request again is harmless at any time (docs/broker/leave.md, "Stuck leaves").
pub(super) fn ask(transition: &mut Transition, ctx: &Context<'_>) {
    if let Some(target) = transition.intent.node.clone() {
        transition.intent.armed |= !ctx.limits.revocable;
        transition.ask(Effect::Leave { coordinator: COORDINATOR, target, deadline: ctx.limits.leave_call });
    }
}

/// A leave that waits for a member to come back would fire unasked when it does
/// (docs/broker/leave.md, "While a member is down").
fn revoke_if_needed(transition: &mut Transition, verdict: &Verdict, overdue: bool) {
    if !overdue && !matches!(verdict, Verdict::No(..)) {
        return;
    }
    if transition.intent.armed {
        armed(transition);
    } else {
        transition.ask(Effect::RevokeLeave);
    }
}

fn armed(transition: &mut Transition) {
    transition.broken();
    let text = format!(
        "a leave of pod {} that was asked through exec waits for a member that is not running, and will \
         happen when that one is back. Restart pod {COORDINATOR}'s broker to end it, or heal the member to have it",
        transition.intent.ordinal
    );
    transition.tell("LeaveArmed", Severity::Warning, text);
}

/// It cannot be revoked any more: its queues fall, or it is stuck.
fn begun(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.broken();
    transition.intent.unseen = None;
    note_progress(transition, ctx);
    if over_before_migration(&ctx.facts.calls.leave) {
        match undisturbed(&transition.intent, ctx) {
            Verdict::No(reason, text) => return cancel(transition, reason, &text),
            Verdict::Clear => ask(transition, ctx),
            Verdict::Unknown(_) => {}
        }
    }
    let last = transition.intent.progress.map_or(transition.intent.entered, |progress| progress.at);
    if transition.wait_until("QueuesMigrated", last + ctx.limits.stall) {
        stuck(transition, ctx);
    }
    Flow::Requeue
}

/// Remembers that the queues fell, at most every few seconds: each time is a write of the intent.
fn note_progress(transition: &mut Transition, ctx: &Context<'_>) {
    let node = ctx.facts.nodes.get(&transition.intent.ordinal);
    let Some(counts) = node.and_then(|node| node.counts.seen()) else { return };
    let fresh = Progress { queues: counts.queues, at: ctx.now };
    match transition.intent.progress {
        None => transition.intent.progress = Some(fresh),
        Some(last) if counts.queues < last.queues => {
            if counts.queues <= 0 || ctx.now.since(last.at) >= ctx.limits.progress {
                transition.intent.progress = Some(fresh);
            }
        }
        Some(_) => {}
    }
}

/// Both ends of SIGTERM were seen, once each: of a leave that was stuck, and 1 s into the migration of 1,500 queues
/// (`sigterm_in_migration.txt`).
fn stuck(transition: &mut Transition, ctx: &Context<'_>) {
    let queues =
        transition.intent.progress.map_or_else(|| "an unknown number of".into(), |p| p.queues.to_string());
    let text = format!(
        "the leave of pod {} has begun and does not get on: {queues} queues left, none moved for {} s. \
         It stays armed as long as that process lives. Two ways end it. A graceful stop of the broker in pod {} \
         (SIGTERM) has two ends, and neither is promised: where the leave still waited for sessions it fired, and \
         the survivors dropped the node; in the middle of migrating queues it broke, and the node stayed a dead \
         member, without whose removal no client gets in. So look in `cluster show` afterwards: where the node is \
         gone, we lower the size; where it is listed and does not run, remove that dead member. A kill (SIGKILL of \
         beam.smp) revokes the leave: the node comes back as a member with its queues, and the shrink is undone. \
         The size is not lowered meanwhile",
        transition.intent.ordinal,
        ctx.limits.stall.as_secs(),
        transition.intent.ordinal
    );
    transition.tell("LeaveStuck", Severity::Critical, text);
}
