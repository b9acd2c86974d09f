//! What the members say of one another.

use std::collections::{BTreeMap, BTreeSet};

use crate::transition::Context;
use crate::{NodeName, Observed, Ordinal};

/// What helps where something is not known.
pub(crate) const SEE_WHY_UNKNOWN: &str =
    "See that pod's log, and whether its HTTP listener answers on spec.management.port and metricsPort";

/// Whether something may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All was seen, and all is well.
    Clear,
    /// Something was not seen: look again. Never taken for a yes nor for a no.
    Unknown(String),
    /// Something was seen that forbids it: a CamelCase name and a sentence.
    No(&'static str, String),
}

impl Verdict {
    /// What holds, in words; none where nothing does.
    pub(crate) fn why(&self) -> Option<String> {
        match self {
            Self::Clear => None,
            Self::No(reason, text) => Some(format!("{reason}: {text}")),
            Self::Unknown(what) => Some(format!("not known yet: {what}. {SEE_WHY_UNKNOWN}")),
        }
    }

    /// The first that forbids, else the first that is not known.
    pub(crate) fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        let mut worst = Self::Clear;
        for verdict in all {
            match verdict {
                Self::No(..) => return verdict,
                Self::Unknown(_) if worst == Self::Clear => worst = verdict,
                Self::Unknown(_) | Self::Clear => {}
            }
        }
        worst
    }
}

/// A node's `cluster show`, if it was seen.
pub(crate) fn view<'a>(ctx: &Context<'a>, ordinal: Ordinal) -> Option<&'a BTreeMap<NodeName, bool>> {
    ctx.facts.nodes.get(&ordinal)?.members.seen()
}

/// Ordinals from 0 up to, not including, `end`.
pub(crate) fn below(end: u32) -> impl Iterator<Item = Ordinal> + Clone {
    (0..end).map(Ordinal)
}

/// How a view must compare with the pods' nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Exactly the pods' nodes, all running: for a shrink.
    Exact,
    /// All of them running; a member that is not running and has no pod is let be: for a growth,
    /// which must not wait for the dead.
    GhostsAllowed,
}

/// Every pod's node runs in the view of every pod's node, for the pods 0 up to `end`.
pub(crate) fn agree(ctx: &Context<'_>, end: u32, how: Match) -> Verdict {
    let names: BTreeSet<&NodeName> = below(end).filter_map(|ordinal| ctx.name(ordinal)).collect();
    Verdict::worst(below(end).map(|ordinal| one_view(ctx, ordinal, &names, end, how)))
}

fn one_view(
    ctx: &Context<'_>,
    ordinal: Ordinal,
    names: &BTreeSet<&NodeName>,
    end: u32,
    how: Match,
) -> Verdict {
    let Some(node) = ctx.facts.nodes.get(&ordinal) else {
        return Verdict::Unknown(format!("the node of pod {ordinal} was not asked"));
    };
    let members = match &node.members {
        Observed::Seen(members) => members,
        Observed::Unknown(why) => return Verdict::Unknown(format!("cluster show of pod {ordinal}: {why}")),
    };
    for (name, running) in members {
        let ours = names.contains(name);
        if !running && (ours || how == Match::Exact) {
            let text = format!(
                "{name} is not running in the view of pod {ordinal}: see its pod's Events and log; where no pod \
                 brings it back, MemberDead says what to do"
            );
            return Verdict::No("MemberDown", text);
        }
        // Names of pods not heard yet may be among the strangers: only unknown while some are missing.
        if *running && !ours && names.len() == end as usize {
            let text = format!(
                "{name} is a member in the view of pod {ordinal}, but no pod's node: find out where it runs. If nobody \
                 wants it there, keep clients from it and disconnect those it has (a leave loses messages of live \
                 sessions), then `vmq-admin cluster leave node={name} -k`, and stop what runs it: it would come back \
                 as a cluster of its own"
            );
            return Verdict::No("MembersDisagree", text);
        }
    }
    if let Some(missing) = names.iter().find(|name| !members.contains_key(**name)) {
        let text = format!(
            "{missing} is missing in the view of pod {ordinal}: compare `vmq-admin cluster show` on each pod. If \
             it stays so for a minute, one that no other lists while they list one another is a cluster of its own: \
             delete its claim and its pod, and it starts afresh (the price is every message that is queued on it)"
        );
        return Verdict::No("MembersDisagree", text);
    }
    if names.len() < end as usize {
        return Verdict::Unknown("not every node has said its name".into());
    }
    Verdict::Clear
}
