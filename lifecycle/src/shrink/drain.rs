//! Disconnect what is online, slowly: 3,000 sessions killed at once by `-k` lost 1,082 of 15,687
//! acknowledged messages of persistent subscribers, a paced drain 1 of 18,370
//! (docs/broker/drain.md, "Paced or at once").

use crate::cancel::{Guard, cancel, guard};
use crate::listeners::{Listeners, listeners};
use crate::members::below;
use crate::pace::Pace;
use crate::transition::{Context, Flow, Transition};
use crate::{Call, Effect, Severity, Step};

use super::{brief, leave};

pub(crate) fn drain(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    let overdue = transition.wait("SessionsDrained", ctx.limits.drain);
    // Before every round: where a member is down, a kicked client cannot come back
    // (docs/broker/http-api.md, "With a member down").
    match guard(transition, ctx, overdue) {
        Guard::Go => {}
        Guard::Stop(flow) => return flow,
    }
    if listeners(&transition.intent, ctx) == Listeners::Deleted {
        return transition.enter(Step::Leave);
    }
    if transition.intent.sessions == 0 {
        return ask_to_leave(transition, ctx);
    }
    let online = online(transition, ctx);
    let few = online.is_some_and(|online| online <= i64::from(ctx.limits.max_online_at_kill));
    match &ctx.facts.calls.drain {
        call if few && listed_none(call) => {
            if transition.held() >= ctx.limits.drained {
                drained(transition, ctx);
                return ask_to_leave(transition, ctx);
            }
        }
        // The next answer says whether it goes on to hold. Where a list takes longer than the pace
        // allows between two, some reconcile always comes while one is under way.
        Call::InFlight if few => {}
        _ => transition.broken(),
    }
    let behind = behind(transition, ctx, online);
    if overdue || behind == Behind::Hopeless {
        let text = not_drained(transition, ctx, online);
        return cancel(transition, "DrainBudgetSpent", &text);
    }
    tell_pace(transition, ctx, online, behind);
    tell_stay(transition, ctx);
    next_round(transition, ctx);
    Flow::Requeue
}

fn online(transition: &Transition, ctx: &Context<'_>) -> Option<i64> {
    let node = ctx.facts.nodes.get(&transition.intent.ordinal)?;
    node.counts.seen().map(|counts| counts.online)
}

/// How the pace that is really reached compares with what is left of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// In time, or not known yet.
    No,
    /// At this pace the budget will be spent before the last session has gone.
    Slow,
    /// At this pace it takes more than twice the time that is left: whom it still moves, it moves for nothing.
    Hopeless,
}

fn behind(transition: &Transition, ctx: &Context<'_>, online: Option<i64>) -> Behind {
    let spent = ctx.now.since(transition.intent.entered);
    let (Some(online), Some(rate)) = (online, ctx.facts.calls.drain_rate) else { return Behind::No };
    if spent < ctx.limits.drain_judged {
        return Behind::No;
    }
    let left = ctx.limits.drain.saturating_sub(spent);
    let needs = Pace::span(u32::try_from(online.max(0)).unwrap_or(u32::MAX), rate);
    match needs {
        needs if needs > left.saturating_mul(2) => Behind::Hopeless,
        needs if needs > left => Behind::Slow,
        _ => Behind::No,
    }
}

/// What it is asked for, what it reaches, and how long it will take.
fn tell_pace(transition: &mut Transition, ctx: &Context<'_>, online: Option<i64>, behind: Behind) {
    let (ordinal, sessions) = (transition.intent.ordinal, transition.intent.sessions);
    let asked = Pace::of(sessions, ctx.limits).rate;
    let left = online.map_or("an unknown number".to_owned(), |online| online.max(0).to_string());
    let text = match ctx.facts.calls.drain_rate {
        None => format!(
            "{sessions} sessions of pod {ordinal} are disconnected, {asked} a second: about {} s",
            Pace::span(sessions, asked).as_secs()
        ),
        Some(rate) => {
            let rest = online.map_or(0, |online| u32::try_from(online.max(0)).unwrap_or(u32::MAX));
            format!(
                "{left} of {sessions} sessions of pod {ordinal} are left; {rate} a second are disconnected \
                 ({asked} asked for): about {} s",
                Pace::span(rest, rate).as_secs()
            )
        }
    };
    if behind == Behind::Slow {
        let text = format!(
            "{text}, and spec.drain.budget ({} s) will be spent before. It is undone then, or at once where the \
             pace falls to half of what is needed. Allow a longer budget, or see what keeps the brokers busy",
            ctx.limits.drain.as_secs()
        );
        transition.tell("DrainSlow", Severity::Warning, text);
    } else {
        transition.tell("Draining", Severity::Info, text);
    }
}

/// Who stays, for no command reaches them.
fn tell_stay(transition: &mut Transition, ctx: &Context<'_>) {
    let Some(stay) = &ctx.facts.calls.drain_stay else { return };
    let text = format!(
        "at least {} sessions of pod {} cannot be disconnected: the broker's commands cannot carry their mountpoint or client \
         id ({}). The leave ends them at once where spec.leave.maxOnlineAtKill ({}) allows it, else this is undone. \
         Let these clients go elsewhere, or give them other names (no `=`, no quotes)",
        stay.count, transition.intent.ordinal, stay.named, ctx.limits.max_online_at_kill
    );
    transition.tell("SessionsStay", Severity::Warning, text);
}

/// What it has come to: told once, and kept on the record.
fn drained(transition: &mut Transition, ctx: &Context<'_>) {
    let calls = &ctx.facts.calls;
    let Some(average) = calls.drain_average else { return };
    transition.intent.drained_per_second = Some(average);
    let text = format!(
        "{} sessions of pod {} were disconnected, {average} a second ({} asked for)",
        calls.drained,
        transition.intent.ordinal,
        Pace::of(transition.intent.sessions, ctx.limits).rate
    );
    transition.tell("Drained", Severity::Info, text);
}

fn not_drained(transition: &Transition, ctx: &Context<'_>, online: Option<i64>) -> String {
    let call = match &ctx.facts.calls.drain {
        Call::None | Call::InFlight => "has no answer yet".to_owned(),
        Call::Answered(count) => format!("found {} to disconnect", count.trim()),
        Call::Refused(why) | Call::Unknown(why) => format!("failed: {}", brief(why)),
    };
    let node = transition.intent.node.as_ref().map_or("", |name| name.0.as_str());
    let pace = match ctx.facts.calls.drain_rate {
        Some(rate) => format!(
            ", {rate} a second have gone lately ({} asked for)",
            Pace::of(transition.intent.sessions, ctx.limits).rate
        ),
        None => String::new(),
    };
    format!(
        "pod {} was not drained within {} s: {} sessions are online ({} wanted at most){pace}, and the last list of \
         them {call}. See who they are (`vmq-admin session show --client_id --mountpoint --statename=online --node={node}`), or allow more: spec.drain.budget, \
         spec.drain.percentPerSecond, spec.leave.maxOnlineAtKill",
        transition.intent.ordinal,
        ctx.now.since(transition.intent.entered).min(ctx.limits.drain).as_secs(),
        online.map_or("an unknown number of".to_owned(), |online| online.to_string()),
        ctx.limits.max_online_at_kill
    )
}

/// The list of online sessions was empty.
fn listed_none(call: &Call) -> bool {
    matches!(call, Call::Answered(text) if text.trim() == "0")
}

fn next_round(transition: &mut Transition, ctx: &Context<'_>) {
    let pace = Pace::of(transition.intent.sessions, ctx.limits);
    transition.out.again = pace.every.min(ctx.limits.requeue);
    let calls = &ctx.facts.calls;
    // What could not be sent in time is made up for, but for no more than the burst.
    let oldest = ctx.now - ctx.limits.drain_burst.max(pace.every);
    let first = ctx.now - pace.every;
    let paid = calls.drain_paid.map_or(first, |paid| paid.max(oldest));
    let ids = pace.ids(ctx.now.since(paid));
    if calls.drain != Call::InFlight
        && ids > 0
        && let Some(target) = transition.intent.node.clone()
    {
        let coordinators = below(transition.intent.ordinal.0).take(ctx.limits.drain_lanes).collect();
        let paid = paid + Pace::span(ids, pace.rate);
        transition.ask(Effect::DrainBatch {
            coordinators,
            target,
            ids,
            batch: ctx.limits.drain_batch.1,
            paid,
        });
    }
}

/// The point of no return. All members were seen running in this very reconcile.
fn ask_to_leave(transition: &mut Transition, ctx: &Context<'_>) -> Flow {
    transition.enter(Step::Leave);
    transition.wait("LeaveBegins", ctx.limits.leave_begin);
    transition.out.again = ctx.limits.requeue_soon;
    leave::ask(transition, ctx);
    Flow::Requeue
}
