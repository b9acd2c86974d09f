//! One resource: reconcile after reconcile.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::api::Api;
use lifecycle::{Intent, Output, Severity, step};
use tokio::sync::Notify;

use super::apply::Apply;
use super::failures::Retry;
use super::follow::{IN_ALL, LOOK_AFTER, Leaving};
use super::memory::State;
use super::observation::Observation;
use super::observe::gather;
use super::report::{Reporter, Whole};
use super::shared::Shared;
use super::{clocks, facts, protection, resource_conditions, unreadable};
use crate::api::VerneMQAutoscaler;
use crate::conditions::{Told, of_output};
use crate::kubernetes::cached;
use crate::kubernetes::call::Failure;
use crate::kubernetes::finalizer;
use crate::kubernetes::intent_record::Held;
use crate::kubernetes::ownership::{self, Ownership};
use crate::kubernetes::preflight::preflight;
use crate::kubernetes::snapshot::{self, Objects};
use autoscaler::decide::Mode;
use autoscaler::decide::Policy;

/// Looks at one resource until it is dropped.
pub(super) struct Worker {
    shared: Arc<Shared>,
    name: String,
    wake: Arc<Notify>,
    state: State,
    reporter: Reporter,
    /// As the last reconcile has left it, where a leave is to be verified.
    leaving: Option<Leaving>,
}

/// What a reconcile has read.
enum Seen {
    /// Nothing is to be decided; look again after this.
    Enough(Duration),
    /// Everything, and what is already to be told of it.
    All(Box<Observation>, Vec<Told>),
}

impl Worker {
    /// `fault` is what a predecessor in this process broke off by.
    pub(super) fn new(shared: Arc<Shared>, name: String, wake: Arc<Notify>, fault: Option<String>) -> Self {
        let state = State::new(&shared, fault);
        let reporter = Reporter::new(Arc::clone(&shared), name.clone());
        Self { shared, name, wake, state, reporter, leaving: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let began = self.shared.clock.now();
            let pause = match Box::pin(self.reconcile()).await {
                Ok(pause) => {
                    self.state.failures.end();
                    pause
                }
                Err(failure) => self.failed(&failure).await,
            };
            self.shared.metrics.reconciled(&self.name, self.shared.clock.now().since(began));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    async fn failed(&mut self, failure: &Failure) -> Duration {
        self.shared.metrics.error(failure.kind());
        let Retry { pause, told } = self.state.failures.note(&self.name, failure);
        if let Some(told) = told {
            self.reporter.failed(told).await;
        }
        pause
    }

    /// A reconcile. From when a leave says `Done` on, the members are asked beside it what came of that, and the size is
    /// lowered as soon as they have said so, whatever the reconcile is still reading.
    async fn reconcile(&mut self) -> Result<Duration, Failure> {
        let leaving = self.leaving.take().filter(|leaving| self.follows(leaving));
        let seen = match leaving {
            None => Box::pin(self.see()).await?,
            Some(mut leaving) => {
                let (clock, said) = (self.shared.clock, self.state.calls.leave_said_done());
                if said && self.state.followed.is_none_or(|(of, _)| of != leaving.epoch()) {
                    self.state.followed = Some((leaving.epoch(), clock.now()));
                }
                let done = self.state.calls.leave_done();
                let verified = async { leaving.verified(done.await, clock).await };
                let see = async {
                    tokio::time::sleep(if said { LOOK_AFTER } else { Duration::ZERO }).await;
                    Box::pin(self.see()).await
                };
                let first = tokio::select! {
                    biased;
                    out = Box::pin(verified) => Err(out),
                    seen = Box::pin(see) => Ok(seen?),
                };
                match first {
                    Ok(seen) => seen,
                    Err(out) => return Ok(self.lower(leaving, &out).await),
                }
            }
        };
        match seen {
            Seen::Enough(pause) => Ok(pause),
            Seen::All(observed, told) => Box::pin(self.decide_and_act(*observed, told)).await,
        }
    }

    fn follows(&self, leaving: &Leaving) -> bool {
        let since = self.state.followed.filter(|(epoch, _)| *epoch == leaving.epoch());
        since.is_none_or(|(_, since)| self.shared.clock.now().since(since) < IN_ALL)
    }

    /// A whole reconcile comes next in any case: it tells what came of this, and tries again what failed.
    async fn lower(&mut self, mut leaving: Leaving, out: &Output) -> Duration {
        if let Err(failure) = Box::pin(self.act(&mut leaving.observed, out)).await {
            tracing::info!(%failure, resource = self.name, "the size is not lowered yet: looking again");
        }
        Duration::ZERO
    }

    async fn see(&mut self) -> Result<Seen, Failure> {
        let shared = Arc::clone(&self.shared);
        let idle = shared.settings.idle;
        let objects =
            Box::pin(snapshot::read(&shared.client, &shared.settings.namespace, &self.name, |resource| {
                self.reporter.begin(resource);
            }))
            .await?;
        if let Some(unreadable) = &objects.unreadable {
            self.reporter.unreadable(unreadable, &resource_conditions::cannot_read(unreadable)).await;
            return Ok(Seen::Enough(idle));
        }
        let Some(resource) = objects.resource.clone() else {
            shared.metrics.forget(&self.name);
            return Ok(Seen::Enough(idle));
        };
        if let Some(told) = self.state.failures.broke_off_untold(shared.clock.now()) {
            self.reporter.failed(told).await;
            return Ok(Seen::Enough(Duration::ZERO));
        }
        self.state.sizing.begin(resource.status.as_ref().and_then(|status| status.history.as_ref()));
        if let Some(statefulset) = &objects.statefulset {
            self.read_cached(&resource, statefulset).await;
        }
        let mut told: Vec<_> = preflight(&objects, &self.state.cached).iter().map(Told::from).collect();
        let ownership = objects.ownership();
        let (Some(statefulset), false) =
            (objects.statefulset.clone(), matches!(ownership, Some(Ownership::Taken(_))))
        else {
            self.let_go(&resource, &objects).await?;
            self.reporter.blocked(told).await;
            return Ok(Seen::Enough(idle));
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
                return Ok(Seen::Enough(idle));
            }
        };
        let active = held.intent().is_some_and(Intent::active);
        let deleting = resource.metadata.deletion_timestamp.is_some();
        let works = matches!(resource.spec.mode, Mode::Active | Mode::GrowOnly) && !deleting;
        if ownership == Some(Ownership::Free) && (works || active) {
            let statefulsets = Api::namespaced(shared.client.clone(), &shared.settings.namespace);
            let uid = resource.uid().unwrap_or_default();
            ownership::take(&statefulsets, &statefulset, &uid).await?;
            shared.hook("owner").await;
            // The version that was read has passed: look again at once.
            return Ok(Seen::Enough(Duration::ZERO));
        }
        if deleting && !active {
            self.let_go(&resource, &objects).await?;
            return Ok(Seen::Enough(idle));
        }
        let pods = Api::namespaced(shared.client.clone(), &shared.settings.namespace);
        let observed =
            gather(&mut self.state, &resource, &statefulset, &objects, held, &pods, shared.clock).await;
        Ok(Seen::All(Box::new(observed), told))
    }

    /// Reads what changes seldom, where that was long ago.
    async fn read_cached(&mut self, resource: &VerneMQAutoscaler, statefulset: &StatefulSet) {
        let shared = &self.shared;
        if !self.state.cached_is_old(resource, shared.clock.now()) {
            return;
        }
        let last = &self.state.cached;
        let cached = Box::pin(cached::read(&shared.client, resource, statefulset, last)).await;
        for failure in &cached.failed {
            shared.metrics.error(failure.kind());
            tracing::debug!(resource = self.name, %failure, "what was known before still counts");
        }
        self.state.take_cached(cached, resource, shared.clock.now());
    }

    async fn decide_and_act(
        &mut self,
        mut observed: Observation,
        mut told: Vec<Told>,
    ) -> Result<Duration, Failure> {
        let now = self.shared.clock.now();
        let unreadable = unreadable::conditions(&mut self.state.unreadable, &observed, now);
        let protection = protection::of(&observed, &self.state.cached, unreadable.is_empty());
        told.extend(unreadable);
        told.extend(self.state.failures.broke_off(now));
        if observed.resource.metadata.deletion_timestamp.is_some() {
            told.push(resource_conditions::deleting());
        }
        let fleet = self.state.fleet.view(now);
        let decision = match Policy::try_from(&observed.resource.spec) {
            Ok(policy) => Some(self.state.sizing.decide(&policy, &fleet, &observed, now)),
            Err(wrong) => {
                let message = wrong.to_string();
                told.push(Told { name: "SpecInvalid", severity: Severity::Warning, message, blocks: true });
                None
            }
        };
        told.extend(decision.iter().flat_map(|decision| &decision.conditions).map(Told::from));
        told.extend(
            decision.as_ref().and_then(|decision| resource_conditions::out_of_bounds(&observed, decision)),
        );
        told.extend(observed.listeners().uncounted());
        told.extend(observed.listeners().full(&mut self.state.still, &fleet, now));
        self.state.rehearsal.observe(&observed, self.state.cached.login.as_ref(), &self.wake, now);
        told.extend(self.state.rehearsal.told(&observed, now));
        let raise = self.state.rehearsal.veto(&observed, now);
        let facts = facts::facts(&observed, decision.as_ref(), &facts::blocks(&told), raise);
        let facts = self.state.note_unsettled(facts, &observed, now);
        let limits = facts::limits(&observed.resource.spec, &self.shared.settings.limits);
        let out = step(observed.held.intent(), &facts, &limits, now);
        told.extend(clocks::apart(observed.clocks()));
        told.extend(resource_conditions::no_broker_read(&observed, &mut self.state.read, now, limits.held));
        told.extend(of_output(&out, now));

        let done = self.act(&mut observed, &out).await;
        if let Err(failure) = &done
            && !self.state.failures.lost_a_race(failure)
        {
            let message = format!("{failure}. It is tried again with the next reconcile");
            told.push(Told { name: "CallFailed", severity: Severity::Warning, message, blocks: false });
        }
        let active = out.intent.as_ref().is_some_and(Intent::active);
        let over = !active || observed.target.deleting || facts::hopeless(&observed, &out, now);
        if done.is_ok() && finalizer::held(&observed.resource) && over {
            self.release(&mut observed).await?;
        }
        let history = self.state.sizing.history();
        let whole = Whole { decision: decision.as_ref(), out: &out, history, fleet: &fleet, protection };
        self.reporter.whole(&observed, whole, told).await;
        self.state.failures.reported(done.is_err());
        done?;
        self.leaving = Leaving::of(observed, facts, limits, &out);
        // The next one has a pause of its own, in which the members are asked.
        if self.state.calls.leave_said_done() && self.leaving.as_ref().is_some_and(|one| self.follows(one)) {
            return Ok(Duration::ZERO);
        }
        Ok(if active || !out.effects.is_empty() { out.again } else { self.shared.settings.idle })
    }

    /// Does what one step asked for, and tells of a change that began or ended by it: what is recorded has
    /// happened, and what is not is come to again. Where the record's write was not answered, the next reconcile
    /// sees whether it stands.
    async fn act(&mut self, observed: &mut Observation, out: &Output) -> Result<(), Failure> {
        let before = observed.held.intent().cloned();
        if let Some((earlier, unsure)) = self.state.unsure.take()
            && before == unsure.intent
        {
            self.happened(observed, earlier.as_ref(), &unsure);
        }
        let mut apply = Apply {
            shared: &self.shared,
            name: &self.name,
            wake: &self.wake,
            calls: &mut self.state.calls,
            login: self.state.cached.login.as_ref(),
        };
        let done = apply.perform(observed, out).await;
        if observed.held.intent() == out.intent.as_ref() {
            self.happened(observed, before.as_ref(), out);
        } else {
            self.state.unsure = Some((before, out.clone()));
        }
        done
    }

    fn happened(&mut self, observed: &Observation, before: Option<&Intent>, out: &Output) {
        self.reporter.happened(observed, before, out);
        if let Some(finished) = &out.finished {
            // The record is of the next change already, which comes in its place.
            if finished.leave_verified && out.intent.as_ref().is_some_and(Intent::active) {
                self.state.sizing.note_leave(self.shared.clock.now());
            }
            let (kind, outcome) = (format!("{:?}", finished.kind), format!("{:?}", finished.outcome));
            self.shared.metrics.changed(&self.name, &kind, &outcome);
        }
    }

    /// The change is through: the resource may be deleted.
    async fn release(&self, observed: &mut Observation) -> Result<(), Failure> {
        let resources = Api::namespaced(self.shared.client.clone(), &self.shared.settings.namespace);
        observed.resource = finalizer::release(&resources, &observed.resource).await?;
        self.shared.hook("release").await;
        Ok(())
    }

    /// Our resource goes, or has no target: nothing of ours stays behind.
    async fn let_go(&mut self, resource: &VerneMQAutoscaler, objects: &Objects) -> Result<(), Failure> {
        let namespace = &self.shared.settings.namespace;
        let goes = resource.metadata.deletion_timestamp.is_some();
        if let (true, Some(statefulset), Some(Ownership::Ours)) =
            (goes, &objects.statefulset, objects.ownership())
        {
            let statefulsets = Api::namespaced(self.shared.client.clone(), namespace);
            finalizer::disown(&statefulsets, statefulset, &resource.uid().unwrap_or_default()).await?;
        }
        if finalizer::held(resource) {
            let resources = Api::namespaced(self.shared.client.clone(), namespace);
            let freed = finalizer::release(&resources, resource).await?;
            self.reporter.begin(&freed);
        }
        Ok(())
    }
}
