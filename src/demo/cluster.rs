//! The cluster that the demo plays in: simulators for VerneMQ and Kubernetes on
//! loopback, the real exporter on them, and everything that is read from them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Intent, Kind, NodeName, Step};
use serde_json::{Value, json};

use super::practice::Practice;
use super::profile::Profile;
use crate::kubernetes::intent_record::INTENT;
use net::Clock;
use simulator::fleet::Fleet;
use simulator::kubernetes::{self, Kubernetes, Storage, VernemqInstall};
use simulator::model::{self, ManagementAuth, Process, Spread};
use simulator::pods::Pods;

/// Namespace and names of everything in the demo.
pub(super) const NAMESPACE: &str = "mqtt";
pub(super) const NAME: &str = "vmq";
const MQTT_PORT: u16 = 1883;
/// Longest wait for the first node.
const FIRST_NODE: Duration = Duration::from_secs(30);

/// Where the simulated API listens: whoever has it has the block, for two demos on one machine must not meet.
const API_PORT: u16 = 16_443;

/// Blocks of loopback addresses, 127.64 to 127.223.
const BLOCKS: u32 = 160;

/// A running cluster. Dropping it ends it.
pub(super) struct Cluster {
    pub(super) clock: Clock,
    pub(super) fleet: Fleet,
    pub(super) pods: Pods,
    pub(super) kubernetes: Kubernetes,
}

/// Why the cluster cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Loopback addresses or ports are taken.
    #[error("the simulated Kubernetes API cannot listen on 127.{block}.0.1: {source}")]
    Listen {
        /// Second byte.
        block: u8,
        /// Cause.
        source: std::io::Error,
    },
    /// The simulator refused its own objects.
    #[error("the simulated Kubernetes API refused our objects: {0}")]
    Install(String),
    /// Nothing came up.
    #[error("no broker was ready within {} s; are the addresses 127.{block}.0.0/24 usable here?", FIRST_NODE.as_secs())]
    NotReady {
        /// Second byte.
        block: u8,
    },
}

/// Takes the first free block from the one that the process id gives.
async fn claim(clock: Clock, pods: &Pods) -> Result<(u8, Kubernetes), Error> {
    let mut tried = 0;
    loop {
        let block = u8::try_from(64 + (std::process::id() + tried) % BLOCKS).unwrap_or(64);
        let settings = kubernetes::Settings { port: API_PORT, ..kubernetes::Settings::on(block, 0) };
        match Kubernetes::start(clock, Arc::new(pods.clone()), settings).await {
            Ok(kubernetes) => return Ok((block, kubernetes)),
            Err(source) if source.kind() == ErrorKind::AddrInUse && tried < BLOCKS => tried += 1,
            Err(source) => return Err(Error::Listen { block, source }),
        }
    }
}

impl Cluster {
    /// Starts everything and waits until the first node serves.
    pub(super) async fn start(
        profile: &Profile,
        practice: Practice,
        slow_leave: bool,
    ) -> Result<Self, Error> {
        let clock = Clock::system();
        let fleet = Fleet::start(clock, broker(slow_leave));
        let pods = Pods::new(fleet.clone());
        let (block, kubernetes) = claim(clock, &pods).await?;
        let install = VernemqInstall {
            name: NAME.to_owned(),
            namespace: NAMESPACE.to_owned(),
            replicas: profile.min_replicas,
            storage: Storage::Claims,
            probe_delay: Duration::from_secs(1),
            probe_period: Duration::from_secs(1),
            pre_stop: (practice == Practice::NaivePreStop).then(hook),
            ..VernemqInstall::default()
        };
        kubernetes.install_vernemq(&install).map_err(Error::Install)?;
        if practice == Practice::Vernescale {
            kubernetes.apply(&resource(profile)).map_err(Error::Install)?;
        }
        let cluster = Self { clock, fleet, pods, kubernetes };
        let size = profile.min_replicas as usize;
        let ready = cluster
            .kubernetes
            .until(|k| k.endpoints(NAMESPACE, NAME).iter().filter(|e| e.ready).count() >= size);
        tokio::time::timeout(FIRST_NODE, ready).await.map_err(|_| Error::NotReady { block })?;
        Ok(cluster)
    }

    /// Where the client Service sends a new connection now.
    pub(super) fn service(&self) -> impl Fn() -> Vec<SocketAddr> + Send + Sync + use<> {
        let kubernetes = self.kubernetes.clone();
        move || {
            let endpoints = kubernetes.endpoints(NAMESPACE, NAME);
            endpoints.iter().filter(|e| e.ready).map(|e| SocketAddr::from((e.address, MQTT_PORT))).collect()
        }
    }

    /// MQTT address of a pod.
    pub(super) fn mqtt_of(&self, pod: &str) -> Option<SocketAddr> {
        let pod = self.kubernetes.object("pods", NAMESPACE, pod)?;
        let address: Ipv4Addr = pod["status"]["podIP"].as_str()?.parse().ok()?;
        Some(SocketAddr::from((address, MQTT_PORT)))
    }

    /// `spec.replicas`.
    pub(super) fn size(&self) -> u32 {
        let set = self.kubernetes.object("statefulsets", NAMESPACE, NAME);
        let replicas = set.and_then(|set| set["spec"]["replicas"].as_u64());
        replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(0)
    }

    /// Pods that the client Service sends connections to.
    pub(super) fn serving(&self) -> usize {
        self.kubernetes.endpoints(NAMESPACE, NAME).iter().filter(|e| e.ready).count()
    }

    /// Status of our resource, null where there is none.
    pub(super) fn status(&self) -> Value {
        let resource = self.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME);
        resource.map_or(Value::Null, |resource| resource["status"].clone())
    }

    /// Epoch of the recorded shrink, once its record says that the leave was verified.
    pub(super) fn verified_epoch(&self) -> Option<u64> {
        let set = self.kubernetes.object("statefulsets", NAMESPACE, NAME)?;
        let record: Value = serde_json::from_str(set["metadata"]["annotations"][INTENT].as_str()?).ok()?;
        let intent: Intent = serde_json::from_value(record).ok()?;
        let after = matches!(intent.step, Step::Shrink | Step::PodGone | Step::Volume | Step::Quiet);
        (intent.kind == Kind::Shrink && after).then_some(intent.epoch)
    }

    /// What every running broker sees of the cluster: pod → member → running.
    pub(super) fn views(&self) -> BTreeMap<String, BTreeMap<NodeName, bool>> {
        let pods = self.kubernetes.objects("pods", NAMESPACE);
        let names = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
        let views = names.filter_map(|pod| {
            let node = self.pods.node_of(&pod)?;
            self.fleet.with_model(|model, _| {
                (model.process(&node) == Process::Running).then(|| (pod, model.members_seen_by(&node)))
            })
        });
        views.collect()
    }
}

/// VerneMQ's defaults; the times of a join are a tenth of what was measured, so
/// that a demo of a minute can show four of them.
fn broker(slow_leave: bool) -> model::Settings {
    let mut settings = model::Settings {
        management_auth: ManagementAuth::Noauth,
        systree_interval: Duration::from_secs(1),
        ..model::Settings::default()
    };
    settings.timing = settings.timing.with_joins_faster(10);
    if slow_leave {
        settings.timing.leave_fixed = Spread::exactly(6_000);
    }
    settings
}

/// The hook of today's practice: a leave whenever a container stops, for whatever reason.
fn hook() -> Vec<String> {
    let leave =
        "vmq-admin cluster leave node=VerneMQ@$HOSTNAME.vmq-headless.mqtt.svc.cluster.local -k -i 1 -t 30";
    vec!["/bin/sh".to_owned(), "-c".to_owned(), leave.to_owned()]
}

/// Our resource, with windows that fit a run of a minute.
fn resource(profile: &Profile) -> Value {
    json!({
        "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
        "metadata": { "name": NAME, "namespace": NAMESPACE },
        "spec": {
            "mode": "Active",
            "targetRef": { "name": NAME },
            "clientService": NAME,
            "minReplicas": profile.min_replicas,
            "maxReplicas": profile.max_replicas,
            "metrics": [{
                "type": "Pods",
                "pods": { "metric": { "name": "mqtt_publish_received" },
                          "target": { "type": "AverageValue", "averageValue": profile.target_per_node.to_string() } },
            }],
            "window": "10s",
            "behavior": { "scaleDown": { "stabilizationWindowSeconds": 2 } },
            "panic": { "hold": "2s" },
            "churn": [{ "leaves": 100, "per": "1h" }],
            "settle": "1s",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_at_a_time_have_their_own_addresses() {
        let clock = Clock::system();
        let pods = || Pods::new(Fleet::start(clock, broker(false)));
        let (one, _first) = claim(clock, &pods()).await.unwrap();
        let (two, _second) = claim(clock, &pods()).await.unwrap();
        assert_ne!(one, two);
    }
}
