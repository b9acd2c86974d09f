//! The leave was asked for. What has become of it is read from the world, not from the call
//! (docs/broker/leave.md, "Reading a leave"): the call can be cut at 60 s, lost, or answer `Done` to
//! anything.

use crate::cancel::cancel;
use crate::doors::{Doors, doors};
use crate::draft::{Draft, Flow, Look};
use crate::gate::undisturbed;
use crate::members::{Match, Verdict, agree};
use crate::verify::{ASKER, all_dropped, all_have, left, over_before_migration, said_done};
use crate::{Call, Effect, Progress, Severity, Step};

use super::verify::way_out;
use super::{brief, fence_replacement};

pub(crate) fn leave(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.out.again = look.limits.look_soon;
    if left(&draft.intent, look) {
        draft.intent.verified = true;
        return draft.enter(Step::Shrink);
    }
    fence_replacement(draft, look);
    if look.same_pod(&draft.intent).is_none() && all_have(&draft.intent, look) {
        // A leave that waits for the node to come back would take the new one.
        if draft.intent.armed || look.facts.calls.leave == Call::InFlight {
            return not_begun(draft, look);
        }
        let text = format!("pod {} went away before its leave was through", draft.intent.ordinal);
        return cancel(draft, "LeaverReplaced", &text);
    }
    match doors(&draft.intent, look) {
        // All others have dropped it, so it has left; only the proof that its process ended is not
        // seen yet. Asking again or undoing would both be wrong.
        _ if all_dropped(&draft.intent, look) => outcome_unseen(draft, look),
        Doors::Present => not_begun(draft, look),
        Doors::Deleted if said_done(&look.facts.calls.leave) => draft.enter(Step::Verify),
        Doors::Deleted => begun(draft, look),
        Doors::Unknown => outcome_unseen(draft, look),
    }
}

fn outcome_unseen(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.broken();
    // Not from the last progress: a leave that was stuck for long ends so, too, and its outcome is known soon
    // (dropped 1.4 s after a SIGTERM: `pods_stuck_leave.txt`).
    let since = *draft.intent.unseen.get_or_insert(look.now);
    if draft.wait_until("LeaveOutcome", since + look.limits.stall) {
        let text = format!(
            "whether pod {} has left is not to be seen: its management address does not say, and the \
             survivors do not agree without it. Look at its log; it must not be deleted before.{}",
            draft.intent.ordinal,
            way_out(&draft.intent, look)
        );
        draft.tell("LeaveOutcomeUnknown", Severity::Critical, text);
    }
    Flow::Look
}

/// The listeners are still there, so the leave waits, was revoked, or was refused.
fn not_begun(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let verdict = undisturbed(&draft.intent, look);
    let overdue = draft.wait("LeaveBegins", look.limits.leave_begin);
    if look.facts.calls.leave == Call::InFlight {
        draft.broken();
        revoke_if_needed(draft, &verdict, overdue);
        return Flow::Look;
    }
    // Through exec it cannot be told from one that will fire when the last member is back.
    if draft.intent.armed {
        match agree(look, look.facts.target.replicas, Match::Exact) {
            Verdict::Clear => {}
            Verdict::No(..) => {
                armed(draft);
                return Flow::Look;
            }
            Verdict::Unknown(_) => return outcome_unseen(draft, look),
        }
    }
    draft.intent.unseen = None;
    let reread = if draft.intent.armed { look.limits.reread_armed } else { look.limits.reread };
    let held = draft.held();
    if held < reread {
        draft.wait_until("ListenersReread", look.now + reread.saturating_sub(held));
        return Flow::Look;
    }
    decide(draft, look, verdict, overdue)
}

/// The call has ended, and the listeners have been there ever since.
fn decide(draft: &mut Draft, look: &Look<'_>, verdict: Verdict, overdue: bool) -> Flow {
    match (&look.facts.calls.leave, verdict) {
        (_, Verdict::No(reason, text)) => cancel(draft, reason, &text),
        (Call::Answered(text) | Call::Refused(text), _) => {
            let text = brief(text);
            let text = format!(
                "the broker answered {text:?} and pod {} goes on: see the logs of both, and whether all pods run \
                 the same build",
                draft.intent.ordinal
            );
            cancel(draft, "LeaveRefused", &text)
        }
        _ if overdue => {
            let text = format!(
                "the leave of pod {} has not begun in time: see the log of pod {ASKER}, which was asked, and \
                 `vmq-admin cluster show` for a member that is not running",
                draft.intent.ordinal
            );
            cancel(draft, "LeaveNotBegun", &text)
        }
        (_, Verdict::Unknown(_)) => Flow::Look,
        (_, Verdict::Clear) => {
            draft.broken();
            ask(draft, look);
            Flow::Look
        }
    }
}

/// The same request again is harmless at any time (docs/broker/leave.md, "Stuck leaves").
pub(super) fn ask(draft: &mut Draft, look: &Look<'_>) {
    if let Some(target) = draft.intent.node.clone() {
        draft.intent.armed |= !look.limits.revocable;
        draft.ask(Effect::Leave { asker: ASKER, target, deadline: look.limits.leave_call });
    }
}

/// A leave that waits for a member to come back would fire unasked when it does
/// (docs/broker/leave.md, "While a member is down").
fn revoke_if_needed(draft: &mut Draft, verdict: &Verdict, overdue: bool) {
    if !overdue && !matches!(verdict, Verdict::No(..)) {
        return;
    }
    if draft.intent.armed {
        armed(draft);
    } else {
        draft.ask(Effect::RevokeLeave);
    }
}

fn armed(draft: &mut Draft) {
    draft.broken();
    let text = format!(
        "a leave of pod {} that was asked through exec waits for a member that is not running, and will \
         happen when that one is back. Restart pod {ASKER}'s broker to end it, or heal the member to have it",
        draft.intent.ordinal
    );
    draft.tell("LeaveArmed", Severity::Warning, text);
}

/// It cannot be revoked any more: its queues fall, or it is stuck.
fn begun(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.broken();
    draft.intent.unseen = None;
    note_progress(draft, look);
    if over_before_migration(&look.facts.calls.leave) {
        match undisturbed(&draft.intent, look) {
            Verdict::No(reason, text) => return cancel(draft, reason, &text),
            Verdict::Clear => ask(draft, look),
            Verdict::Unknown(_) => {}
        }
    }
    let last = draft.intent.progress.map_or(draft.intent.entered, |progress| progress.at);
    if draft.wait_until("QueuesMigrated", last + look.limits.stall) {
        stuck(draft, look);
    }
    Flow::Look
}

/// Remembers that the queues fell, at most every few seconds: each time is a write of the intent.
fn note_progress(draft: &mut Draft, look: &Look<'_>) {
    let node = look.facts.nodes.get(&draft.intent.ordinal);
    let Some(counts) = node.and_then(|node| node.counts.seen()) else { return };
    let fresh = Progress { queues: counts.queues, at: look.now };
    match draft.intent.progress {
        None => draft.intent.progress = Some(fresh),
        Some(last) if counts.queues < last.queues => {
            if counts.queues <= 0 || look.now.since(last.at) >= look.limits.progress {
                draft.intent.progress = Some(fresh);
            }
        }
        Some(_) => {}
    }
}

/// Both ends of SIGTERM were seen, once each: of a leave that was stuck, and 1 s into the migration of 1,500 queues
/// (`sigterm_in_migration.txt`).
fn stuck(draft: &mut Draft, look: &Look<'_>) {
    let queues =
        draft.intent.progress.map_or_else(|| "an unknown number of".into(), |p| p.queues.to_string());
    let text = format!(
        "the leave of pod {} has begun and does not get on: {queues} queues left, none moved for {} s. \
         It stays armed as long as that process lives. Two ways end it. A graceful stop of the broker in pod {} \
         (SIGTERM) has two ends, and neither is promised: where the leave still waited for sessions it fired, and \
         the survivors dropped the node; in the middle of migrating queues it broke, and the node stayed a dead \
         member, without whose removal no client gets in. So look in `cluster show` afterwards: where the node is \
         gone, we lower the size; where it is listed and does not run, remove that dead member. A kill (SIGKILL of \
         beam.smp) revokes the leave: the node comes back as a member with its queues, and the shrink is undone. \
         The size is not lowered meanwhile",
        draft.intent.ordinal,
        look.limits.stall.as_secs(),
        draft.intent.ordinal
    );
    draft.tell("LeaveStuck", Severity::Critical, text);
}
