//! What people see: status, conditions, Events, log, metrics.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use kube::api::Api;
use lifecycle::{Intent, Kind, Output, Severity, Time};
use tokio::sync::mpsc;

use super::metrics::Named;
use super::observation::Observation;
use super::shared::Shared;
use super::takeover;
use super::task::Task;
use crate::api::{NodeSeen, VerneMQAutoscaler, VerneMQAutoscalerStatus};
use crate::conditions::{READY, Rest, Told, merge};
use crate::kubernetes::event::{Happened, publish};
use crate::kubernetes::status;
use crate::kubernetes::{
    facts::selector,
    resource::{Unreadable, kind, resources},
};
use crate::vernemq::routing_probe::CLIENT_IDS;
use autoscaler::decide::{Decision, History};
use autoscaler::metrics::FleetView;

/// A status in which only numbers have moved is written this seldom.
const NUMBERS_EVERY: Duration = Duration::from_secs(10);

/// The same decision is logged again after this time.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// Events that wait to be written; more are dropped, for they tell what the status tells too.
const EVENTS_MAX: usize = 64;

/// Most nodes in the status, as the CRD has it.
const NODES_MAX: usize = 128;

/// What a whole reconcile has come to.
pub(super) struct Whole<'a> {
    pub(super) decision: Option<&'a Decision>,
    pub(super) out: &'a Output,
    pub(super) history: History,
    pub(super) fleet: &'a FleetView,
    pub(super) protection: u8,
}

/// Reports on one resource.
pub(super) struct Reporter {
    shared: Arc<Shared>,
    name: String,
    resource: Option<VerneMQAutoscaler>,
    written_at: Option<Time>,
    logged: Option<(String, Time)>,
    events: mpsc::Sender<(ObjectReference, Happened)>,
    _writer: Task,
}

impl Reporter {
    pub(super) fn new(shared: Arc<Shared>, name: String) -> Self {
        let (events, waiting) = mpsc::channel(EVENTS_MAX);
        let writer = Task::spawn(write_events(Arc::clone(&shared), waiting));
        Self { shared, name, resource: None, written_at: None, logged: None, events, _writer: writer }
    }

    /// The resource as this reconcile has read it.
    pub(super) fn begin(&mut self, resource: &VerneMQAutoscaler) {
        self.resource = Some(resource.clone());
    }

    /// A reconcile that failed: what was known stays in the status, with the reason.
    pub(super) async fn failed(&mut self, told: Told) {
        self.not_whole(&[told], Rest::Kept).await;
    }

    /// A reconcile that could not go on.
    pub(super) async fn blocked(&mut self, told: Vec<Told>) {
        self.not_whole(&told, Rest::Unseen).await;
    }

    async fn not_whole(&mut self, told: &[Told], rest: Rest) {
        self.shared.metrics.unknown(&self.name);
        let Some(resource) = self.resource.clone() else { return };
        let mut status = resource.status.clone().unwrap_or_default();
        self.tell(&resource, &mut status, told, rest);
        self.write(&resource, status).await;
    }

    /// Our resource as it stands cannot be read: said on it, and in the log.
    pub(super) async fn unreadable(&mut self, unreadable: &Unreadable, told: &Told) {
        let Unreadable { object, .. } = unreadable;
        let now = self.shared.clock.now();
        if self.logs_now(told.message.clone(), now) {
            tracing::warn!(resource = self.name, why = told.message, "the resource cannot be read");
        }
        self.shared.metrics.unknown(&self.name);
        let before = status::conditions(object);
        let told = std::slice::from_ref(told);
        let (conditions, begun) = merge(&before, told, Rest::Kept, object.metadata.generation, now);
        self.show(&conditions);
        if conditions == before {
            return;
        }
        let resources = resources(&self.shared.client, &self.shared.settings.namespace);
        if let Err(failure) = status::write_conditions(&resources, object, &conditions).await {
            self.shared.metrics.error(failure.kind());
            tracing::debug!(%failure, resource = self.name, "the status is written with the next reconcile");
            return;
        }
        for happened in begun {
            let _ = self.events.try_send((object.object_ref(&kind()), happened));
        }
    }

    /// A whole reconcile.
    pub(super) async fn whole(&mut self, observed: &Observation, whole: Whole<'_>, told: Vec<Told>) {
        let Whole { decision, out, history, fleet, protection } = whole;
        let resource = &observed.resource;
        let old = resource.status.clone().unwrap_or_default();
        let wanted = decision.map_or(observed.target.replicas, |decision| decision.wish);
        let active = out.intent.as_ref().filter(|intent| intent.active());
        let mut status = VerneMQAutoscalerStatus {
            observed_generation: resource.metadata.generation,
            replicas: Some(observed.target.replicas),
            selector: Some(selector(&observed.statefulset)),
            wanted: Some(wanted),
            target: decision.and_then(|decision| decision.explain.target()),
            step: active.map(|intent| format!("{:?} {}", intent.step, intent.ordinal)),
            intent: out.intent.clone(),
            protection_level: Some(protection),
            members: u32::try_from(observed.members().len()).ok(),
            nodes: nodes(observed, fleet),
            routing_probe_clients: CLIENT_IDS.map(str::to_owned).to_vec(),
            explain: decision.map(|decision| decision.explain.to_string()),
            history: Some(history),
            conditions: old.conditions.clone(),
        };
        self.tell(resource, &mut status, &told, Rest::Ended);
        self.log(observed, decision, out, wanted);
        let metrics = &self.shared.metrics;
        metrics.sizes(&self.name, wanted, observed.target.replicas, observed.members().len());
        let step = active.map(|intent| format!("{:?}", intent.step));
        metrics.stand(Named::Step, &self.name, step.as_deref());
        let drains = active.is_some_and(|intent| intent.step == lifecycle::Step::Drain);
        metrics.drain(&self.name, observed.calls.drain_rate.filter(|_| drains));
        let vetoes = decision.into_iter().flat_map(|decision| {
            decision.shrink_vetoes.iter().chain(&decision.grow_vetoes).map(|veto| veto.name)
        });
        metrics.stand(Named::Veto, &self.name, vetoes);
        let resource = resource.clone();
        self.write(&resource, status).await;
    }

    fn tell(
        &self,
        resource: &VerneMQAutoscaler,
        status: &mut VerneMQAutoscalerStatus,
        told: &[Told],
        rest: Rest,
    ) {
        let now = self.shared.clock.now();
        let (conditions, begun) = merge(&status.conditions, told, rest, resource.metadata.generation, now);
        self.show(&conditions);
        status.conditions = conditions;
        for happened in begun {
            self.event(resource, happened);
        }
    }

    fn show(&self, conditions: &[Condition]) {
        let stand = conditions.iter().filter(|one| one.type_ != READY && one.status == "True");
        self.shared.metrics.stand(Named::Condition, &self.name, stand.map(|one| one.type_.as_str()));
    }

    /// A change that has begun or ended.
    pub(super) fn happened(&self, observed: &Observation, before: Option<&Intent>, out: &Output) {
        let Some(intent) = &out.intent else { return };
        let new = before.is_none_or(|before| before.epoch != intent.epoch || !before.active());
        let tell = |reason: String, severity: Severity, message: String| {
            self.event(&observed.resource, Happened { reason, severity, message });
        };
        if intent.active() && new {
            let mut text =
                format!("{:?} of ordinal {} begins (epoch {})", intent.kind, intent.ordinal, intent.epoch);
            if intent.kind == Kind::Shrink {
                let counts = observed.answered.get(&intent.ordinal).and_then(|one| one.node.counts.seen());
                let estimate = takeover::estimate(counts.map(|counts| counts.online));
                text = format!("{text}. {estimate}");
            }
            tell(format!("{:?}Began", intent.kind), Severity::Info, text);
        }
        if let Some(finished) = &out.finished {
            let severity = match finished.outcome {
                lifecycle::Outcome::Completed => Severity::Info,
                _ => Severity::Warning,
            };
            let text = format!(
                "{:?} of ordinal {} has ended: {:?} {}",
                finished.kind, finished.ordinal, finished.outcome, finished.reason
            );
            tell(format!("{:?}{:?}", finished.kind, finished.outcome), severity, text.trim_end().to_owned());
        }
    }

    fn event(&self, resource: &VerneMQAutoscaler, happened: Happened) {
        let _ = self.events.try_send((resource.object_ref(&()), happened));
    }

    /// One structured line a decision: when it changes, and once a minute.
    fn log(&mut self, observed: &Observation, decision: Option<&Decision>, out: &Output, wanted: u32) {
        let Some(decision) = decision else { return };
        let names = |vetoes: &std::collections::BTreeSet<lifecycle::Veto>| {
            vetoes.iter().map(|veto| veto.name).collect::<Vec<_>>().join(",")
        };
        let (shrink, grow) = (names(&decision.shrink_vetoes), names(&decision.grow_vetoes));
        let step = out.intent.as_ref().map(|intent| format!("{:?}", intent.step)).unwrap_or_default();
        let wait = out.wait.as_ref().map(|wait| wait.name).unwrap_or_default();
        let key = format!("{wanted} {} {step} {wait} {shrink} {grow}", observed.target.replicas);
        if !self.logs_now(key, self.shared.clock.now()) {
            return;
        }
        tracing::info!(
            resource = self.name,
            replicas = observed.target.replicas,
            wanted,
            // Not `target`, which the log's own format has already.
            metrics = decision.explain.target(),
            step,
            wait,
            because = out.wait.as_ref().and_then(|wait| wait.because.as_deref()),
            shrink_vetoes = shrink,
            grow_vetoes = grow,
            explain = %decision.explain,
            "decision"
        );
    }

    /// It is something else than was logged last, or that was a while ago.
    fn logs_now(&mut self, what: String, now: Time) -> bool {
        let logged = self.logged.as_ref();
        let logs = logged.is_none_or(|(before, at)| *before != what || now.since(*at) >= LOG_EVERY);
        if logs {
            self.logged = Some((what, now));
        }
        logs
    }

    /// Writes what people or a successor need at once, and numbers now and then.
    async fn write(&mut self, resource: &VerneMQAutoscaler, status: VerneMQAutoscalerStatus) {
        let old = resource.status.clone().unwrap_or_default();
        if status == old {
            return;
        }
        let now = self.shared.clock.now();
        let recent = self.written_at.is_some_and(|at| now.since(at) < NUMBERS_EVERY);
        if recent && essence(&status) == essence(&old) {
            return;
        }
        let resources = Api::namespaced(self.shared.client.clone(), &self.shared.settings.namespace);
        match status::write(&resources, resource, status).await {
            Ok(written) => {
                self.written_at = Some(now);
                self.resource = Some(written);
            }
            Err(failure) => {
                self.shared.metrics.error(failure.kind());
                tracing::debug!(%failure, resource = self.name, "the status is written with the next reconcile");
            }
        }
    }
}

/// With its worker, be the resource deleted or the lease lost: whoever does not look shows nothing.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.metrics.forget(&self.name);
    }
}

/// The part of a status that must not wait.
fn essence(status: &VerneMQAutoscalerStatus) -> impl PartialEq {
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|one| (one.type_.clone(), one.status.clone(), one.reason.clone()))
        .collect();
    let leaves = status.history.as_ref().map(|history| history.leaves.clone());
    let step = status.intent.as_ref().map(|intent| (intent.epoch, intent.step));
    (
        (status.observed_generation, status.replicas, status.selector.clone(), status.wanted),
        (status.protection_level, status.members, step, conditions, leaves),
    )
}

fn nodes(observed: &Observation, fleet: &FleetView) -> Vec<NodeSeen> {
    let running = |name: &lifecycle::NodeName| {
        let views = observed.answered.values().filter_map(|one| one.node.members.seen());
        let mut views = views.filter(|view| view.contains_key(name)).peekable();
        views.peek().is_some() && views.all(|view| view.get(name) == Some(&true))
    };
    let mut seen = Vec::new();
    for name in observed.members() {
        let ordinal = observed.answered.iter().find(|(_, one)| one.node.name.as_ref() == Some(&name));
        let ordinal = ordinal.map(|(ordinal, _)| *ordinal);
        seen.push(NodeSeen {
            running: running(&name),
            fresh: fleet.nodes.get(&name).is_some_and(|node| node.fresh),
            serving: ordinal.and_then(|ordinal| observed.pods.get(&ordinal)).and_then(|pod| pod.serving),
            ordinal: ordinal.map(|ordinal| ordinal.0),
            name: name.0,
        });
    }
    seen.truncate(NODES_MAX);
    seen
}

async fn write_events(shared: Arc<Shared>, mut waiting: mpsc::Receiver<(ObjectReference, Happened)>) {
    let events = Api::<Event>::namespaced(shared.client.clone(), &shared.settings.namespace);
    while let Some((about, happened)) = waiting.recv().await {
        let now = shared.clock.now();
        if let Err(failure) = publish(&events, &about, &happened, &shared.settings.identity, now).await {
            shared.metrics.error(failure.kind());
            tracing::debug!(%failure, reason = happened.reason, "an Event was not written");
        }
    }
}
