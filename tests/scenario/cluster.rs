//! The cluster of a scenario.
//!
//! ```ignore
//! let mut cluster = Cluster::builder(Via::Exec).replicas(3).start().await;
//! cluster.start_controller("a");
//! cluster.load(40.0).await;
//! cluster.until("ten nodes", minutes(20), |cluster| cluster.serving() == 10).await;
//! cluster.assert_invariants().await;
//! ```

mod builder;
mod hooks;
mod invariants;
mod load;
mod pace;
mod probe;
mod write_preconditions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lifecycle::{Intent, Limits, NodeName, Time};
use net::Clock;
use serde_json::{Value, json};
use simulator::fleet::Fleet;
use simulator::kubernetes::Kubernetes;
use simulator::model::Process;
use simulator::pods::Pods;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vernescale::api::{VerneMQAutoscaler, VerneMQAutoscalerStatus};
use vernescale::controller::{Controller, Hook, Metrics, Settings};
use vernescale::kubernetes::leader_election::Timing;

pub(crate) use hooks::Hooks;
pub(crate) use load::Load;
pub(crate) use probe::Prober;

pub(crate) use builder::Builder;

use invariants::Invariants;
use pace::Pace;
use write_preconditions::{Records, unguarded};

/// Namespace of everything.
pub(crate) const NAMESPACE: &str = "mqtt";
/// Name of the StatefulSet, of the client Service and of our resource.
pub(crate) const NAME: &str = "vmq";

/// Between two reconciles of [`Cluster::until`].
const STEP: Duration = Duration::from_millis(100);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// What the invariants look at.
#[derive(Clone, Copy)]
struct Moment<'a> {
    kubernetes: &'a Kubernetes,
    fleet: &'a Fleet,
    pods: &'a Pods,
    at: Time,
}

/// Everything there is.
pub(crate) struct Cluster {
    pub(crate) clock: Clock,
    pub(crate) fleet: Fleet,
    pub(crate) pods: Pods,
    pub(crate) kubernetes: Kubernetes,
    /// What the controller has done, and where it is to be stopped.
    pub(crate) hooks: Hooks,
    /// Publishers and persistent subscribers, with a ledger.
    pub(crate) load: Load,
    /// Ten connects a second to the client Service.
    pub(crate) prober: Prober,
    invariants: Invariants,
    pace: Pace,
    records: Records,
    controllers: BTreeMap<String, JoinHandle<()>>,
    metrics: BTreeMap<String, Arc<Metrics>>,
    /// Every identity that a controller has had.
    identities: Vec<String>,
    timing: Timing,
    /// Messages that were acknowledged before load was asked for; none where nothing is expected of it.
    acknowledged_before: Option<usize>,
    limits: Limits,
    began: Time,
}

impl Cluster {
    /// Starts a controller process with this identity.
    pub(crate) fn start_controller(&mut self, identity: &str) {
        let controller = self.controller(identity);
        self.spawn(identity, controller.run());
    }

    /// The same, to be ended as by SIGTERM.
    pub(crate) fn start_controller_until(&mut self, identity: &str) -> oneshot::Sender<()> {
        let controller = self.controller(identity);
        let (stop, stopped) = oneshot::channel();
        self.spawn(identity, controller.run_until(async { drop(stopped.await) }));
        stop
    }

    fn spawn(&mut self, identity: &str, process: impl Future<Output = ()> + Send + 'static) {
        let old = self.controllers.insert(identity.to_owned(), tokio::spawn(process));
        assert!(old.is_none_or(|old| old.is_finished()), "{identity} runs already");
    }

    fn controller(&mut self, identity: &str) -> Controller {
        let (hook, records) = (self.hooks.hook(), self.records.clone());
        let (kubernetes, name) = (self.kubernetes.clone(), identity.to_owned());
        let hook: Hook = Arc::new(move |done: String| {
            records.done(&kubernetes, &name, &done);
            hook(done)
        });
        let hook = Some(hook);
        self.identities.push(identity.to_owned());
        let (timing, limits) = (self.timing, self.limits.clone());
        let settings = Settings { hook, timing, limits, ..Settings::new(NAMESPACE, identity) };
        let controller = Controller::new(self.kubernetes.client_named(identity), self.clock, settings);
        self.metrics.insert(identity.to_owned(), controller.metrics());
        controller
    }

    /// `/metrics` of the controller that was last started with this identity.
    pub(crate) fn metrics(&self, identity: &str) -> String {
        self.metrics.get(identity).map(|metrics| metrics.page()).unwrap_or_default()
    }

    /// As SIGKILL: nothing is said, every connection of its is closed.
    pub(crate) async fn kill_controller(&mut self, identity: &str) {
        if let Some(running) = self.controllers.remove(identity) {
            running.abort();
            let _ = running.await;
        }
    }

    /// Runs until the controller has done its `n`-th thing (from 1) since now, and kills it there.
    /// The name of the thing; none where the scenario was over before, after `within`.
    pub(crate) async fn kill_after(&mut self, identity: &str, n: usize, within: Duration) -> Option<String> {
        let stopped = self.hooks.stop_after(n);
        let looked = async {
            self.pass(within).await;
            None
        };
        let name = tokio::select! {
            biased;
            name = stopped => name,
            none = looked => none,
        };
        let Some(name) = name else {
            self.hooks.go_on();
            return None;
        };
        self.kill_controller(identity).await;
        Some(name)
    }

    /// Merges into the spec of our resource, as `kubectl apply` would.
    pub(crate) fn edit_spec(&self, spec: &Value) {
        let edit = json!({
            "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
            "metadata": { "name": NAME, "namespace": NAMESPACE }, "spec": spec,
        });
        self.kubernetes.apply(&edit).expect("the spec is taken");
    }

    /// Lets time pass until something holds; checks what must never happen meanwhile.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Duration {
        let began = self.clock.now();
        while !holds(self) {
            let took = self.clock.now().since(began);
            assert!(took <= within, "not within {within:?}: {what}\n{}", self.dump());
            self.pass(STEP).await;
        }
        self.clock.now().since(began)
    }

    /// Lets time pass; checks what must never happen meanwhile.
    pub(crate) async fn pass(&mut self, span: Duration) {
        let until = self.clock.now() + span;
        while self.clock.now() < until {
            tokio::time::sleep(STEP.min(until.since(self.clock.now()))).await;
            if let Err(broken) = self.look() {
                panic!("{broken}\n{}", self.dump());
            }
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let at = self.clock.now();
        let moment = Moment { kubernetes: &self.kubernetes, fleet: &self.fleet, pods: &self.pods, at };
        self.invariants.look(&moment)?;
        self.pace.look(&moment)?;
        self.records.broken().map_or(Ok(()), Err)
    }

    /// Begins to publish `rate` messages a second in all; returns when every subscriber is on.
    pub(crate) async fn load(&mut self, rate: f64) {
        self.acknowledged_before = Some(self.load.acknowledged());
        self.load.set_rate(rate);
        let deadline = self.clock.now() + minutes(1);
        while !self.load.ready() {
            assert!(self.clock.now() < deadline, "the load does not get on\n{}", self.dump());
            self.pass(STEP).await;
        }
    }

    /// No refused connect, refusals by code 3 only around a leave, nothing lost, no dead member, no isolated node.
    pub(crate) async fn assert_invariants(&mut self) {
        self.load.set_rate(0.0);
        self.pass(seconds(20)).await;
        let report = format!(
            "{} probes, {} leaves\n{}",
            self.prober.count(),
            self.invariants.leaves().len(),
            self.dump()
        );
        assert_eq!(self.prober.refused_connects(), Vec::<String>::new(), "TCP connects refused\n{report}");
        let outside = self.prober.outside(self.invariants.leaves());
        assert_eq!(outside, Vec::<String>::new(), "CONNACK 3 without a leave\n{report}");
        let worst = self.prober.worst(self.invariants.leaves());
        assert!(worst <= 12, "{worst} probes refused by one leave\n{report}");
        assert_eq!(self.load.lost(), Vec::<String>::new(), "acknowledged QoS 1 messages lost\n{report}");
        // Where nothing was acknowledged, nothing could be lost.
        if let Some(before) = self.acknowledged_before.take() {
            assert!(self.load.acknowledged() > before, "nothing was acknowledged\n{report}");
        }
        assert_eq!(self.dead_members(), Vec::<String>::new(), "dead members\n{report}");
        let unguarded = unguarded(&self.kubernetes.log(), &self.identities);
        assert_eq!(unguarded, Vec::<String>::new(), "writes without a guard");
    }

    /// `kubectl scale` on our resource, where `wishFrom` is `Scale`.
    pub(crate) fn wish(&self, size: u64) {
        let edited = self.edit(|resource| resource["spec"]["replicas"] = size.into());
        assert!(edited, "our resource is gone");
    }

    /// Changes our resource as a user would.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) -> bool {
        self.kubernetes.edit("vernemqautoscalers", NAMESPACE, NAME, change)
    }

    /// Pods that the client Service sends clients to.
    pub(crate) fn serving(&self) -> usize {
        self.kubernetes.endpoints(NAMESPACE, NAME).iter().filter(|endpoint| endpoint.ready).count()
    }

    /// `spec.replicas` of the StatefulSet.
    pub(crate) fn replicas(&self) -> u64 {
        replicas(&self.kubernetes)
    }

    /// Pods that exist.
    pub(crate) fn pod_count(&self) -> usize {
        self.kubernetes.objects("pods", NAMESPACE).len()
    }

    /// Our resource as the API has it.
    pub(crate) fn resource(&self) -> Option<VerneMQAutoscaler> {
        let object = self.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME)?;
        serde_json::from_value((*object).clone()).ok()
    }

    /// Its status.
    pub(crate) fn status(&self) -> VerneMQAutoscalerStatus {
        self.resource().and_then(|resource| resource.status).unwrap_or_default()
    }

    /// A condition that stands.
    pub(crate) fn condition(&self, name: &str) -> Option<Condition> {
        let conditions = self.status().conditions;
        conditions.into_iter().find(|one| one.type_ == name && one.status == "True")
    }

    /// The step that is recorded on the StatefulSet, such as `Leave`.
    pub(crate) fn step(&self) -> Option<String> {
        intent(&self.kubernetes).map(|intent| format!("{:?}", intent.step))
    }

    /// Nothing is under way, and the size is what is wanted.
    pub(crate) fn settled(&self, size: u64) -> bool {
        let done = self.step().is_none_or(|step| step == "Done");
        done && self.replicas() == size && self.pod_count() as u64 == size && self.serving() as u64 == size
    }

    /// What is recorded on the StatefulSet.
    pub(crate) fn intent(&self) -> Option<Intent> {
        intent(&self.kubernetes)
    }

    /// The broker's node in a pod, by ordinal.
    pub(crate) fn node(&self, ordinal: u32) -> Option<NodeName> {
        self.pods.node_of(&format!("{NAME}-{ordinal}"))
    }

    /// What each running node's own view says against the nodes that run.
    pub(crate) fn dead_members(&self) -> Vec<String> {
        let pods = self.kubernetes.objects("pods", NAMESPACE);
        let names = pods.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str());
        let nodes: Vec<_> = names.filter_map(|pod| self.pods.node_of(pod)).collect();
        let mut dead = Vec::new();
        for node in &nodes {
            let view = self.fleet.with_model(|model, _| model.members_seen_by(node));
            let whole = view.len() == nodes.len() && view.values().all(|running| *running);
            if self.fleet.process(node) != Process::Running || !whole {
                dead.push(format!("{node} sees {view:?}"));
            }
        }
        dead
    }

    /// What a person would look at.
    pub(crate) fn dump(&self) -> String {
        let status = self.status();
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .filter(|one| one.status == "True")
            .map(|one| format!("  {}: {}", one.type_, one.message))
            .collect();
        format!(
            "at {:?}: replicas {}, pods {}, serving {}, step {:?}, wanted {:?}, target {:?}\n{}\nexplain: {}\nlast: {:?}\nnodes: {:#?}\n{}\n{}",
            self.clock.now().since(self.began),
            self.replicas(),
            self.pod_count(),
            self.serving(),
            self.step(),
            status.wanted,
            status.target,
            conditions.join("\n"),
            status.explain.unwrap_or_default(),
            self.hooks.last(20),
            self.dead_members(),
            self.prober.summary(),
            self.load.summary(),
        )
    }
}

fn replicas(kubernetes: &Kubernetes) -> u64 {
    let set = kubernetes.object("statefulsets", NAMESPACE, NAME);
    set.and_then(|set| set.pointer("/spec/replicas").and_then(Value::as_u64)).unwrap_or(0)
}

/// What is recorded on the StatefulSet.
fn intent(kubernetes: &Kubernetes) -> Option<Intent> {
    let set = kubernetes.object("statefulsets", NAMESPACE, NAME)?;
    serde_json::from_str(set.pointer("/metadata/annotations/vernescale.dev~1intent")?.as_str()?).ok()
}
