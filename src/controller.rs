//! The controller: gather → fold → decide → lifecycle → act → status, once a
//! look, for each of our resources. No logic of its own: what is decided is in
//! [`autoscaler::decide`] and `lifecycle`, what is touched is in [`crate::observe`]
//! and [`crate::act`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use lifecycle::Time;
use tokio::sync::{Notify, watch};

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::finalizer;
use crate::kubernetes::resource::resources;
use crate::kubernetes::{
    leader_election::{Election, Timing},
    lease,
};
use net::Clock;

mod calls;
mod clocks;
mod fold;
mod follow;
mod gather;
mod metrics;
mod nodes;
mod page;
mod perform;
mod protection;
mod rehearsal;
mod report;
mod room;
mod state;
mod takeover;
mod task;
mod told;
mod unreadable;
mod worker;

pub use metrics::Metrics;

use task::Task;
use worker::Worker;

/// How often the list of our resources is read even if no watch has spoken.
const RESOURCES_EVERY: Duration = Duration::from_secs(10);

/// Called after each thing that was done to the world, with its name. Tests
/// stop the controller there, to resume it from every point.
pub type Tap = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

/// A pod's address → the address at which we reach it.
pub type Reach = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Settings of one controller process.
#[derive(Clone)]
pub struct Settings {
    /// The namespace whose resources it serves.
    pub namespace: String,
    /// Its name in the election; no two processes may share one.
    pub identity: String,
    /// Name of the Lease.
    pub lease: String,
    /// Times of the election.
    pub timing: Timing,
    /// Time between two looks while nothing is under way.
    pub idle: Duration,
    /// The lifecycle's numbers that no resource speaks of; what a spec says goes before.
    pub limits: lifecycle::Limits,
    /// Where a pod's address is reached, if not there: a test's pods are on loopback, which a real
    /// API server refuses as an endpoint.
    pub reach: Option<Reach>,
    /// See [`Tap`].
    pub tap: Option<Tap>,
}

impl Settings {
    /// The defaults of the design for one namespace.
    pub fn new(namespace: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            identity: identity.into(),
            lease: "vernescale".into(),
            timing: Timing::default(),
            idle: Duration::from_secs(2),
            limits: lifecycle::Limits::default(),
            reach: None,
            tap: None,
        }
    }
}

/// What all parts of one process share.
struct Shared {
    client: Client,
    clock: Clock,
    settings: Settings,
    metrics: Arc<Metrics>,
    leading: watch::Receiver<Option<Time>>,
}

impl Shared {
    /// How long we may still act; none where we may not.
    fn may_act_for(&self) -> Option<Duration> {
        let until = (*self.leading.borrow())?;
        let left = until.since(self.clock.now());
        (!left.is_zero()).then_some(left)
    }

    async fn tap(&self, what: impl Into<String>) {
        if let Some(tap) = &self.settings.tap {
            tap(what.into()).await;
        }
    }
}

/// One controller process.
pub struct Controller {
    client: Client,
    clock: Clock,
    settings: Settings,
    metrics: Arc<Metrics>,
}

impl Controller {
    /// A controller that has not begun. The client's own retries must be off.
    pub fn new(client: Client, clock: Clock, settings: Settings) -> Self {
        Self { client, clock, settings, metrics: Arc::new(Metrics::default()) }
    }

    /// Its metrics.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// Runs until `stop` resolves, then gives the lease back, so that another may lead at once.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let leases = Api::<Lease>::namespaced(self.client.clone(), &self.settings.namespace);
        let (name, identity) = (self.settings.lease.clone(), self.settings.identity.clone());
        let (client, namespace) = (self.client.clone(), self.settings.namespace.clone());
        tokio::select! {
            () = self.run() => {}
            () = stop => {}
        }
        // Only now that nothing of ours runs any more.
        match finalizer::release_with(&client, &namespace).await {
            Ok(0) => {}
            Ok(freed) => tracing::info!(freed, "the namespace is being deleted: our finalizer is taken away"),
            Err(failure) => tracing::info!(%failure, "whether the namespace is being deleted is not known"),
        }
        if let Err(failure) = lease::release(&leases, &name, &identity).await {
            tracing::info!(%failure, "the lease was not given back: it runs out by itself");
        }
    }

    /// Runs until it is dropped. Everything that it has started ends with it; a leave that has not
    /// begun is revoked by that.
    pub async fn run(self) {
        let (lead, leading) = watch::channel(None);
        let Self { client, clock, settings, metrics } = self;
        let leases = Api::<Lease>::namespaced(client.clone(), &settings.namespace);
        let election = Election::new(settings.identity.clone(), settings.timing);
        let counted = Arc::clone(&metrics);
        let failed = move |failure: &Failure| counted.error(failure.kind());
        let elections = lease::run(leases, settings.lease.clone(), election, clock, lead, failed);
        let shared = Arc::new(Shared { client, clock, settings, metrics, leading });
        tokio::select! {
            () = elections => {}
            () = lead_and_work(&shared) => {}
        }
    }
}

/// Works while we lead, and drops everything at once when we do not.
async fn lead_and_work(shared: &Arc<Shared>) {
    let mut leading = shared.leading.clone();
    loop {
        // One that has run out counts for nothing: whoever should say so may hang in a call, and would
        // never be heard if we did not wait here.
        while leading.borrow_and_update().is_none_or(|until| until <= shared.clock.now()) {
            if leading.changed().await.is_err() {
                return;
            }
        }
        shared.metrics.leading(true);
        tokio::select! {
            () = work(shared) => {}
            () = lost(leading.clone(), shared.clock) => {}
        }
        shared.metrics.leading(false);
    }
}

/// Resolves when the lease is no longer ours, also if nobody says so in time.
async fn lost(mut leading: watch::Receiver<Option<Time>>, clock: Clock) {
    loop {
        let Some(until) = *leading.borrow_and_update() else { return };
        let left = until.since(clock.now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            changed = leading.changed() => if changed.is_err() { return },
        }
    }
}

/// One worker a resource, also of one that cannot be read; the watch only wakes them earlier.
async fn work(shared: &Arc<Shared>) {
    let resources = resources(&shared.client, &shared.settings.namespace);
    let mut workers: HashMap<String, (Arc<Notify>, Task)> = HashMap::new();
    let mut seen = Seen::new();
    let mut watched = watcher(resources.clone(), watcher::Config::default()).default_backoff().boxed();
    loop {
        match api("list vernemqautoscalers", resources.list(&ListParams::default())).await {
            Ok(list) => {
                let names: Vec<_> = list.items.iter().map(kube::ResourceExt::name_any).collect();
                workers.retain(|name, _| names.contains(name));
                seen.retain(|name, _| names.contains(name));
                for name in names {
                    let fault = match workers.get_mut(&name) {
                        Some((_, task)) if task.is_finished() => task.panicked().await,
                        Some(_) => continue,
                        None => None,
                    };
                    workers.insert(name.clone(), start(shared, name, fault));
                }
            }
            // The workers that run go on: each reads for itself.
            Err(failure) => {
                shared.metrics.error(failure.kind());
                tracing::warn!(%failure, "our resources could not be listed");
            }
        }
        if let Ok(Some(name)) =
            tokio::time::timeout(RESOURCES_EVERY, next_change(&mut watched, &mut seen)).await
            && let Some((wake, _)) = workers.get(&name)
        {
            wake.notify_one();
        }
    }
}

/// `fault` is what its predecessor broke off by.
fn start(shared: &Arc<Shared>, name: String, fault: Option<String>) -> (Arc<Notify>, Task) {
    if let Some(fault) = &fault {
        shared.metrics.error("Panic");
        tracing::error!(resource = name, fault, "the work on a resource broke off and begins anew");
    }
    let wake = Arc::new(Notify::new());
    let worker = Worker::new(Arc::clone(shared), name, Arc::clone(&wake), fault);
    (wake, Task::spawn(worker.run()))
}

/// Generation, and whether it is being deleted: our own status must not wake us.
type Mark = (Option<i64>, bool);
type Seen = HashMap<String, Mark>;

fn mark(resource: &DynamicObject) -> Mark {
    (resource.metadata.generation, resource.metadata.deletion_timestamp.is_some())
}

/// The next resource whose spec has changed; none where the list has. Errors of the watch are its
/// own to heal; meanwhile the looks go on.
async fn next_change<S>(watched: &mut S, seen: &mut Seen) -> Option<String>
where
    S: futures::Stream<Item = Result<watcher::Event<DynamicObject>, watcher::Error>> + Unpin,
{
    loop {
        match watched.next().await {
            Some(Ok(watcher::Event::Apply(resource))) => {
                let now = mark(&resource);
                match seen.insert(resource.name_any(), now) {
                    None => return None,
                    Some(before) if before != now => return Some(resource.name_any()),
                    Some(_) => {}
                }
            }
            Some(Ok(watcher::Event::Delete(resource))) => {
                seen.remove(&resource.name_any());
                return None;
            }
            Some(Ok(watcher::Event::InitApply(resource))) => {
                seen.insert(resource.name_any(), mark(&resource));
            }
            Some(Ok(watcher::Event::InitDone)) => return None,
            Some(Ok(watcher::Event::Init)) => seen.clear(),
            Some(Err(error)) => tracing::debug!(%error, "the watch was interrupted"),
            None => std::future::pending().await,
        }
    }
}
