//! Everything that one reconcile saw.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use lifecycle::{Calls, Claim, NodeName, Ordinal, Pod, Target, Time};

use super::brokers::{Answered, Ask};
use super::room::Listeners;
use crate::api::VerneMQAutoscaler;
use crate::kubernetes::intent_record::Held;
use crate::vernemq::http::{Endpoint, Tls};

/// Everything that one reconcile saw.
pub(super) struct Observation {
    pub(super) resource: VerneMQAutoscaler,
    pub(super) statefulset: StatefulSet,
    pub(super) target: Target,
    pub(super) pods: BTreeMap<Ordinal, Pod>,
    /// The lowest ordinal that the size holds and that has no pod, and since when.
    pub(super) missing: Option<(Ordinal, Time)>,
    pub(super) claims: BTreeMap<Ordinal, Vec<Claim>>,
    pub(super) held: Held,
    /// Outcomes as they stood before the nodes were asked.
    pub(super) calls: Calls,
    pub(super) answered: BTreeMap<Ordinal, Answered>,
    /// `/api/v1` of each pod.
    pub(super) management: BTreeMap<Ordinal, Endpoint>,
    /// How each pod's broker is asked.
    pub(super) asks: BTreeMap<Ordinal, Ask>,
    /// How each pod's TLS listeners for clients are proven; empty where nothing is set to prove them by.
    pub(super) routing_probe_tls: BTreeMap<Ordinal, Result<Tls, String>>,
}

impl Observation {
    /// Room on the listeners of its nodes.
    pub(super) fn listeners(&self) -> Listeners<'_> {
        Listeners::new(&self.statefulset, &self.resource.spec.leave.container, &self.answered)
    }

    /// By how many seconds the clock of each pod's machine is ahead of ours, where that was seen.
    pub(super) fn clocks(&self) -> impl Iterator<Item = (Ordinal, i64)> {
        self.answered.iter().filter_map(|(ordinal, one)| Some((*ordinal, one.ahead?)))
    }

    /// Every name that a member lists, running or not.
    pub(super) fn members(&self) -> BTreeSet<NodeName> {
        let views = self.answered.values().filter_map(|answered| answered.node.members.seen());
        views.flat_map(|view| view.keys().cloned()).collect()
    }
}
