//! A namespace on the control plane with VerneMQ in it, and ways to look at it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::Discovery;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use vernescale::clock::Clock;
use vernescale::controller::{Controller, Settings};
use vernescale::crd::VerneMQAutoscaler;
use vernescale::standin::cluster_model::{self, ManagementAuth};
use vernescale::standin::fleet::Fleet;
use vernescale::standin::kubernetes::{Storage, VernemqInstall};
use vernescale::standin::pods::Pods;
use vernescale::telemetry::LogFormat;

use crate::control_plane::ControlPlane;
use crate::kubelet::{self, Kubelet};

pub(crate) const NAMESPACE: &str = "mqtt";
pub(crate) const NAME: &str = "vmq";
/// Longest wait for anything: a shrink takes some ten seconds of real time here.
const DEADLINE: Duration = Duration::from_secs(90);
/// One control plane at a time is what two cores can carry.
pub(crate) static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
static BLOCKS: AtomicU32 = AtomicU32::new(0);

pub(crate) struct World {
    pub(crate) plane: ControlPlane,
    pub(crate) admin: Client,
    clock: Clock,
    pods: Pods,
    kubelet: Arc<Kubelet>,
    kubelet_task: JoinHandle<()>,
    conflicts: Arc<AtomicU32>,
    _alone: tokio::sync::MutexGuard<'static, ()>,
}

/// One look at everything.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) replicas: i32,
    pub(crate) pods: usize,
    pub(crate) serving: usize,
    pub(crate) restarts: i32,
    pub(crate) intent: Option<String>,
    /// What every running broker lists: names and whether each runs.
    views: Vec<Vec<(String, bool)>>,
}

impl Seen {
    /// So many brokers run, and each lists exactly all of them as running.
    pub(crate) fn agreed(&self, size: usize) -> bool {
        self.views.len() == size
            && self.views.iter().all(|view| view.len() == size && view.iter().all(|(_, up)| *up))
    }
}

/// Where the control plane's programs are; none where they cannot be had.
#[expect(clippy::print_stdout, reason = "a skip says why")]
pub(crate) fn programs() -> Option<PathBuf> {
    let output = std::process::Command::new("tests/cluster/build.sh").output();
    match output {
        Ok(output) if output.status.success() => {
            Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        }
        failed => {
            let why = failed.map_or_else(
                |error| error.to_string(),
                |output| String::from_utf8_lossy(&output.stderr).into_owned(),
            );
            assert!(std::env::var_os("CI").is_none(), "no control plane: {why}");
            println!("skipped: no control plane: {why}");
            None
        }
    }
}

impl World {
    pub(crate) async fn start() -> Option<Self> {
        // Both of the process and of the test in it: two runs on one machine must not meet.
        let process = u8::try_from(std::process::id() % 120).expect("below 120");
        let test = u8::try_from(BLOCKS.fetch_add(1, Ordering::Relaxed)).expect("a handful of tests");
        Self::start_at(Some((100 + process, test))).await
    }

    /// With pods at the very addresses that the API shows; see `network.rs`.
    pub(crate) async fn start_in_own_network() -> Option<Self> {
        Self::start_at(None).await
    }

    async fn start_at(block: Option<(u8, u8)>) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().await;
        let bin = programs()?;
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // What the controller says is half of what a failed wait needs.
        let _ = vernescale::telemetry::install(Some(LogFormat::Text), "warn,vernescale=debug");
        let plane = ControlPlane::start(&bin).await;
        let admin = plane.admin().await;
        let clock = Clock::system();
        let mut model =
            cluster_model::Settings { management_auth: ManagementAuth::Noauth, ..Default::default() };
        model.timing = model.timing.with_joins_faster(5);
        let pods = Pods::new(Fleet::start(clock, model));
        apply(&admin, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } }))
            .await;
        // The EndpointSlice controller leaves out pods on a node that it does not know.
        apply(&admin, &json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": kubelet::NODE } }))
            .await;
        let (kubelet, kubelet_task) = Kubelet::start(&admin, NAMESPACE, Arc::new(pods.clone()), block);
        let conflicts = Arc::default();
        let world = Self { plane, admin, clock, pods, kubelet, kubelet_task, conflicts, _alone: alone };
        world.install(&bin).await;
        Some(world)
    }

    async fn install(&self, bin: &std::path::Path) {
        self.apply_file("charts/vernescale/crds/vernemqautoscalers.yaml").await;
        let rendered = std::process::Command::new(bin.join("helm"))
            .args([
                "template",
                "vernescale",
                "charts/vernescale",
                "--namespace",
                NAMESPACE,
                "--show-only",
                "templates/rbac.yaml",
                "--kube-version",
                "1.35.4",
            ])
            .output()
            .expect("helm is beside the control plane");
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        self.apply_yaml(&String::from_utf8_lossy(&rendered.stdout)).await;
        let install = VernemqInstall {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            storage: Storage::EmptyDir,
            ..VernemqInstall::default()
        };
        for object in install.objects() {
            apply(&self.admin, &object).await;
        }
        self.until("the first node serves", |w| w.serving == 1).await;
        let resource = json!({
            "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
            "metadata": { "name": NAME, "namespace": NAMESPACE },
            "spec": {
                "mode": "Active", "targetRef": { "name": NAME }, "clientService": NAME,
                "minReplicas": 1, "maxReplicas": 3, "wishFrom": "Scale", "replicas": 1,
                "churn": [{ "leaves": 100, "per": "1h" }], "settle": "1s",
            },
        });
        self.until_ok(|| try_apply(&self.admin, &resource)).await;
    }

    /// The controller, with the rights that the chart gives it.
    pub(crate) async fn start_controller(&self) -> JoinHandle<()> {
        let mut settings = Settings::new(NAMESPACE, "test");
        settings.idle = Duration::from_millis(500);
        settings.limits = lifecycle::Limits {
            joined: Duration::from_secs(2),
            quiet: Duration::from_secs(1),
            ..lifecycle::Limits::default()
        };
        let kubelet = Arc::clone(&self.kubelet);
        settings.reach = Some(Arc::new(move |address| kubelet.loopback(address)));
        let client = self.plane.controller().await;
        tokio::spawn(Controller::new(client, self.clock, settings).run())
    }

    /// Somebody who changes the StatefulSet and its Lease all the time, as a busy cluster does.
    pub(crate) fn write_all_the_time(&self) -> JoinHandle<()> {
        let sets = self.sets();
        let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
            Api::namespaced(self.admin.clone(), NAMESPACE);
        let conflicts = Arc::clone(&self.conflicts);
        tokio::spawn(async move {
            for number in 0_u32.. {
                let note = Patch::Merge(
                    json!({ "metadata": { "annotations": { "test/number": number.to_string() } } }),
                );
                // While the object is being read by others, its resourceVersion moves under them.
                if sets.patch("vmq", &PatchParams::default(), &note).await.is_ok()
                    && leases.patch("vernescale", &PatchParams::default(), &note).await.is_ok()
                {
                    conflicts.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }

    /// Writes of the other writer that went between ours.
    pub(crate) fn conflicts(&self) -> u32 {
        self.conflicts.load(Ordering::Relaxed)
    }

    pub(crate) fn sets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    /// `kubectl scale vmqa/vmq --replicas=N`.
    pub(crate) async fn wish(&self, size: u32) {
        let resources: Api<VerneMQAutoscaler> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let patch = Patch::Merge(json!({ "spec": { "replicas": size } }));
        resources
            .patch_scale(NAME, &PatchParams::default(), &patch)
            .await
            .expect("kubectl scale on our resource");
    }

    /// Merges into the spec of our resource.
    pub(crate) async fn edit_spec(&self, spec: &Value) {
        let resources: Api<VerneMQAutoscaler> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let patch = Patch::Merge(json!({ "spec": spec }));
        resources.patch(NAME, &PatchParams::default(), &patch).await.expect("the spec is taken");
    }

    /// Who holds the lease.
    pub(crate) async fn leader(&self) -> Option<String> {
        let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
            Api::namespaced(self.admin.clone(), NAMESPACE);
        leases.get_opt("vernescale").await.ok().flatten()?.spec?.holder_identity
    }

    pub(crate) async fn restart_apiserver(&mut self) {
        self.plane.restart_apiserver().await;
    }

    pub(crate) async fn apply_file(&self, path: &str) {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.apply_yaml(&text).await;
    }

    async fn apply_yaml(&self, text: &str) {
        for document in text.split("\n---") {
            let object: Value = serde_saphyr::from_str(document).expect("YAML");
            if !object.is_null() {
                apply(&self.admin, &object).await;
            }
        }
    }

    /// Reasons of all Events so far.
    pub(crate) async fn reasons(&self) -> BTreeSet<String> {
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let list = events.list(&ListParams::default()).await.expect("events");
        list.into_iter().filter_map(|event| event.reason).collect()
    }

    pub(crate) async fn look(&self) -> Seen {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), NAMESPACE);
        let slices: Api<k8s_openapi::api::discovery::v1::EndpointSlice> =
            Api::namespaced(self.admin.clone(), NAMESPACE);
        let (Ok(set), Ok(pods), Ok(slices)) = (
            self.sets().get(NAME).await,
            pods.list(&ListParams::default()).await,
            slices.list(&ListParams::default().labels(&format!("kubernetes.io/service-name={NAME}"))).await,
        ) else {
            // The API server is being restarted.
            return Seen::default();
        };
        let ready = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
            endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
        };
        let restarts = |pod: &Pod| {
            let statuses =
                pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default();
            statuses.iter().map(|status| status.restart_count).sum::<i32>()
        };
        let fleet = self.pods.fleet();
        let views = pods.iter().filter_map(|pod| self.pods.node_of(&pod.name_any())).filter_map(|node| {
            let view = fleet.with_model(|model, _| model.members_seen_by(&node));
            (!view.is_empty()).then(|| view.into_iter().map(|(node, up)| (node.0, up)).collect())
        });
        Seen {
            replicas: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
            pods: pods.items.len(),
            serving: slices.iter().flat_map(|slice| slice.endpoints.iter()).filter(|e| ready(e)).count(),
            restarts: pods.iter().map(restarts).sum(),
            intent: set.annotations().get("vernescale.dev/intent").cloned(),
            views: views.collect(),
        }
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        let waiting = async {
            loop {
                let seen = self.look().await;
                if holds(&seen) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            let resources: Api<VerneMQAutoscaler> = Api::namespaced(self.admin.clone(), NAMESPACE);
            let status = resources.get(NAME).await.map(|resource| resource.status);
            panic!("not within {DEADLINE:?}: {what}\nseen: {:#?}\nstatus: {status:#?}", self.look().await);
        }
    }

    /// Asks again and again until the answer will do; what it was.
    pub(crate) async fn until_told<T: std::fmt::Debug, F: Future<Output = T>>(
        &self,
        what: &str,
        ask: impl Fn() -> F,
        will_do: impl Fn(&T) -> bool,
    ) -> T {
        let mut last = None;
        let waiting = async {
            loop {
                let told = ask().await;
                if will_do(&told) {
                    return told;
                }
                last = Some(told);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let told = tokio::time::timeout(DEADLINE, waiting).await.ok();
        told.unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}; last {last:#?}"))
    }

    /// Tries until the API server answers (a kind that was just made is not served at once).
    async fn until_ok<F: Future<Output = Result<(), String>>>(&self, attempt: impl Fn() -> F) {
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

impl Drop for World {
    fn drop(&mut self) {
        self.kubelet_task.abort();
    }
}

async fn apply(client: &Client, object: &Value) {
    try_apply(client, object).await.unwrap_or_else(|error| panic!("{error}\nof {object:#}"));
}

/// Server-side apply of any kind.
async fn try_apply(client: &Client, object: &Value) -> Result<(), String> {
    let object: DynamicObject = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    let types = object.types.clone().ok_or("an object has a kind")?;
    let gvk = kube::core::GroupVersionKind::try_from(&types).map_err(|error| error.to_string())?;
    let discovery = Discovery::new(client.clone()).filter(&[gvk.group.as_str()]);
    let discovery = discovery.run().await.map_err(|error| error.to_string())?;
    let (resource, capabilities) =
        discovery.resolve_gvk(&gvk).ok_or_else(|| format!("{gvk:?} is not served"))?;
    let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
        (kube::discovery::Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or(NAMESPACE), &resource)
        }
        (kube::discovery::Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("test").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}
