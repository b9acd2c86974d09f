//! A ready pod that is a cluster of its own beside the others', and is served: its node has left by
//! another hand, or came by one and has not joined. It takes clients and loses their messages.

use crate::members::{below, view};
use crate::transition::Context;
use crate::{NodeName, Ordinal};

/// The first such pod. It is certain only where at least two others agree with one another without
/// it: of two nodes that see only themselves, either may be the one that has left; and one that has
/// restarted sees only itself for up to 19 s, but the others still list it
/// (docs/broker/netsplit.md, "The coordinator restarts").
pub(crate) fn isolated(ctx: &Context<'_>) -> Option<Ordinal> {
    below(ctx.facts.target.replicas).find(|ordinal| {
        let alone = serves_alone(ctx, *ordinal);
        alone.is_some_and(|name| others_agree(ctx, *ordinal, name))
    })
}

fn serves_alone<'a>(ctx: &Context<'a>, ordinal: Ordinal) -> Option<&'a NodeName> {
    let pod = ctx.facts.pods.get(&ordinal)?;
    let name = ctx.name(ordinal)?;
    let members = view(ctx, ordinal)?;
    let alone = members.len() == 1 && members.contains_key(name);
    (alone && pod.ready && !pod.deleting && pod.serving != Some(false)).then_some(name)
}

/// Every other pod's node runs in the view of every other one, and none lists this one.
fn others_agree(ctx: &Context<'_>, ordinal: Ordinal, name: &NodeName) -> bool {
    let others = below(ctx.facts.target.replicas)
        .filter(|other| *other != ordinal && ctx.facts.pods.contains_key(other));
    let names: Option<Vec<_>> = others.clone().map(|other| ctx.name(other)).collect();
    let Some(names) = names else { return false };
    let agrees = |other: Ordinal| {
        view(ctx, other).is_some_and(|members| {
            !members.contains_key(name) && names.iter().all(|name| members.get(*name) == Some(&true))
        })
    };
    names.len() >= 2 && others.clone().all(agrees)
}
