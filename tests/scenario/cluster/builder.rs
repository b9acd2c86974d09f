//! How a scenario begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use lifecycle::{Limits, Time};
use net::Clock;
use serde_json::{Value, json};
use simulator::fleet::Fleet;
use simulator::kubernetes::{Kubernetes, Settings as Block, Storage, VernemqInstall};
use simulator::model::{ManagementAuth, Settings as Broker, Timing as BrokerTiming, Version};
use simulator::pods::Pods;
use vernescale::api::Via;
use vernescale::kubernetes::leader_election::Timing;
use vernescale::telemetry::{self, LogFormat};

use super::{
    Cluster, Hooks, Invariants, Load, NAME, NAMESPACE, Pace, Prober, Records, STEP, minutes, seconds,
};

/// Each test has a block of loopback addresses of its own.
static NEXT_BLOCK: AtomicU8 = AtomicU8::new(1);

/// What there is before the controller comes.
pub(crate) struct Builder {
    via: Via,
    spec: Value,
    install: VernemqInstall,
    broker: Broker,
    clients: usize,
    changes: Vec<Change>,
    cluster_domain: String,
    timing: Timing,
    limits: Limits,
}

/// Changes one of the objects of the installation before it is applied.
type Change = Box<dyn Fn(&mut Value)>;

impl Cluster {
    /// A cluster in which leaves are asked by `via`.
    pub(crate) fn builder(via: Via) -> Builder {
        let install = VernemqInstall {
            name: NAME.into(),
            namespace: NAMESPACE.into(),
            storage: Storage::Claims,
            probe_period: seconds(2),
            ..VernemqInstall::default()
        };
        let broker = Broker {
            management_auth: ManagementAuth::Noauth,
            // Nobody listens to $SYS here: it would only cost time.
            systree_interval: seconds(0),
            ..Broker::default()
        };
        Builder {
            via,
            spec: json!({}),
            install,
            broker,
            clients: 6,
            changes: Vec::new(),
            cluster_domain: "cluster.local".into(),
            timing: Timing::default(),
            limits: Limits::default(),
        }
    }
}

impl Builder {
    /// First size.
    pub(crate) fn replicas(mut self, replicas: u32) -> Self {
        self.install.replicas = replicas;
        self
    }

    /// Merged into the spec of our resource (RFC 7386).
    pub(crate) fn spec(mut self, spec: &Value) -> Self {
        json_patch::merge(&mut self.spec, spec);
        self
    }

    /// Changes the StatefulSet.
    pub(crate) fn install(mut self, change: impl FnOnce(&mut VernemqInstall)) -> Self {
        change(&mut self.install);
        self
    }

    /// Changes the broker.
    pub(crate) fn broker(mut self, change: impl FnOnce(&mut Broker)) -> Self {
        change(&mut self.broker);
        self
    }

    /// The broker's version. What is changed of its timing, is changed after this.
    pub(crate) fn version(mut self, version: Version) -> Self {
        self.install.image = format!("vernemq/vernemq:{}", version.name());
        self.broker.timing = BrokerTiming::of(version);
        self
    }

    /// Pairs of a publisher and a persistent subscriber.
    pub(crate) fn clients(mut self, clients: usize) -> Self {
        self.clients = clients;
        self
    }

    /// Changes each object of the installation: the two Services and the StatefulSet.
    pub(crate) fn objects(mut self, change: impl Fn(&mut Value) + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Numbers of the lifecycle that no spec has.
    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// The cluster's domain.
    pub(crate) fn cluster_domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.cluster_domain);
        self
    }

    /// Starts everything but the controller, and waits until the first nodes serve.
    pub(crate) async fn start(self) -> Cluster {
        // VERNESCALE_LOG=info shows what the controller says.
        if let Ok(filter) = std::env::var("VERNESCALE_LOG") {
            let _ = telemetry::install(Some(LogFormat::Text), &filter);
        }
        let clock = Clock::starting_at(Time(1_800_000_000_000));
        let fleet = Fleet::start(clock, self.broker);
        let pods = Pods::in_domain(fleet.clone(), &self.cluster_domain);
        // Another process on this machine may run the same tests.
        let a = 64 + u8::try_from(std::process::id() % 128).unwrap_or(0);
        let block = Block::on(a, NEXT_BLOCK.fetch_add(1, Ordering::Relaxed));
        let kubernetes =
            Kubernetes::start(clock, Arc::new(pods.clone()), block).await.expect("the simulator starts");
        for mut object in self.install.objects() {
            self.changes.iter().for_each(|change| change(&mut object));
            kubernetes.apply(&object).expect("VerneMQ installs");
        }
        kubernetes.apply(&resource(self.via, &self.spec)).expect("our resource is taken");
        let load = Load::new(&kubernetes, self.clients);
        let prober = Prober::new(kubernetes.clone(), clock);
        let mut cluster = Cluster {
            began: clock.now(),
            clock,
            fleet,
            pods,
            kubernetes,
            hooks: Hooks::default(),
            load,
            prober,
            timing: self.timing,
            acknowledged_before: None,
            limits: self.limits,
            invariants: Invariants::default(),
            pace: Pace::default(),
            records: Records::default(),
            controllers: BTreeMap::new(),
            metrics: BTreeMap::new(),
            identities: Vec::new(),
        };
        let size = u64::from(self.install.replicas);
        let began = cluster.clock.now();
        // Without the invariants: nobody keeps clients from these first nodes.
        while !(cluster.settled(size) && cluster.dead_members().is_empty()) {
            assert!(
                cluster.clock.now().since(began) < minutes(10),
                "no cluster at first\n{}",
                cluster.dump()
            );
            tokio::time::sleep(STEP).await;
        }
        cluster.prober.begin();
        // Subscriptions of a fresh join route after 11 s at the latest
        // (docs/broker/join.md, "Losses after a join").
        cluster.pass(seconds(12)).await;
        cluster
    }
}

/// Follows the publishes, six a second for a node, quickly enough for a test.
fn resource(via: Via, spec: &Value) -> Value {
    let mut resource = json!({
        "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": {
            "targetRef": { "name": NAME }, "mode": "Active", "minReplicas": 1, "maxReplicas": 10,
            "metrics": [{ "type": "Pods", "pods": {
                "metric": { "name": "mqtt_publish_received" },
                "target": { "type": "AverageValue", "averageValue": "6" },
            }}],
            "clientService": NAME, "leave": { "via": via },
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 60 } },
            "panic": { "hold": "1m" },
            "churn": [{ "leaves": 100, "per": "24h" }],
            "settle": "5s",
        },
    });
    json_patch::merge(&mut resource["spec"], spec);
    resource
}
