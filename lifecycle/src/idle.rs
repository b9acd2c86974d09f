//! No change is going on: compare the wish with the size, and begin at most one.
//!
//! Both numbers are declared ones. The observed number of pods or members never
//! becomes a wish: a size derived from what is seen follows every outage down.

use std::cmp::Ordering;

use crate::gate;
use crate::isolated::isolated;
use crate::members::Verdict;
use crate::transition::Context;
use crate::{Condition, Effect, Intent, Kind, Listener, Ordinal, Output, Severity, Step, Time, verify};

/// What comes of a reconcile without an active intent.
pub(crate) enum Start {
    /// A change begins.
    Begin(Intent),
    /// The size stays.
    Stay(Output),
}

/// What is done without an active intent. `previous` is the finished one, if any.
pub(crate) fn start(previous: Option<&Intent>, ctx: &Context<'_>) -> Start {
    let size = ctx.facts.target.replicas;
    let wish = ctx.facts.wish;
    if ctx.facts.grow_vetoes.is_empty()
        && !ctx.facts.target.deleting
        && let Some(ordinal) = isolated(ctx)
    {
        return Start::Begin(rejoin(previous, ordinal, ctx.now));
    }
    match wish.cmp(&size) {
        Ordering::Greater => match gate::grow(ctx) {
            Verdict::Clear => Start::Begin(growth(previous, size, ctx.now)),
            verdict => Start::Stay(held("GrowWaits", &verdict, previous, ctx)),
        },
        Ordering::Less => match gate::shrink(ctx) {
            Verdict::Clear => Start::Begin(departure(previous, ctx)),
            verdict => Start::Stay(held("ShrinkWaits", &verdict, previous, ctx)),
        },
        Ordering::Equal => {
            Start::Stay(Output { intent: previous.cloned(), again: ctx.limits.requeue, ..Output::default() })
        }
    }
}

/// An intent as it begins: nothing about it is known yet.
pub(crate) fn blank(previous: Option<&Intent>, kind: Kind, ordinal: Ordinal, now: Time) -> Intent {
    Intent {
        epoch: previous.map_or(0, |intent| intent.epoch) + 1,
        kind,
        ordinal,
        pod_uid: None,
        node: None,
        listeners: Vec::new(),
        step: Step::Raise,
        started: now,
        entered: now,
        restarts: 0,
        claims: Vec::new(),
        sessions: 0,
        drained_per_second: None,
        since: None,
        answered: None,
        in_step: None,
        progress: None,
        unseen: None,
        asked: false,
        armed: false,
        coordinator: None,
        verified: false,
        unroutable: false,
        stranger: false,
        reason: None,
        outcome: None,
    }
}

fn growth(previous: Option<&Intent>, size: u32, now: Time) -> Intent {
    blank(previous, Kind::Grow, Ordinal(size), now)
}

/// A pod that is served and is no member is a newcomer like any other: fenced until it is in step.
fn rejoin(previous: Option<&Intent>, ordinal: Ordinal, now: Time) -> Intent {
    Intent { step: Step::FenceNewcomer, ..blank(previous, Kind::Grow, ordinal, now) }
}

/// The gate has seen all that is recorded here.
pub(crate) fn departure(previous: Option<&Intent>, ctx: &Context<'_>) -> Intent {
    let ordinal = Ordinal(ctx.facts.target.replicas - 1);
    let pod = ctx.facts.pods.get(&ordinal);
    let node = ctx.facts.nodes.get(&ordinal);
    let listeners: Vec<Listener> = node.and_then(|node| node.listeners.seen()).cloned().unwrap_or_default();
    let claims = ctx.facts.claims.get(&ordinal).into_iter().flatten();
    Intent {
        step: Step::Fence,
        pod_uid: pod.map(|pod| pod.uid.clone()),
        restarts: pod.map_or(0, |pod| pod.restarts),
        node: node.and_then(|node| node.name.clone()),
        listeners,
        coordinator: verify::process(ctx, verify::COORDINATOR),
        claims: claims.map(|claim| claim.uid.clone()).collect(),
        ..blank(previous, Kind::Shrink, ordinal, ctx.now)
    }
}

/// Says what holds the size: by its own name, and where something is wrong also by that of the change that
/// waits, which stands as long as the change is held, whatever the name of its reason in one reconcile or the
/// other. A leftover of a leave that we verified is cleared away.
fn held(waits: &'static str, verdict: &Verdict, previous: Option<&Intent>, ctx: &Context<'_>) -> Output {
    let mut out = Output { intent: previous.cloned(), again: ctx.limits.requeue, ..Output::default() };
    let Some(why) = verdict.why() else { return out };
    if let Verdict::No(reason, message) = verdict {
        let severity = match *reason {
            "ClaimInTheWay" | "DrainTooLong" | "MembersDisagree" | "NoListener" => Severity::Warning,
            // Whoever wishes it, and does not see the load, is to be looked at if it stays so.
            "WishOutdated" => Severity::InfoFor(ctx.limits.held),
            _ => Severity::Info,
        };
        out.conditions.push(Condition { reason, severity, message: message.clone() });
        if *reason == "ClaimInTheWay" {
            out.effects = leftovers(previous, ctx);
        }
    }
    if !meant_to_last(verdict, ctx) {
        out.conditions.push(stays(waits, &why, ctx));
    }
    out
}

/// A change that is wanted and does not begin.
pub(crate) fn stays(waits: &'static str, why: &str, ctx: &Context<'_>) -> Condition {
    let (size, wish) = (ctx.facts.target.replicas, ctx.facts.wish);
    let message = format!("{wish} nodes are wanted and {size} stay: {why}");
    Condition { reason: waits, severity: Severity::InfoFor(ctx.limits.held), message }
}

/// What people or the decision have said holds the size for as long as they say so (mode, budgets, the
/// settle time), and what is wrong with a spec or an object has its own warning. That something is not known
/// is never meant.
fn meant_to_last(verdict: &Verdict, ctx: &Context<'_>) -> bool {
    let facts = ctx.facts;
    let grows = facts.wish > facts.target.replicas;
    let vetoes = if grows { &facts.grow_vetoes } else { &facts.shrink_vetoes };
    matches!(verdict, Verdict::No("LastNode", _))
        || vetoes.iter().any(|veto| !veto.unknown)
        || grows && facts.raise_vetoes.iter().any(|veto| !veto.unknown)
}

/// Claims that our own record says belong to a node that has left.
fn leftovers(previous: Option<&Intent>, ctx: &Context<'_>) -> Vec<Effect> {
    let newcomer = Ordinal(ctx.facts.target.replicas);
    let Some(record) = previous.filter(|intent| intent.verified && intent.ordinal == newcomer) else {
        return Vec::new();
    };
    let claims = ctx.facts.claims.get(&newcomer).into_iter().flatten();
    claims
        .filter(|claim| !claim.deleting && record.claims.contains(&claim.uid))
        .map(|claim| Effect::DeleteClaim { name: claim.name.clone(), uid: claim.uid.clone() })
        .collect()
}
