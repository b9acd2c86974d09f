//! Act: record the intent, then make the calls that the step asked for.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use kube::api::Api;
use lifecycle::{Call, Effect, Intent, Listener, Observed, Ordinal, Output};

use super::brokers::{Ask, members};
use super::in_flight::{InFlight, Slot};
use super::observation::Observation;
use super::observe;
use super::rehearsal;
use super::shared::{Shared, lost};
use crate::kubernetes::call::Failure;
use crate::kubernetes::names::pod_name;
use crate::kubernetes::{delete, finalizer, scale, serving_label, touch};
use crate::vernemq::admin::{AdminClient, Command, call};
use crate::vernemq::sessions::{Kicked, Lane, Round, drain_round};
use net::{Clock, Login};
use tokio::sync::Notify;

/// Longest wait for the answer of a short call to a broker. The slowest of them, `vmq-admin` on a
/// busy machine, took 3 s (docs/broker/http-api.md, "vmq-admin"). What is left of the lease bounds it as well
/// (I9).
const SHORT_CALL: Duration = Duration::from_secs(9);

/// Deadline of the question before each batch of disconnects. The slowest scrape under a drain took 0.41 s
/// (docs/broker/drain.md, "Paced or at once").
const WHOLE_WITHIN: Duration = Duration::from_secs(1);

/// A long call has been under way for so long that it was certainly sent: one more point at which
/// tests stop the controller.
const SURELY_SENT: Duration = Duration::from_millis(300);

/// What an effect needs of the work on one resource.
pub(super) struct Apply<'a> {
    pub(super) shared: &'a Arc<Shared>,
    /// Name of the resource.
    pub(super) name: &'a str,
    pub(super) wake: &'a Arc<Notify>,
    pub(super) calls: &'a mut InFlight,
    /// Of the routing probe.
    pub(super) login: Option<&'a Result<Login, String>>,
}

impl Apply<'_> {
    /// Does what one step asked for. The first failure ends it: what was not done is asked for
    /// again by the next reconcile, if it still is right then.
    pub(super) async fn perform(&mut self, observed: &mut Observation, out: &Output) -> Result<(), Failure> {
        let changed = out.intent.as_ref() != observed.held.intent();
        if (!changed && out.effects.is_empty()) || self.shared.may_act_for().is_none() {
            return Ok(());
        }
        let mut fresh = false;
        if let (true, Some(intent)) = (changed, &out.intent) {
            if intent.active() {
                self.hold(observed).await?;
            }
            self.swap(observed, intent).await?;
            self.shared.hook(format!("record {:?}", intent.step)).await;
            fresh = true;
        }
        for effect in &out.effects {
            if self.shared.may_act_for().is_none() {
                tracing::warn!(resource = self.name, ?effect, "not done: the lease is lost");
                return Ok(());
            }
            match (Slot::of(effect), &out.intent) {
                (Some(slot), Some(intent)) if self.calls.may_ask(slot, effect, self.shared.clock.now()) => {
                    // Nobody else has taken over: proven before each call to a broker (I9).
                    if !fresh {
                        self.swap(observed, intent).await?;
                    }
                    fresh = false;
                    self.call(observed, slot, intent, effect);
                }
                (Some(_), _) => continue,
                (None, _) => self.write(observed, effect).await?,
            }
            let epoch = out.intent.as_ref().map(|intent| intent.epoch);
            tracing::info!(resource = self.name, epoch, ?effect, "act");
            self.shared.hook(name_of(effect)).await;
        }
        Ok(())
    }

    /// Our resource stays until the change is through, even if somebody deletes it.
    async fn hold(&mut self, observed: &mut Observation) -> Result<(), Failure> {
        // What is going takes no new finalizer.
        if finalizer::held(&observed.resource) || observed.resource.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let resources = Api::namespaced(self.shared.client.clone(), &self.shared.settings.namespace);
        observed.resource = finalizer::take(&resources, &observed.resource).await?;
        self.shared.hook("hold").await;
        Ok(())
    }

    async fn swap(&self, observed: &mut Observation, intent: &Intent) -> Result<(), Failure> {
        let statefulsets = Api::namespaced(self.shared.client.clone(), &self.shared.settings.namespace);
        let writer = &self.shared.settings.identity;
        observed.held = observed.held.swap(&statefulsets, &observed.statefulset, intent, writer).await?;
        Ok(())
    }

    /// A guarded write to Kubernetes, or the end of a call.
    async fn write(&mut self, observed: &Observation, effect: &Effect) -> Result<(), Failure> {
        let (client, namespace) = (self.shared.client.clone(), &self.shared.settings.namespace);
        let set = observed.statefulset.name_any();
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        match effect {
            Effect::LabelServing { ordinal, pod_uid, serving } => {
                serving_label::label(&pods, &pod_name(&set, *ordinal), pod_uid, *serving).await
            }
            Effect::SetReplicas { uid, from, to, pod } => {
                let statefulsets = Api::<StatefulSet>::namespaced(client, namespace);
                let change = scale::Change { uid, from: *from, to: *to, pod: pod.as_deref() };
                scale::set(&statefulsets, &pods, &set, change).await
            }
            Effect::Touch { .. } => {
                let statefulsets = Api::<StatefulSet>::namespaced(client, namespace);
                touch::touch(&statefulsets, &observed.statefulset, self.shared.clock.now()).await
            }
            Effect::DeletePod { ordinal, uid } => delete::pod(&pods, &pod_name(&set, *ordinal), uid).await,
            Effect::DeleteClaim { name, uid } => {
                let claims = Api::<PersistentVolumeClaim>::namespaced(client, namespace);
                delete::claim(&claims, name, uid).await
            }
            Effect::RevokeLeave => {
                self.calls.revoke_leave();
                Ok(())
            }
            // Calls to brokers have a slot and do not come here.
            Effect::Suspend { .. }
            | Effect::DrainBatch { .. }
            | Effect::Leave { .. }
            | Effect::Reopen { .. }
            | Effect::RoutingProbe { .. } => Ok(()),
        }
    }

    /// Starts a call to a broker beside the reconciles. It ends with the lease, and with us.
    fn call(&mut self, observed: &Observation, slot: Slot, intent: &Intent, effect: &Effect) {
        let limit = self.shared.may_act_for().unwrap_or_default().min(SHORT_CALL);
        let now = self.shared.clock.now();
        let tag = format!("{}-{}", intent.epoch, now.0);
        let client = |ordinal| client(self.shared, observed, ordinal);
        let name = name_of(effect);
        let future: std::pin::Pin<Box<dyn Future<Output = Call> + Send>> = match effect {
            Effect::Suspend { coordinator, target } => {
                Box::pin(ask(client(*coordinator), Command::Suspend(target.clone()), limit))
            }
            Effect::Leave { coordinator, target, deadline } => {
                // Longer than the lease: it is renewed meanwhile, and the call dropped if it is not.
                Box::pin(ask(client(*coordinator), Command::Leave(target.clone()), *deadline))
            }
            Effect::Reopen { ordinal, listener, deleted } => {
                Box::pin(ask(client(*ordinal), reopen(listener, *deleted), limit))
            }
            Effect::DrainBatch { coordinators, target, ids, batch, .. } => {
                let lane =
                    |coordinator| Some(lane(client(coordinator)?, observed.asks.get(&coordinator)?.clone()));
                let lanes = coordinators.iter().filter_map(|coordinator| lane(*coordinator)).collect();
                let round = Round { target: target.clone(), ids: *ids, batch: *batch };
                Box::pin(drain(lanes, round, self.calls.kicked(), self.shared.clock, limit))
            }
            Effect::RoutingProbe { newcomer, peer } => {
                let login = self.login;
                Box::pin(rehearsal::crossing(observed, *newcomer, *peer, login, tag, limit))
            }
            _ => return,
        };
        let shared = Arc::clone(self.shared);
        let guarded = async move {
            let outcome = tokio::select! {
                outcome = future => outcome,
                () = lost(shared.leading.clone(), shared.clock) => Call::Unknown("the lease was lost".into()),
                () = under_way(&shared, &name) => unreachable!("it only calls the hook"),
            };
            tracing::info!(call = name, ?outcome, "answer");
            shared.hook(format!("{name} answered")).await;
            outcome
        };
        self.calls.start(intent.epoch, slot, now, Arc::clone(self.wake), guarded);
        self.calls.asked(slot, effect, now);
    }
}

async fn under_way(shared: &Shared, name: &str) {
    tokio::time::sleep(SURELY_SENT).await;
    shared.hook(format!("{name} under way")).await;
    std::future::pending::<()>().await;
}

async fn ask(client: Option<AdminClient>, command: Command, limit: Duration) -> Call {
    match client {
        Some(client) => call(client.ask(&command, limit).await),
        None => Call::Refused("the pod that is to be asked does not exist".into()),
    }
}

async fn drain(
    lanes: Vec<Lane>,
    round: Round,
    kicked: Arc<std::sync::Mutex<Kicked>>,
    clock: Clock,
    limit: Duration,
) -> Call {
    // All of its commands together: none begins once the lease may be another's.
    tokio::time::timeout(limit, drain_round(&lanes, &round, &kicked, clock, limit))
        .await
        .unwrap_or_else(|_| Call::Unknown(format!("the round was not through within {limit:?}")))
}

/// A member that disconnects sessions as long as it sees all others running.
fn lane(client: AdminClient, ask: Ask) -> Lane {
    let whole = move || {
        let ask = ask.clone();
        let ask_all = async move {
            let by = ask.ordinal;
            match members(&ask, WHOLE_WITHIN).await {
                Observed::Seen(view) => match view.into_iter().find(|(_, running)| !running) {
                    None => Ok(()),
                    Some((name, _)) => Err(format!("{name} is not running in the view of pod {by}")),
                },
                Observed::Unknown(why) => {
                    Err(format!("what pod {by} says of the members is not known: {why}"))
                }
            }
        };
        ask_all.boxed()
    };
    Lane { client, whole: Box::new(whole) }
}

fn reopen(listener: &Listener, deleted: bool) -> Command {
    // `restart` of a deleted one is a 500, `start` of a suspended one `already_started`
    // (docs/broker/listeners.md, "Suspended, deleted, opened again").
    if deleted {
        Command::ListenerStart(listener.clone())
    } else {
        Command::ListenerRestart(listener.clone())
    }
}

fn client(shared: &Shared, observed: &Observation, ordinal: Ordinal) -> Option<AdminClient> {
    let management = observed.management.get(&ordinal)?;
    let pods = Api::namespaced(shared.client.clone(), &shared.settings.namespace);
    let pod = pod_name(&observed.statefulset.name_any(), ordinal);
    Some(observe::client(&observed.resource, management, &pods, pod))
}

/// First word of the effect, for logs, metrics and tests.
pub(super) fn name_of(effect: &Effect) -> String {
    let text = format!("{effect:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}
