//! What all parts of one process share: settings, clients, and for how long we lead.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kube::Client;
use lifecycle::Time;
use net::Clock;
use tokio::sync::watch;

use super::metrics::Metrics;
use crate::kubernetes::leader_election::Timing;

/// Called after each thing that was done to the world, with its name. Tests
/// stop the controller there, to resume it from every point.
pub type Hook = Arc<dyn Fn(String) -> BoxFuture<'static, ()> + Send + Sync>;

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
    /// Time between two reconciles while nothing is under way.
    pub idle: Duration,
    /// The lifecycle's numbers that no resource speaks of; what a spec says goes before.
    pub limits: lifecycle::Limits,
    /// Where a pod's address is reached, if not there: a test's pods are on loopback, which a real
    /// API server refuses as an endpoint.
    pub reach: Option<Reach>,
    /// See [`Hook`].
    pub hook: Option<Hook>,
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
            hook: None,
        }
    }
}

/// What all parts of one process share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) metrics: Arc<Metrics>,
    pub(super) leading: watch::Receiver<Option<Time>>,
}

impl Shared {
    /// How long we may still act; none where we may not.
    pub(super) fn may_act_for(&self) -> Option<Duration> {
        let until = (*self.leading.borrow())?;
        let left = until.since(self.clock.now());
        (!left.is_zero()).then_some(left)
    }

    pub(super) async fn hook(&self, what: impl Into<String>) {
        if let Some(hook) = &self.settings.hook {
            hook(what.into()).await;
        }
    }
}

/// Resolves when the lease is no longer ours, also if nobody says so in time.
pub(super) async fn lost(mut leading: watch::Receiver<Option<Time>>, clock: Clock) {
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
