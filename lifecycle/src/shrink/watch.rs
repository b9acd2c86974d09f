//! A leave that has begun: it cannot be revoked. Its queues fall, or it is stuck.

use crate::cancel::cancel;
use crate::draft::{Draft, Flow, Look};
use crate::gate::undisturbed;
use crate::members::Verdict;
use crate::{Call, Progress, Severity};

use super::leave::ask;

pub(super) fn begun(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.broken();
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

/// The two answers after which no leave goes on, though the listeners are deleted: it may be asked
/// again, and it may be undone (docs/broker/leave.md, "Stuck leaves"; docs/broker/leave.md, "The last node").
pub(crate) fn over_before_migration(call: &Call) -> bool {
    matches!(call, Call::Answered(text)
        if text.contains("still online queues") || text.contains("no_target_available"))
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
