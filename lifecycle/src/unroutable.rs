//! A pod that takes no clients though nothing is under way that would let it again: the record of a change was lost
//! (`kubectl replace`, a chart applied by force), or somebody has fenced it.

use crate::listeners::suspended;
use crate::members::below;
use crate::transition::Context;
use crate::{Condition, Ordinal, Severity};

/// All but the one that a change is about.
pub(crate) fn unroutable(changing: Option<Ordinal>, ctx: &Context<'_>) -> Option<Condition> {
    let others = below(ctx.facts.target.replicas).filter(|ordinal| Some(*ordinal) != changing);
    let found: Vec<_> = others.filter_map(|ordinal| why(ctx, ordinal)).collect();
    (!found.is_empty()).then(|| Condition {
        reason: "PodUnroutable",
        severity: Severity::Warning,
        message: format!(
            "{}, and no change of it is under way: the record of one was lost, or somebody wants it so. Where other pods' \
             `vmq-admin cluster show` lists the node as running, `vmq-admin listener restart address=A port=P` opens \
             a listener, and `kubectl label pod NAME vernescale.dev/serving=true --overwrite` lets clients come",
            found.join("; ")
        ),
    })
}

fn why(ctx: &Context<'_>, ordinal: Ordinal) -> Option<String> {
    let pod = ctx.facts.pods.get(&ordinal).filter(|pod| pod.running && !pod.deleting)?;
    match (pod.serving == Some(false), suspended(ctx, ordinal)) {
        (false, false) => None,
        (true, false) => Some(format!("pod {ordinal} is fenced (label vernescale.dev/serving)")),
        (false, true) => Some(format!("all listeners of pod {ordinal} are suspended")),
        (true, true) => Some(format!("pod {ordinal} is fenced, and its listeners are suspended")),
    }
}
