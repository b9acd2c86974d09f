//! What a look says of our resource itself, beside what it has found.

use std::time::Duration;

use lifecycle::Severity;

use super::gather::World;
use crate::conditions::Told;
use crate::decide::Decision;
use crate::observe::kubernetes;

/// The work on this resource broke off by `fault`; nothing new begins for so long.
pub(super) fn panicked(fault: &str, left: Duration) -> Told {
    Told {
        name: "WorkerPanicked",
        severity: Severity::Critical,
        message: format!(
            "the controller's work on this resource broke off by a fault of its own ({fault}) and has begun anew. For \
             another {} min nothing new is begun, and what can be undone is. See the controller's log, and report it",
            left.as_secs().div_ceil(60)
        ),
        blocks: true,
    }
}

/// Nothing is decided by a resource that is known in part: what else it says may be what forbids it.
pub(super) fn cannot_read(unreadable: &kubernetes::Unreadable) -> Told {
    let message = format!(
        "{}. The size is not changed, nor is anything else, while the resource cannot be read: correct this field, or, where a later version of vernescale has set it, run that version",
        unreadable.why
    );
    Told { name: "SpecInvalid", severity: Severity::Warning, message, blocks: true }
}

/// It goes, and what is under way with it.
pub(super) fn deleting() -> Told {
    Told {
        name: "ResourceDeleting",
        severity: Severity::Info,
        message: "the resource is being deleted: a change that can be undone is undone, one that cannot is finished, and nothing new begins".into(),
        blocks: true,
    }
}

/// The size is outside what the spec allows: said, and put right one ordinal at a time.
pub(super) fn out_of_bounds(world: &World, decision: &Decision) -> Option<Told> {
    let (size, spec) = (world.target.replicas, &world.resource.spec);
    let (name, bound) = if size < spec.min_replicas {
        ("SizeBelowMin", format!("minReplicas {}", spec.min_replicas))
    } else if size > spec.max_replicas {
        ("SizeAboveMax", format!("maxReplicas {}", spec.max_replicas))
    } else {
        return None;
    };
    let message = format!(
        "the StatefulSet has {size} replicas and the spec says {bound}: the size goes to {} one ordinal at a time, each shrink with an ordered leave",
        decision.wish
    );
    Some(Told { name, severity: Severity::Info, message, blocks: false })
}
