//! Disconnect what is online, slowly: 3,000 sessions killed at once by `-k` lost 1,082 of 15,687
//! acknowledged messages of persistent subscribers, a paced drain 1 of 18,370 (drain.md §2).

use std::time::Duration;

use crate::cancel::{Guard, cancel, guard};
use crate::doors::{Doors, doors};
use crate::draft::{Draft, Flow, Look};
use crate::verify::ASKER;
use crate::{Call, Effect, Limits, Step};

use super::{brief, leave};

pub(crate) fn drain(draft: &mut Draft, look: &Look<'_>) -> Flow {
    let overdue = draft.wait("SessionsDrained", look.limits.drain);
    // Before every batch: where a member is down, a kicked client cannot come back (drain.md §7.7).
    match guard(draft, look, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    if doors(&draft.intent, look) == Doors::Deleted {
        return draft.enter(Step::Leave);
    }
    if draft.intent.sessions == 0 {
        return ask_to_leave(draft, look);
    }
    let node = look.facts.nodes.get(&draft.intent.ordinal);
    let online = node.and_then(|node| node.counts.seen()).map(|counts| counts.online);
    let few = online.is_some_and(|online| online <= i64::from(look.limits.max_online_at_kill));
    match &look.facts.calls.drain {
        call if few && listed_none(call) => {
            if draft.held() >= look.limits.drained {
                return ask_to_leave(draft, look);
            }
        }
        // The next answer says whether it goes on to hold. Where a list takes longer than the pace
        // allows between two, some look always comes while one is under way.
        Call::InFlight if few => {}
        _ => draft.broken(),
    }
    if overdue {
        let text = not_drained(draft, look, online);
        return cancel(draft, "DrainBudgetSpent", &text);
    }
    next_batch(draft, look);
    Flow::Look
}

fn not_drained(draft: &Draft, look: &Look<'_>, online: Option<i64>) -> String {
    let call = match &look.facts.calls.drain {
        Call::None | Call::InFlight => "has no answer yet".to_owned(),
        Call::Answered(count) => format!("found {} to disconnect", count.trim()),
        Call::Refused(why) | Call::Unknown(why) => format!("failed: {}", brief(why)),
    };
    let node = draft.intent.node.as_ref().map_or("", |name| name.0.as_str());
    format!(
        "pod {} was not drained within {} s: {} sessions are online ({} wanted at most), and the last list of \
         them {call}. See who they are (`vmq-admin session show --client_id --statename=online --node={node}`), or allow more: spec.drain.budget, \
         spec.drain.percentPerSecond, spec.leave.maxOnlineAtKill",
        draft.intent.ordinal,
        look.limits.drain.as_secs(),
        online.map_or("an unknown number of".to_owned(), |online| online.to_string()),
        look.limits.max_online_at_kill
    )
}

/// The list of online sessions was empty.
fn listed_none(call: &Call) -> bool {
    matches!(call, Call::Answered(text) if text.trim() == "0")
}

fn next_batch(draft: &mut Draft, look: &Look<'_>) {
    let (batch, every) = pace(draft.intent.sessions, look.limits);
    draft.out.again = every.min(look.limits.look);
    let calls = &look.facts.calls;
    let due = calls.drain_sent.is_none_or(|sent| look.now.since(sent) >= every);
    if calls.drain != Call::InFlight
        && due
        && let Some(target) = draft.intent.node.clone()
    {
        draft.ask(Effect::DrainBatch { asker: ASKER, target, batch });
    }
}

/// Ids in one call, and the time between two calls.
fn pace(sessions: u32, limits: &Limits) -> (u32, Duration) {
    let share = u64::from(sessions) * u64::from(limits.drain_percent) / 100;
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    // Who allows fewer than the least has the last word.
    let rate = share.max(limits.drain_rate_min).min(limits.drain_rate_max);
    let (least, most) = limits.drain_batch;
    // Five calls a second where the batch allows it (drain.md §8).
    let batch = (rate / 5).clamp(least, most);
    (batch, Duration::from_secs(u64::from(batch)) / rate.max(1))
}

/// The point of no return. All members were seen running in this very look.
fn ask_to_leave(draft: &mut Draft, look: &Look<'_>) -> Flow {
    draft.enter(Step::Leave);
    draft.wait("LeaveBegins", look.limits.leave_begin);
    draft.out.again = look.limits.look_soon;
    leave::ask(draft, look);
    Flow::Look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(40, 10, 1_000)]
    #[case(3_000, 10, 333)]
    #[case(20_000, 40, 200)]
    #[case(1_000_000, 50, 100)]
    fn pace_is_a_share_of_the_sessions_within_its_bounds(
        #[case] sessions: u32,
        #[case] ids: u32,
        #[case] millis: u128,
    ) {
        let (batch, every) = pace(sessions, &Limits::default());
        assert_eq!((batch, every.as_millis()), (ids, millis));
    }

    #[rstest::rstest]
    #[case(1, 10_000)]
    #[case(5, 2_000)]
    #[case(10, 1_000)]
    fn a_small_maximum_is_kept(#[case] most: u32, #[case] millis: u128) {
        let limits = Limits { drain_rate_max: most, ..Limits::default() };
        let (batch, every) = pace(3_000, &limits);
        assert_eq!((batch, every.as_millis()), (10, millis));
    }
}
