//! One process: it leads or waits, and reconciles each of our resources while it leads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DynamicObject, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use net::Clock;
use tokio::sync::{Notify, watch};

use super::metrics::Metrics;
use super::reconciler::Worker;
use super::shared::{Settings, Shared, lost};
use super::task::Task;
use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::leader_election::Election;
use crate::kubernetes::resource::resources;
use crate::kubernetes::{finalizer, lease};

/// How often the list of our resources is read even if no watch has spoken.
const RESOURCES_EVERY: Duration = Duration::from_secs(10);

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
/// own to heal; meanwhile the reconciles go on.
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
