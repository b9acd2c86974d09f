//! One resource: look after look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::Api;
use lifecycle::{Intent, Kind, NodeName, Ordinal, Outcome, Output, Severity, Time, step};
use tokio::sync::Notify;

use super::Reach;
use super::calls::InFlight;
use super::gather::{World, gather};
use super::report::Reporter;
use super::{Shared, fold};
use crate::act::deadline::Failure;
use crate::act::hold;
use crate::act::intent::Held;
use crate::act::owner::{self, Ownership};
use crate::conditions::{Told, of_output};
use crate::crd::{Mode, VerneMQAutoscaler};
use crate::decide::{Decision, History, Policy, decide};
use crate::fleet::{Fleet, FleetView, Settings as FleetSettings};
use crate::naming::Names;
use crate::observe::kubernetes::{self, Objects, Slow, preflight};
use crate::wire::Tls;

/// What changes seldom is read this often.
const SLOW_EVERY: Duration = Duration::from_secs(30);

/// … and this soon again where a call has failed: at once would be five times a second during a change.
const SLOW_AGAIN: Duration = Duration::from_secs(2);

/// Between two looks that failed: doubles from the first to the last, but where the failure is a conflict.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What a process remembers of one resource. Nothing in it is needed to go on
/// after a crash; it is bounded by the pods of one StatefulSet.
pub(super) struct State {
    pub(super) names: Names,
    pub(super) fleet: Fleet,
    pub(super) sampled: Option<Time>,
    pub(super) queues: BTreeMap<Ordinal, (i64, Time)>,
    pub(super) calls: InFlight,
    pub(super) slow: Slow,
    pub(super) tls: BTreeMap<String, Tls>,
    pub(super) reach: Option<Reach>,
    slow_at: Option<(Time, Option<i64>)>,
    history: Option<History>,
    members: Option<BTreeSet<NodeName>>,
    last_join: Option<Time>,
    unreadable: BTreeMap<Ordinal, (&'static str, Time)>,
    failures: u32,
    /// The record that stood, and a step whose record was not written as far as we know.
    unsure: Option<(Option<Intent>, Output)>,
    /// This look's failure is in its report already.
    reported: bool,
}

impl State {
    /// A changed spec may speak of other Secrets.
    fn slow_is_old(&self, resource: &VerneMQAutoscaler, now: Time) -> bool {
        let every = if self.slow.unanswered() { SLOW_AGAIN } else { SLOW_EVERY };
        self.slow_at.is_none_or(|(at, of)| now.since(at) >= every || of != resource.metadata.generation)
    }

    fn take_slow(&mut self, slow: Slow, resource: &VerneMQAutoscaler, now: Time) {
        if slow.authorities != self.slow.authorities {
            self.tls.clear();
        }
        self.slow = slow;
        self.slow_at = Some((now, resource.metadata.generation));
    }
}

/// Looks at one resource until it is dropped.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) name: String,
    pub(super) wake: Arc<Notify>,
    pub(super) state: State,
    reporter: Reporter,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, name: String, wake: Arc<Notify>) -> Self {
        let state = State {
            reach: shared.settings.reach.clone(),
            names: Names::default(),
            fleet: Fleet::new(FleetSettings::default()),
            sampled: None,
            queues: BTreeMap::new(),
            calls: InFlight::default(),
            slow: Slow::default(),
            tls: BTreeMap::new(),
            slow_at: None,
            history: None,
            members: None,
            last_join: None,
            unreadable: BTreeMap::new(),
            failures: 0,
            unsure: None,
            reported: false,
        };
        let reporter = Reporter::new(Arc::clone(&shared), name.clone());
        Self { shared, name, wake, state, reporter }
    }

    pub(super) async fn run(mut self) {
        loop {
            let began = self.shared.clock.now();
            let pause = match Box::pin(self.look()).await {
                Ok(pause) => {
                    self.state.failures = 0;
                    pause
                }
                Err(failure) => self.failed(&failure).await,
            };
            self.shared.metrics.looked(&self.name, self.shared.clock.now().since(began));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// A look that failed changes nothing and says so.
    async fn failed(&mut self, failure: &Failure) -> Duration {
        self.shared.metrics.error(failure.kind());
        // One that lost a race against another writer is no news, and no trouble of the server's: who
        // waits longer each time never wins against somebody who writes all the time.
        if matches!(failure, Failure::Conflict { .. }) {
            tracing::debug!(resource = self.name, %failure, "looking again");
            return RETRY_FIRST;
        }
        let pause = RETRY_FIRST.saturating_mul(1 << self.state.failures.min(8)).min(RETRY_LAST);
        self.state.failures = self.state.failures.saturating_add(1);
        tracing::warn!(resource = self.name, %failure, "the look failed; nothing was changed");
        // Two reports of one look would contradict each other, with each look anew.
        if std::mem::take(&mut self.state.reported) {
            return pause;
        }
        let message = format!("{failure}. Nothing is changed meanwhile");
        let told = Told { name: "LookFailed", severity: Severity::Warning, message, blocks: true };
        self.reporter.failed(told).await;
        pause
    }

    async fn look(&mut self) -> Result<Duration, Failure> {
        let shared = Arc::clone(&self.shared);
        let idle = shared.settings.idle;
        let objects =
            Box::pin(kubernetes::read(&shared.client, &shared.settings.namespace, &self.name, |resource| {
                self.reporter.begin(resource);
            }))
            .await?;
        if let Some(unreadable) = &objects.unreadable {
            self.reporter.unreadable(unreadable, &cannot_read(unreadable)).await;
            return Ok(idle);
        }
        let Some(resource) = objects.resource.clone() else {
            shared.metrics.forget(&self.name);
            return Ok(idle);
        };
        let history = resource.status.as_ref().and_then(|status| status.history.clone());
        self.state.history.get_or_insert_with(|| history.unwrap_or_default());
        if let Some(statefulset) = &objects.statefulset
            && self.state.slow_is_old(&resource, shared.clock.now())
        {
            let last = &self.state.slow;
            let slow = Box::pin(kubernetes::read_slow(&shared.client, &resource, statefulset, last)).await;
            for failure in &slow.failed {
                shared.metrics.error(failure.kind());
                tracing::debug!(resource = self.name, %failure, "what was known before still counts");
            }
            self.state.take_slow(slow, &resource, shared.clock.now());
        }
        let mut told: Vec<_> = preflight(&objects, &self.state.slow).iter().map(Told::from).collect();
        let ownership = objects.ownership();
        let (Some(statefulset), false) =
            (objects.statefulset.clone(), matches!(ownership, Some(Ownership::Taken(_))))
        else {
            self.let_go(&resource, &objects).await?;
            self.reporter.blocked(told).await;
            return Ok(idle);
        };
        let held = match Held::read(&statefulset) {
            Ok(held) => held,
            Err(unreadable) => {
                let message = unreadable.to_string();
                told.push(Told {
                    name: "IntentUnreadable",
                    severity: Severity::Critical,
                    message,
                    blocks: true,
                });
                self.reporter.blocked(told).await;
                return Ok(idle);
            }
        };
        let active = held.intent().is_some_and(Intent::active);
        let deleting = resource.metadata.deletion_timestamp.is_some();
        let works = matches!(resource.spec.mode, Mode::Active | Mode::GrowOnly) && !deleting;
        if ownership == Some(Ownership::Free) && (works || active) {
            let statefulsets = Api::namespaced(shared.client.clone(), &shared.settings.namespace);
            let uid = resource.uid().unwrap_or_default();
            owner::take(&statefulsets, &statefulset, &uid).await?;
            shared.tap("owner").await;
            // The version that was read has passed: look again at once.
            return Ok(Duration::ZERO);
        }
        if deleting && !active {
            self.let_go(&resource, &objects).await?;
            return Ok(idle);
        }
        let world = gather(&mut self.state, &resource, &statefulset, &objects, held, shared.clock).await;
        Box::pin(self.decide_and_act(world, told)).await
    }

    async fn decide_and_act(&mut self, mut world: World, mut told: Vec<Told>) -> Result<Duration, Failure> {
        let now = self.shared.clock.now();
        told.extend(fold::unreadable(&mut self.state.unreadable, &world, now));
        if world.resource.metadata.deletion_timestamp.is_some() {
            told.push(deleting());
        }
        let fleet = self.state.fleet.view(now);
        let decision = match Policy::try_from(&world.resource.spec) {
            Ok(policy) => Some(self.decide(&policy, &fleet, &world, now)),
            Err(wrong) => {
                let message = wrong.to_string();
                told.push(Told { name: "SpecInvalid", severity: Severity::Warning, message, blocks: true });
                None
            }
        };
        told.extend(decision.iter().flat_map(|decision| &decision.conditions).map(Told::from));
        told.extend(decision.as_ref().and_then(|decision| out_of_bounds(&world, decision)));
        let facts = fold::facts(&world, decision.as_ref(), &fold::blocks(&told));
        let out = step(
            world.held.intent(),
            &facts,
            &fold::limits(&world.resource.spec, &self.shared.settings.limits),
            now,
        );
        told.extend(of_output(&out, now));

        let done = self.act(&mut world, &out).await;
        if let Err(failure) = &done
            && !matches!(failure, Failure::Conflict { .. })
        {
            let message = format!("{failure}. It is tried again with the next look");
            told.push(Told { name: "CallFailed", severity: Severity::Warning, message, blocks: false });
        }
        let active = out.intent.as_ref().is_some_and(Intent::active);
        if done.is_ok() && !active && hold::held(&world.resource) {
            self.release(&mut world).await?;
        }
        let history = self.state.history.clone().unwrap_or_default();
        self.reporter.whole(&world, decision.as_ref(), &out, told, history, &fleet).await;
        self.state.reported = done.is_err();
        done?;
        Ok(if active || !out.effects.is_empty() { out.again } else { self.shared.settings.idle })
    }

    /// Does what one step asked for, and tells of a change that began or ended by it: what is recorded has
    /// happened, and what is not is come to again. Where the record's write was not answered, the next look
    /// sees whether it stands.
    async fn act(&mut self, world: &mut World, out: &Output) -> Result<(), Failure> {
        let before = world.held.intent().cloned();
        if let Some((earlier, unsure)) = self.state.unsure.take()
            && before == unsure.intent
        {
            self.happened(&world.resource, earlier.as_ref(), &unsure);
        }
        let done = self.perform(world, out).await;
        if world.held.intent() == out.intent.as_ref() {
            self.happened(&world.resource, before.as_ref(), out);
        } else {
            self.state.unsure = Some((before, out.clone()));
        }
        done
    }

    fn decide(&mut self, policy: &Policy, fleet: &FleetView, world: &World, now: Time) -> Decision {
        let mut history = self.state.history.take().unwrap_or_default();
        // The record on the StatefulSet is the one truth about the last change: a crash between its
        // end and our status must not make the churn budget forget it.
        if let Some(intent) = world.held.intent().filter(|intent| !intent.active())
            && intent.kind == Kind::Shrink
            && (intent.verified || intent.outcome == Some(Outcome::Cancelled))
            && !history.leaves.contains(&intent.entered)
        {
            history.note_leave(intent.entered);
        }
        let members = world.members();
        if let Some(before) = &self.state.members
            && members.iter().any(|member| !before.contains(member))
        {
            self.state.last_join = Some(now);
        }
        if !members.is_empty() {
            self.state.members = Some(members);
        }
        let current = fold::current(world, self.state.last_join);
        let (decision, history) = decide(policy, fleet, &history, &current, now);
        self.state.history = Some(history);
        decision
    }

    fn happened(&mut self, resource: &VerneMQAutoscaler, before: Option<&Intent>, out: &Output) {
        self.reporter.happened(resource, before, out);
        if let Some(finished) = &out.finished {
            // The record is of the next change already, which comes in its place.
            if finished.leave_verified && out.intent.as_ref().is_some_and(Intent::active) {
                let now = self.shared.clock.now();
                self.state.history.get_or_insert_default().note_leave(now);
            }
            let (kind, outcome) = (format!("{:?}", finished.kind), format!("{:?}", finished.outcome));
            self.shared.metrics.changed(&self.name, &kind, &outcome);
        }
    }

    /// The change is through: the resource may be deleted.
    async fn release(&self, world: &mut World) -> Result<(), Failure> {
        let resources = Api::namespaced(self.shared.client.clone(), &self.shared.settings.namespace);
        world.resource = hold::release(&resources, &world.resource).await?;
        self.shared.tap("release").await;
        Ok(())
    }

    /// Our resource goes, or has no target: nothing of ours stays behind.
    async fn let_go(&self, resource: &VerneMQAutoscaler, objects: &Objects) -> Result<(), Failure> {
        if resource.metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let namespace = &self.shared.settings.namespace;
        if let (Some(statefulset), Some(Ownership::Ours)) = (&objects.statefulset, objects.ownership()) {
            let statefulsets = Api::namespaced(self.shared.client.clone(), namespace);
            hold::disown(&statefulsets, statefulset, &resource.uid().unwrap_or_default()).await?;
        }
        if hold::held(resource) {
            let resources = Api::namespaced(self.shared.client.clone(), namespace);
            hold::release(&resources, resource).await?;
        }
        Ok(())
    }
}

/// Nothing is decided by a resource that is known in part: what else it says may be what forbids it.
fn cannot_read(unreadable: &kubernetes::Unreadable) -> Told {
    let message = format!(
        "{}. The size is not changed, nor is anything else, while the resource cannot be read: correct this field, or, where a later version of vernescale has set it, run that version",
        unreadable.why
    );
    Told { name: "SpecInvalid", severity: Severity::Warning, message, blocks: true }
}

fn deleting() -> Told {
    Told {
        name: "ResourceDeleting",
        severity: Severity::Info,
        message: "the resource is being deleted: a change that can be undone is undone, one that cannot is finished, and nothing new begins".into(),
        blocks: true,
    }
}

/// The size is outside what the spec allows: said, and put right one ordinal at a time.
fn out_of_bounds(world: &World, decision: &Decision) -> Option<Told> {
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
