//! What a reconcile says of our resource itself, beside what it has found.

use std::time::Duration;

use lifecycle::{Severity, Time};

use super::observation::Observation;
use crate::conditions::Told;
use crate::kubernetes::resource::Unreadable;
use autoscaler::decide::Decision;

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
pub(super) fn cannot_read(unreadable: &Unreadable) -> Told {
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
        message: "the resource is being deleted: a change that can be undone is undone, one that cannot is finished, and nothing new begins; until then the finalizer vernescale.dev/change-under-way holds it".into(),
        blocks: true,
    }
}

/// The size is outside what the spec allows: said, and put right one ordinal at a time.
pub(super) fn out_of_bounds(observed: &Observation, decision: &Decision) -> Option<Told> {
    let (size, spec) = (observed.target.replicas, &observed.resource.spec);
    let (name, bound) = if size < spec.min_replicas {
        ("SizeBelowMin", format!("minReplicas {}", spec.min_replicas))
    } else if size > spec.max_replicas {
        ("SizeAboveMax", format!("maxReplicas {}", spec.max_replicas))
    } else {
        return None;
    };
    let message = format!(
        "the StatefulSet has {size} replicas and the spec says {bound}: the size goes to {} one ordinal at a time, each shrink with an ordered leave, as far as spec.mode lets it",
        decision.wish
    );
    Some(Told { name, severity: Severity::Info, message, blocks: false })
}

/// All brokers may be silent for this long, as when the only one boots, before it is told.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// So many pods are named.
const NAMED_MAX: usize = 3;

/// No broker at all can be read: whatever is shown rests on nothing. Told at once by a controller that has never
/// read one, so that nobody waits for `Ready` and gets it before the first broker has answered. It is no veto: what
/// a change may do without any broker, its own steps say.
pub(super) fn no_broker_read(
    observed: &Observation,
    last: &mut Option<Time>,
    now: Time,
    patience: Duration,
) -> Option<Told> {
    if observed.answered.values().any(|one| one.node.members.seen().is_some()) {
        *last = Some(now);
        return None;
    }
    if last.is_some_and(|at| now.since(at) < SILENT_FOR) {
        return None;
    }
    let each = observed.answered.iter().map(|(ordinal, one)| {
        let why =
            one.trouble.as_ref().map_or("its cluster show was not read", |trouble| trouble.message.as_str());
        format!("pod {ordinal}: {why}")
    });
    let mut why: Vec<String> = each.take(NAMED_MAX).collect();
    if why.is_empty() {
        why.push("it has no pod".into());
    }
    // The only broker of a rollout comes back by itself.
    let severity = if observed.target.rollout { Severity::InfoFor(patience) } else { Severity::Warning };
    let message = format!(
        "no broker of StatefulSet `{}` can be read, so that nothing is decided: {}. See `kubectl get pods`, their logs, \
         and the conditions Management… for what each answers",
        observed.resource.spec.target_ref.name,
        why.join("; ")
    );
    Some(Told { name: "NoBrokerRead", severity, message, blocks: true })
}
