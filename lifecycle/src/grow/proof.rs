//! Has a newcomer what the others have? `cluster show` proves nothing about routing: members agreed seconds before
//! and seconds after a newcomer was in step. `num_subscriptions` counts rows of each node's own trie and differs for
//! ever where two nodes share a filter. What was equal on all nodes that were in step, in both versions and under
//! churn: the retained messages, and the replicated objects that are not deleted (`join_sync_2.1.2.txt`,
//! `join_sync_2.2.0.txt`, `num_subscriptions_not_comparable.txt`).

use std::fmt;
use std::time::Duration;

use crate::members::below;
use crate::transition::Context;
use crate::{Node, Observed, Ordinal, Time};

/// Live objects by which a newcomer may differ from another member: with three connects a second they were apart by
/// 3 at most, before, during and long after a join (`join_sync_2.1.2.txt`, `join_sync_2.2.0.txt`).
const APART: i64 = 3;

/// … or a hundredth of them: a cluster of any size has more clients on the way.
const APART_OF: i64 = 100;

/// … and a third of them at most: where there are few, a newcomer that has only what is its own, such as the one object
/// of its API keys (`claims_2.1.2.txt`), has not nearly all of them.
const APART_OF_FEW: i64 = 3;

/// Two readings that are so far apart must both be good: one may meet the counts on their way past each other.
pub(crate) const AGAIN: Duration = Duration::from_secs(1);

/// The first thing that a newcomer lacks, with the numbers. [`fmt::Display`] says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A count differs from another member's by more than `apart`.
    Count { what: &'static str, newcomer: Ordinal, has: i64, member: Ordinal, its: i64, apart: i64 },
    /// Groups of the replicated metadata that have not been exchanged yet (`InitSynced`).
    Groups { newcomer: Ordinal, synced: u32, all: u32 },
    /// `/metrics` of this pod has no `swc_object_count`: another metadata plugin than `vmq_swc`.
    NotCounted { pod: Ordinal },
    /// Something of this pod was not seen in this reconcile.
    Unknown { pod: Ordinal, what: &'static str, why: String },
    /// The pod is not ready.
    NotReady { newcomer: Ordinal },
    /// Nothing is lacking; it is too soon to say so.
    Time,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { what, newcomer, has, member, its, apart } => write!(
                f,
                "pod {newcomer} has {has} {what}, pod {member} has {its}: {} apart, {apart} at most are in step",
                (has - its).abs()
            ),
            Self::Groups { newcomer, synced, all } => write!(
                f,
                "pod {newcomer} has {synced} of {all} groups of the replicated metadata (InitSynced of \
                 `vmq-admin node swc_sync_status`)"
            ),
            Self::NotCounted { pod } => write!(f, "/metrics of pod {pod} has no swc_object_count"),
            Self::Unknown { pod, what, why } => write!(f, "{what} of pod {pod}: {why}"),
            Self::NotReady { newcomer } => write!(f, "pod {newcomer} is not ready"),
            Self::Time => f.write_str("nothing is lacking, for too short a time yet"),
        }
    }
}

/// Compares the newcomer with each other pod that is wanted.
pub(super) fn lack(ctx: &Context<'_>, newcomer: Ordinal) -> Option<Lack> {
    let all = ctx.facts.target.replicas;
    let mut others = below(all).filter(|ordinal| *ordinal != newcomer).peekable();
    // Who is alone has nobody to be in step with.
    others.peek()?;
    let own = match node(ctx, newcomer) {
        Ok(own) => own,
        Err(lack) => return Some(lack),
    };
    others.find_map(|member| behind(ctx, (newcomer, own), member).err()).or_else(|| groups(newcomer, own))
}

/// When the oldest of the readings was taken that [`lack`] compares.
pub(super) fn read_at(ctx: &Context<'_>) -> Time {
    let readings = below(ctx.facts.target.replicas)
        .filter_map(|ordinal| Some(ctx.facts.nodes.get(&ordinal)?.objects.seen()?.at));
    readings.min().unwrap_or(ctx.now)
}

fn node<'a>(ctx: &Context<'a>, pod: Ordinal) -> Result<&'a Node, Lack> {
    let unasked = || Lack::Unknown { pod, what: "the node", why: "it was not asked".into() };
    ctx.facts.nodes.get(&pod).ok_or_else(unasked)
}

fn behind(ctx: &Context<'_>, (newcomer, own): (Ordinal, &Node), member: Ordinal) -> Result<(), Lack> {
    let other = node(ctx, member)?;
    let (has, its) = (retained(newcomer, own)?, retained(member, other)?);
    if has != its {
        return Err(Lack::Count { what: "retained messages", newcomer, has, member, its, apart: 0 });
    }
    let (has, its) = (live(newcomer, own)?, live(member, other)?);
    apart((newcomer, has), (member, its), on_the_way(its).min(has.max(its) / APART_OF_FEW))
}

/// So many of these are no sign of anything: clients that come or go between two readings.
pub(crate) fn on_the_way(objects: i64) -> i64 {
    APART.max(objects / APART_OF)
}

/// Live objects of two members are not further apart.
pub(crate) fn apart(
    (newcomer, has): (Ordinal, i64),
    (member, its): (Ordinal, i64),
    apart: i64,
) -> Result<(), Lack> {
    if (has - its).abs() > apart {
        return Err(Lack::Count { what: "live objects", newcomer, has, member, its, apart });
    }
    Ok(())
}

fn retained(pod: Ordinal, node: &Node) -> Result<i64, Lack> {
    match &node.counts {
        Observed::Seen(counts) => Ok(counts.retained),
        Observed::Unknown(why) => Err(Lack::Unknown { pod, what: "the counts", why: why.clone() }),
    }
}

/// Live objects of a node.
pub(crate) fn live(pod: Ordinal, node: &Node) -> Result<i64, Lack> {
    match &node.objects {
        Observed::Seen(objects) => objects.live.ok_or(Lack::NotCounted { pod }),
        Observed::Unknown(why) => Err(Lack::Unknown { pod, what: "the live objects", why: why.clone() }),
    }
}

/// On 2.1.x the last group came with complete delivery; 2.2.0 says true from the start, alone as well: worthless there
/// as a proof, and harmless.
fn groups(newcomer: Ordinal, own: &Node) -> Option<Lack> {
    match &own.groups {
        Some(Observed::Seen(groups)) if groups.synced < groups.all => {
            Some(Lack::Groups { newcomer, synced: groups.synced, all: groups.all })
        }
        Some(Observed::Seen(_)) => None,
        _ if !own.version.seen().is_some_and(|version| version.starts_with("2.1.")) => None,
        Some(Observed::Unknown(why)) => {
            Some(Lack::Unknown { pod: newcomer, what: "swc_sync_status", why: why.clone() })
        }
        None => {
            Some(Lack::Unknown { pod: newcomer, what: "swc_sync_status", why: "it was not asked".into() })
        }
    }
}
