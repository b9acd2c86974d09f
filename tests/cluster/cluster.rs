//! A namespace on the control plane with VerneMQ in it, and ways to look at it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use net::Clock;
use serde_json::{Value, json};
use simulator::fleet::Fleet;
use simulator::kubernetes::{Storage, VernemqInstall};
use simulator::model::{self, ManagementAuth};
use simulator::pods::Pods;
use tokio::task::JoinHandle;
use vernescale::api::VerneMQAutoscaler;
use vernescale::controller::{Controller, Metrics, Settings};
use vernescale::kubernetes::resource::resources;
use vernescale::telemetry::LogFormat;

use crate::apply::{self, apply, apply_yaml, try_apply};
use crate::control_plane::{CONTROLLER, ControlPlane};
use crate::kubelet::{Kubelet, SCHEDULER};

pub(crate) const NAMESPACE: &str = "mqtt";
pub(crate) const NAME: &str = "vmq";
/// Longest wait for anything: a shrink takes some ten seconds of real time here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
static BLOCKS: AtomicU32 = AtomicU32::new(0);

/// What is another in the next cluster.
pub(crate) struct Setup {
    /// One of [`crate::control_plane::NAMESPACES`].
    pub(crate) namespace: &'static str,
    /// First size.
    pub(crate) replicas: u32,
    /// Where the brokers keep their data.
    pub(crate) storage: Storage,
    /// Merged into the spec of our resource.
    pub(crate) spec: Value,
    /// Values of the chart.
    pub(crate) values: &'static [&'static str],
    /// Pods are at the very addresses that the API shows; see `network.rs`.
    pub(crate) own_network: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            namespace: NAMESPACE,
            replicas: 1,
            storage: Storage::EmptyDir,
            spec: json!({}),
            values: &[],
            own_network: false,
        }
    }
}

pub(crate) struct Cluster {
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) admin: Client,
    pub(crate) namespace: &'static str,
    pub(crate) pods: Pods,
    clock: Clock,
    kubelet: Arc<Kubelet>,
    kubelet_task: JoinHandle<()>,
    /// Of the controller that was started last.
    metrics: Mutex<Option<Arc<Metrics>>>,
}

impl Cluster {
    /// Alone on a control plane; none where its programs cannot be had.
    pub(crate) async fn start() -> Option<Self> {
        Some(Self::on(&ControlPlane::start().await?, Setup::default()).await)
    }

    /// Everything but the controller; the first nodes serve.
    pub(crate) async fn on(plane: &Arc<ControlPlane>, setup: Setup) -> Self {
        // What the controller says is half of what a failed wait needs.
        let _ = vernescale::telemetry::install(Some(LogFormat::Text), "warn,vernescale=debug");
        let admin = plane.admin().await;
        let clock = Clock::system();
        let mut model = model::Settings { management_auth: ManagementAuth::Noauth, ..Default::default() };
        model.timing = model.timing.with_joins_faster(5);
        let pods = Pods::new(Fleet::start(clock, model));
        let namespace = setup.namespace;
        apply::namespace(&admin, namespace).await;
        let block = (!setup.own_network).then(|| {
            // Both of the process and of the cluster in it: two runs on one machine must not meet.
            let process = u8::try_from(std::process::id() % 120).expect("below 120");
            let cluster = u8::try_from(BLOCKS.fetch_add(1, Ordering::Relaxed)).expect("a handful of worlds");
            (100 + process, cluster)
        });
        let (kubelet, kubelet_task) =
            Kubelet::start(&admin, namespace, Arc::new(pods.clone()), block, clock).await;
        let (plane, metrics) = (Arc::clone(plane), Mutex::default());
        let cluster = Self { plane, admin, namespace, pods, clock, kubelet, kubelet_task, metrics };
        cluster.install(&setup).await;
        cluster
    }

    async fn install(&self, setup: &Setup) {
        self.define(str::to_owned).await;
        apply_yaml(&self.admin, &self.plane.rights(self.namespace, setup.values)).await;
        let install = VernemqInstall {
            name: NAME.to_owned(),
            namespace: self.namespace.to_owned(),
            replicas: setup.replicas,
            storage: setup.storage,
            ..VernemqInstall::default()
        };
        for mut object in install.objects() {
            if object["kind"] == "StatefulSet" {
                let spec = &mut object["spec"];
                spec["template"]["spec"]["schedulerName"] = json!(SCHEDULER);
                for claim in spec["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
                    // A disk is made up: nobody is to make one.
                    claim["spec"]["storageClassName"] = json!(SCHEDULER);
                }
            }
            apply(&self.admin, &object).await;
        }
        let first = setup.replicas as usize;
        self.until("the first nodes serve", |w| w.serving == first && w.agreed(first)).await;
        let mut resource = json!({
            "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
            "metadata": { "name": NAME, "namespace": self.namespace },
            "spec": {
                "mode": "Active", "targetRef": { "name": NAME }, "clientService": NAME,
                "minReplicas": 1, "maxReplicas": 3, "wishFrom": "Scale", "replicas": setup.replicas,
                "churn": [{ "leaves": 100, "per": "1h" }], "settle": "1s",
            },
        });
        json_patch::merge(&mut resource["spec"], &setup.spec);
        self.until_ok(|| try_apply(&self.admin, &resource)).await;
    }

    /// The controller, with the rights that the chart gives it.
    pub(crate) async fn start_controller(&self) -> JoinHandle<()> {
        let mut settings = Settings::new(self.namespace, "test");
        settings.idle = Duration::from_millis(500);
        settings.limits = lifecycle::Limits {
            joined: Duration::from_secs(2),
            quiet: Duration::from_secs(1),
            ..lifecycle::Limits::default()
        };
        let kubelet = Arc::clone(&self.kubelet);
        settings.reach = Some(Arc::new(move |address| kubelet.loopback(address)));
        let token = self.plane.token(self.namespace, CONTROLLER).await;
        let client = self.plane.client(&token).await;
        let controller = Controller::new(client, self.clock, settings);
        *self.metrics.lock().expect("not poisoned") = Some(controller.metrics());
        tokio::spawn(controller.run())
    }

    /// Objects of this namespace, with all rights.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.admin.clone(), self.namespace)
    }

    /// Somebody who changes the StatefulSet, its Lease and our resource all the time, as a busy cluster does.
    pub(crate) fn write_all_the_time(&self) -> JoinHandle<()> {
        let sets = self.sets();
        let leases = self.api::<Lease>();
        let resources = self.api::<VerneMQAutoscaler>();
        tokio::spawn(async move {
            for number in 0_u32.. {
                let note = Patch::Merge(
                    json!({ "metadata": { "annotations": { "test/number": number.to_string() } } }),
                );
                // While an object is being read by others, its resourceVersion moves under them.
                let _ = sets.patch(NAME, &PatchParams::default(), &note).await;
                let _ = leases.patch("vernescale", &PatchParams::default(), &note).await;
                let _ = resources.patch(NAME, &PatchParams::default(), &note).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }

    /// Writes of the controller that the API server has refused with 409, as it counts them itself.
    pub(crate) fn conflicts(&self) -> u32 {
        let metrics = self.metrics.lock().expect("not poisoned").clone();
        let page = metrics.map(|metrics| metrics.page()).unwrap_or_default();
        let counted =
            page.lines().find_map(|line| line.strip_prefix(r#"vernescale_errors_total{kind="Conflict"} "#));
        counted.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn sets(&self) -> Api<StatefulSet> {
        self.api()
    }

    /// By the scale subresource of our resource, as `kubectl scale` does.
    pub(crate) async fn wish(&self, size: u32) {
        let patch = Patch::Merge(json!({ "spec": { "replicas": size } }));
        self.api::<VerneMQAutoscaler>()
            .patch_scale(NAME, &PatchParams::default(), &patch)
            .await
            .expect("kubectl scale on our resource");
    }

    /// Merges into the spec of our resource.
    pub(crate) async fn edit_spec(&self, spec: &Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let resources = self.api::<VerneMQAutoscaler>();
        resources.patch(NAME, &PatchParams::default(), &patch).await.expect("the spec is taken");
    }

    /// Who holds the lease.
    pub(crate) async fn leader(&self) -> Option<String> {
        self.api::<Lease>().get_opt("vernescale").await.ok().flatten()?.spec?.holder_identity
    }

    /// Our resources, whatever is in them.
    pub(crate) fn resources(&self) -> Api<DynamicObject> {
        resources(&self.admin, self.namespace)
    }

    /// Defines our kind anew, with something changed.
    pub(crate) async fn define(&self, change: impl Fn(&str) -> String) {
        apply::define(&self.admin, change).await;
    }

    pub(crate) async fn apply_file(&self, path: &str) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        apply_yaml(&self.admin, &text).await;
    }

    /// Tries until the API server answers (a kind that was just made is not served at once).
    pub(crate) async fn until_ok<F: Future<Output = Result<(), String>>>(&self, attempt: impl Fn() -> F) {
        let mut last = String::new();
        let waiting = async {
            loop {
                match attempt().await {
                    Ok(()) => return,
                    Err(error) => last = error,
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let done = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(done.is_ok(), "not within {DEADLINE:?}: {last}");
    }

    /// Tries until it is refused (a policy takes seconds to become effective); what the refusal says.
    pub(crate) async fn until_refused<T, F: Future<Output = kube::Result<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> String {
        let waiting = async {
            loop {
                if let Err(error) = attempt().await {
                    return error.to_string();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("the guard has become effective")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet_task.abort();
    }
}
