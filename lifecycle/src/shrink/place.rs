//! Who is in the place of the node that has left, while the size still holds it. The StatefulSet makes a pod that is
//! deleted again within a tenth of a second: what was made may join, even while it ends (`pods_delete_in_leave.txt`).

use crate::Intent;
use crate::transition::Context;
use crate::verify::{all_have, listed_by};

/// What may be done about the size.
pub(super) enum Place {
    /// The leaver's own pod, or one on its data, which cannot join
    /// (docs/broker/join.md, "A node that has left"): the size is lowered, guarded by what is there.
    Left(Option<String>),
    /// A pod on the data of the one that has left, and somebody lists its node still: they are about to drop it.
    Unclear,
    /// Nobody, and whoever comes has a disk without a past and joins.
    Empty,
    /// Another pod, which joins or has joined: a newcomer.
    Newcomer,
}

pub(super) fn place(intent: &Intent, ctx: &Context<'_>) -> Place {
    let pod = ctx.facts.pods.get(&intent.ordinal);
    if pod.is_none() && on_its_data(intent, ctx) {
        return Place::Left(None);
    }
    let Some(pod) = pod else { return Place::Empty };
    if ctx.same_pod(intent).is_some() {
        return Place::Left(Some(pod.uid.clone()));
    }
    if !on_its_data(intent, ctx) || all_have(intent, ctx) {
        return Place::Newcomer;
    }
    if listed_by(intent, ctx).is_empty() { Place::Left(Some(pod.uid.clone())) } else { Place::Unclear }
}

/// A pod that is made now, or was made since, begins with the data of the node that has left: of several claims any
/// may be the one that counts.
pub(crate) fn on_its_data(intent: &Intent, ctx: &Context<'_>) -> bool {
    let claims = ctx.facts.claims.get(&intent.ordinal).map_or(&[][..], Vec::as_slice);
    let lasts = |claim: &crate::Claim| !claim.deleting && intent.claims.contains(&claim.uid);
    !claims.is_empty() && claims.iter().all(lasts)
}
