//! One resource: look after look.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::api::Api;
use lifecycle::{Intent, Kind, Outcome, Output, Severity, Time, step};
use tokio::sync::Notify;

use super::follow::{IN_ALL, LOOK_AFTER, Leaving};
use super::gather::{World, gather};
use super::report::{Reporter, Whole};
use super::state::State;
use super::{Shared, clocks, fold, protection, told, unreadable};
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
use autoscaler::decide::{Decision, Policy, decide};
use autoscaler::metrics::FleetView;

/// Between two looks that failed: doubles from the first to the last, but where the failure is a conflict.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Conflicts in a row that may be races: two seconds of them.
const RACES: u32 = 10;

/// After a panic of ours nothing new begins for this long. Whatever it has met may be there still: each time
/// costs what an undone shrink costs, and the churn budget bounds those.
const PANIC_HOLDS: Duration = Duration::from_mins(5);

/// Looks at one resource until it is dropped.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) name: String,
    pub(super) wake: Arc<Notify>,
    pub(super) state: State,
    reporter: Reporter,
    /// As the last look has left it, where a leave is to be verified.
    leaving: Option<Leaving>,
}

/// What a look has read.
enum Seen {
    /// Nothing is to be decided; look again after this.
    Enough(Duration),
    /// Everything, and what is already to be told of it.
    All(Box<World>, Vec<Told>),
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
            let pause = match Box::pin(self.look()).await {
                Ok(pause) => {
                    (self.state.failures, self.state.races) = (0, 0);
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
        let reported = std::mem::take(&mut self.state.reported);
        // One that lost a race against another writer is no news, and no trouble of the server's: who
        // waits longer each time never wins against somebody who writes all the time.
        if self.lost_a_race(failure) {
            self.state.races += 1;
            tracing::debug!(resource = self.name, %failure, "looking again");
            return RETRY_FIRST;
        }
        let pause = RETRY_FIRST.saturating_mul(1 << self.state.failures.min(8)).min(RETRY_LAST);
        self.state.failures = self.state.failures.saturating_add(1);
        tracing::warn!(resource = self.name, %failure, "the look failed; nothing was changed");
        // Two reports of one look would contradict each other, with each look anew.
        if reported {
            return pause;
        }
        let message = format!("{failure}. Nothing is changed meanwhile");
        let told = Told { name: "LookFailed", severity: Severity::Warning, message, blocks: true };
        self.reporter.failed(told).await;
        pause
    }

    /// A policy that refuses us may answer as the guard of a patch does: nobody loses that often.
    fn lost_a_race(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Conflict { .. }) && self.state.races < RACES
    }

    /// What our predecessor broke off by, for as long as that holds us.
    fn broke_off(&self) -> Option<Told> {
        let (fault, at, _) = self.state.fault.as_ref()?;
        let left = PANIC_HOLDS.checked_sub(self.shared.clock.now().since(*at))?;
        Some(told::panicked(fault, left))
    }

    /// A look. From when a leave says `Done` on, the members are asked beside it what came of that, and the size is
    /// lowered as soon as they have said so, whatever the look is still reading.
    async fn look(&mut self) -> Result<Duration, Failure> {
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
            Seen::All(world, told) => Box::pin(self.decide_and_act(*world, told)).await,
        }
    }

    fn follows(&self, leaving: &Leaving) -> bool {
        let since = self.state.followed.filter(|(epoch, _)| *epoch == leaving.epoch());
        since.is_none_or(|(_, since)| self.shared.clock.now().since(since) < IN_ALL)
    }

    /// A whole look comes next in any case: it tells what came of this, and tries again what failed.
    async fn lower(&mut self, mut leaving: Leaving, out: &Output) -> Duration {
        if let Err(failure) = Box::pin(self.act(&mut leaving.world, out)).await {
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
            self.reporter.unreadable(unreadable, &told::cannot_read(unreadable)).await;
            return Ok(Seen::Enough(idle));
        }
        let Some(resource) = objects.resource.clone() else {
            shared.metrics.forget(&self.name);
            return Ok(Seen::Enough(idle));
        };
        // Told before anything is done: it may break off there again.
        if let (Some(told), Some((_, _, known))) = (self.broke_off(), &mut self.state.fault)
            && !std::mem::replace(known, true)
        {
            self.reporter.failed(told).await;
            return Ok(Seen::Enough(Duration::ZERO));
        }
        let history = resource.status.as_ref().and_then(|status| status.history.clone());
        self.state.history.get_or_insert_with(|| history.unwrap_or_default());
        if let Some(statefulset) = &objects.statefulset {
            self.look_slowly(&resource, statefulset).await;
        }
        let mut told: Vec<_> = preflight(&objects, &self.state.slow).iter().map(Told::from).collect();
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
            shared.tap("owner").await;
            // The version that was read has passed: look again at once.
            return Ok(Seen::Enough(Duration::ZERO));
        }
        if deleting && !active {
            self.let_go(&resource, &objects).await?;
            return Ok(Seen::Enough(idle));
        }
        let pods = Api::namespaced(shared.client.clone(), &shared.settings.namespace);
        let world =
            gather(&mut self.state, &resource, &statefulset, &objects, held, &pods, shared.clock).await;
        Ok(Seen::All(Box::new(world), told))
    }

    /// Reads what changes seldom, where that was long ago.
    async fn look_slowly(&mut self, resource: &VerneMQAutoscaler, statefulset: &StatefulSet) {
        let shared = &self.shared;
        if !self.state.slow_is_old(resource, shared.clock.now()) {
            return;
        }
        let last = &self.state.slow;
        let slow = Box::pin(cached::read(&shared.client, resource, statefulset, last)).await;
        for failure in &slow.failed {
            shared.metrics.error(failure.kind());
            tracing::debug!(resource = self.name, %failure, "what was known before still counts");
        }
        self.state.take_slow(slow, resource, shared.clock.now());
    }

    async fn decide_and_act(&mut self, mut world: World, mut told: Vec<Told>) -> Result<Duration, Failure> {
        let now = self.shared.clock.now();
        let unreadable = unreadable::look(&mut self.state.unreadable, &world, now);
        let protection = protection::of(&world, &self.state.slow, unreadable.is_empty());
        told.extend(unreadable);
        told.extend(self.broke_off());
        if world.resource.metadata.deletion_timestamp.is_some() {
            told.push(told::deleting());
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
        told.extend(decision.as_ref().and_then(|decision| told::out_of_bounds(&world, decision)));
        told.extend(world.listeners().uncounted());
        told.extend(world.listeners().full(&mut self.state.still, &fleet, now));
        self.state.rehearsal.look(&world, self.state.slow.login.as_ref(), &self.wake, now);
        told.extend(self.state.rehearsal.told(&world, now));
        let raise = self.state.rehearsal.veto(&world, now);
        let facts = fold::facts(&world, decision.as_ref(), &fold::blocks(&told), raise);
        let facts = self.state.note_unsettled(facts, &world, now);
        let limits = fold::limits(&world.resource.spec, &self.shared.settings.limits);
        let out = step(world.held.intent(), &facts, &limits, now);
        told.extend(clocks::apart(world.clocks()));
        told.extend(told::no_broker_read(&world, &mut self.state.read, now, limits.held));
        told.extend(of_output(&out, now));

        let done = self.act(&mut world, &out).await;
        if let Err(failure) = &done
            && !self.lost_a_race(failure)
        {
            let message = format!("{failure}. It is tried again with the next look");
            told.push(Told { name: "CallFailed", severity: Severity::Warning, message, blocks: false });
        }
        let active = out.intent.as_ref().is_some_and(Intent::active);
        let over = !active || world.target.deleting || fold::hopeless(&world, &out, now);
        if done.is_ok() && finalizer::held(&world.resource) && over {
            self.release(&mut world).await?;
        }
        let history = self.state.history.clone().unwrap_or_default();
        let look = Whole { decision: decision.as_ref(), out: &out, history, fleet: &fleet, protection };
        self.reporter.whole(&world, look, told).await;
        self.state.reported = done.is_err();
        done?;
        self.leaving = Leaving::of(world, facts, limits, &out);
        // The next one has a pause of its own, in which the members are asked.
        if self.state.calls.leave_said_done() && self.leaving.as_ref().is_some_and(|one| self.follows(one)) {
            return Ok(Duration::ZERO);
        }
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
            self.happened(world, earlier.as_ref(), &unsure);
        }
        let done = self.perform(world, out).await;
        if world.held.intent() == out.intent.as_ref() {
            self.happened(world, before.as_ref(), out);
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

    fn happened(&mut self, world: &World, before: Option<&Intent>, out: &Output) {
        self.reporter.happened(world, before, out);
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
        world.resource = finalizer::release(&resources, &world.resource).await?;
        self.shared.tap("release").await;
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
