//! Members that are down, falls that were not ours, clusters that have split: reported, never acted on.

use std::collections::{BTreeMap, BTreeSet};

use crate::holdings::holdings;
use crate::members::{below, view};
use crate::transition::Context;
use crate::{Condition, Intent, Kind, NodeName, Ordinal, Pod, Severity};

/// What people must see, whatever else goes on.
pub(crate) fn conditions(active: Option<&Intent>, ctx: &Context<'_>) -> Vec<Condition> {
    let mut all = Vec::new();
    all.extend(foreign_fall(active, ctx));
    all.extend(down(ctx).into_iter().filter(|name| ours(active) != Some(*name)).map(|n| judge(ctx, n)));
    all.extend(split(active, ctx));
    all
}

/// The one that is to leave, whose steps tell of it. A newcomer that has died as a member is one like any other.
fn ours(active: Option<&Intent>) -> Option<&NodeName> {
    active.filter(|intent| intent.kind == Kind::Shrink)?.node.as_ref()
}

/// A pod ends that no leave of ours was about (a fall is not a leave: docker-vernemq #302).
fn foreign_fall(active: Option<&Intent>, ctx: &Context<'_>) -> Option<Condition> {
    let size = ctx.facts.target.replicas;
    let ordinal =
        ctx.facts.pods.keys().find(|o| {
            o.0 >= size && active.is_none_or(|intent| intent.ordinal != **o || !intent.may_lower())
        })?;
    Some(Condition {
        reason: "ForeignFall",
        severity: Severity::Critical,
        message: format!(
            "replicas is {size} while pod {ordinal} still exists, and no leave of it was verified: another \
             hand lowered the size. Its node dies as a member; find out who else scales this StatefulSet"
        ),
    })
}

/// Members that no view has running, where at least one view was seen.
fn down<'a>(ctx: &Context<'a>) -> BTreeSet<&'a NodeName> {
    let views: Vec<_> = ctx.facts.nodes.keys().filter_map(|ordinal| view(ctx, *ordinal)).collect();
    let listed = views.iter().flat_map(|members| members.keys());
    listed.filter(|name| views.iter().all(|members| members.get(*name) != Some(&true))).collect()
}

fn judge(ctx: &Context<'_>, name: &NodeName) -> Condition {
    let home = ctx.facts.nodes.iter().find(|(_, node)| node.name.as_ref() == Some(name)).map(|(o, _)| *o);
    let size = ctx.facts.target.replicas;
    let may_return = match home.filter(|ordinal| ctx.facts.pods.contains_key(ordinal)) {
        Some(ordinal) => ordinal.0 < size && !long_unready(ctx, ordinal),
        // Its pod is not there: it may be one that is being made again, or one not heard yet.
        None => below(size).any(|ordinal| {
            !ctx.facts.pods.contains_key(&ordinal)
                || ctx.name(ordinal).is_none() && !long_unready(ctx, ordinal)
        }),
    };
    if may_return {
        return Condition {
            reason: "MemberDown",
            severity: Severity::Warning,
            message: format!(
                "{name} is not running; its pod may bring it back: see its Events and log. No change of size meanwhile"
            ),
        };
    }
    Condition {
        reason: "MemberDead",
        severity: Severity::Critical,
        message: format!(
            "{name} is a member that does not run, and no pod brings it back. While it is listed, brokers \
             with the default netsplit settings refuse every new client. Bring its pod back with its data, \
             or, once it is sure not to come back, remove it with `vmq-admin cluster leave node={name}` on another \
             member: again until it says Done, and do not restart the pod that you asked before it has. The price is \
             every message that is queued on it. How many is not known: no broker tells what is queued on another. \
             The nearest to it are its counters in Prometheus from before it went: queue_message_in - \
             queue_message_out - queue_message_drop - queue_message_expired"
        ),
    }
}

fn long_unready(ctx: &Context<'_>, ordinal: Ordinal) -> bool {
    let Some(pod) = ctx.facts.pods.get(&ordinal) else { return false };
    let since = pod.ready_changed.unwrap_or(ctx.now);
    !pod.ready && ctx.now.since(since) >= ctx.limits.dead
}

fn long_ready(ctx: &Context<'_>, pod: &Pod) -> bool {
    pod.ready_changed.is_some_and(|since| ctx.now.since(since) >= ctx.limits.agree)
}

/// Ready pods whose nodes do not all see one another: they are several clusters, and all of them serve. In every rollout
/// a pod is ready before its node has joined again, and one that has restarted sees only itself for up to 19 s
/// (docs/broker/netsplit.md, "The coordinator restarts"): all that count must have been ready for longer than
/// that takes.
fn split(active: Option<&Intent>, ctx: &Context<'_>) -> Option<Condition> {
    let apart = |o: &Ordinal| active.is_none_or(|intent| intent.ordinal != *o);
    let well = |o: &Ordinal| {
        ctx.facts.pods.get(o).is_some_and(|pod| pod.ready && !pod.deleting && long_ready(ctx, pod))
    };
    let settled: Vec<Ordinal> = below(ctx.facts.target.replicas).filter(|o| apart(o) && well(o)).collect();
    let names: BTreeSet<&NodeName> = settled.iter().filter_map(|o| ctx.name(*o)).collect();
    // By what each sees of the others.
    let mut clusters: BTreeMap<BTreeSet<&NodeName>, Vec<Ordinal>> = BTreeMap::new();
    for ordinal in settled {
        let Some(members) = view(ctx, ordinal) else { continue };
        let sees = names.iter().copied().filter(|name| members.contains_key(*name)).collect();
        clusters.entry(sees).or_default().push(ordinal);
    }
    if clusters.keys().all(|sees| *sees == names) {
        return None;
    }
    let message = format!(
        "pods that have been ready for more than {} s do not all see one another: {}. They may be clusters of their \
         own, each of which takes clients and loses their messages. Compare `vmq-admin cluster show` on each. If they \
         are, choose which one stays, take the label vernescale.dev/serving from the pods of the others, and delete \
         their claims and pods; what one holds is lost with its claim",
        ctx.limits.agree.as_secs(),
        told(ctx, clusters.into_values().collect())
    );
    Some(Condition { reason: "MembersDisagree", severity: Severity::Critical, message })
}

/// The clusters, the largest first, with what each node holds but those of the one that is larger than all others.
fn told(ctx: &Context<'_>, mut clusters: Vec<Vec<Ordinal>>) -> String {
    clusters.sort_by_key(|pods| std::cmp::Reverse(pods.len()));
    let largest = match &clusters[..] {
        [first, second, ..] if first.len() == second.len() => 0,
        _ => 1,
    };
    let one = |(n, pods): (usize, &Vec<Ordinal>)| {
        let pods = pods.iter().map(|ordinal| {
            let holds = if n < largest { String::new() } else { format!(" ({})", holdings(ctx, *ordinal)) };
            format!("pod {ordinal}{holds}")
        });
        pods.collect::<Vec<_>>().join(", ")
    };
    clusters.iter().enumerate().map(one).collect::<Vec<_>>().join("; ")
}
