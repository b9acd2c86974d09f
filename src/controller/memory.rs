//! What one process remembers of one resource from one reconcile to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Facts, Intent, Ordinal, Output, Time, Unsettled};

use super::brokers::Gauges;
use super::failures::Failures;
use super::in_flight::InFlight;
use super::observation::Observation;
use super::rehearsal::Rehearsal;
use super::room::Still;
use super::shared::{Reach, Shared};
use super::sizing::Sizing;
use crate::api::VerneMQAutoscaler;
use crate::kubernetes::cached::Cached;
use crate::kubernetes::names::Names;
use crate::vernemq::http::Tls;
use autoscaler::metrics::{Fleet, Settings as FleetSettings};

/// What changes seldom is read this often.
const CACHED_FOR: Duration = Duration::from_secs(30);

/// … and this soon again where a call has failed: at once would be five times a second during a change.
const CACHED_FOR_WHERE_FAILED: Duration = Duration::from_secs(2);

/// What a process remembers of one resource. Nothing in it is needed to go on
/// after a crash; it is bounded by the pods of one StatefulSet.
pub(super) struct State {
    pub(super) names: Names,
    pub(super) fleet: Fleet,
    pub(super) sampled: Option<Time>,
    pub(super) gauges: BTreeMap<Ordinal, Gauges>,
    pub(super) calls: InFlight,
    /// Since when the members have been asked what came of the leave of this epoch.
    pub(super) followed: Option<(Option<u64>, Time)>,
    pub(super) cached: Cached,
    pub(super) tls: BTreeMap<String, Tls>,
    /// The same of their MQTT listeners.
    pub(super) routing_probe_tls: BTreeMap<String, Tls>,
    pub(super) rehearsal: Rehearsal,
    pub(super) reach: Option<Reach>,
    pub(super) cached_at: Option<(Time, Option<i64>)>,
    /// The lowest ordinal that the size holds and that has no pod, and since when.
    pub(super) missing: Option<(Ordinal, Time)>,
    unsettled: Unsettled,
    pub(super) unreadable: BTreeMap<Ordinal, (&'static str, Time)>,
    /// When some broker was read last.
    pub(super) read: Option<Time>,
    /// Listeners whose connections stand still.
    pub(super) still: Still,
    pub(super) failures: Failures,
    pub(super) sizing: Sizing,
    /// The record that stood, and a step whose record was not written as far as we know.
    pub(super) unsure: Option<(Option<Intent>, Output)>,
}

impl State {
    /// `fault` is what a predecessor in this process broke off by.
    pub(super) fn new(shared: &Shared, fault: Option<String>) -> Self {
        Self {
            reach: shared.settings.reach.clone(),
            names: Names::default(),
            fleet: Fleet::new(FleetSettings::default()),
            sampled: None,
            gauges: BTreeMap::new(),
            calls: InFlight::default(),
            followed: None,
            cached: Cached::default(),
            tls: BTreeMap::new(),
            routing_probe_tls: BTreeMap::new(),
            rehearsal: Rehearsal::default(),
            cached_at: None,
            missing: None,
            unsettled: Unsettled::default(),
            unreadable: BTreeMap::new(),
            read: None,
            still: Still::new(),
            failures: Failures::new(fault, shared.clock.now()),
            sizing: Sizing::default(),
            unsure: None,
        }
    }

    /// A changed spec may speak of other Secrets.
    pub(super) fn cached_is_old(&self, resource: &VerneMQAutoscaler, now: Time) -> bool {
        let every = if self.cached.unanswered() { CACHED_FOR_WHERE_FAILED } else { CACHED_FOR };
        self.cached_at.is_none_or(|(at, of)| now.since(at) >= every || of != resource.metadata.generation)
    }

    /// Puts it to the facts of a reconcile when queues were last seen where they do not belong.
    pub(super) fn note_unsettled(&mut self, mut facts: Facts, observed: &Observation, now: Time) -> Facts {
        let changing = observed.held.intent().is_some_and(Intent::active);
        facts.unsettled =
            if changing { self.unsettled.changing() } else { self.unsettled.observe(&facts, now) };
        facts
    }

    /// What was read of it.
    pub(super) fn take_cached(&mut self, cached: Cached, resource: &VerneMQAutoscaler, now: Time) {
        if cached.authorities != self.cached.authorities {
            self.tls.clear();
        }
        if cached.routing_probe_authorities != self.cached.routing_probe_authorities {
            self.routing_probe_tls.clear();
        }
        self.cached = cached;
        self.cached_at = Some((now, resource.metadata.generation));
    }
}
