//! The part of kubelet that the tests need: it sees pods on the real API
//! server, has simulated brokers run for them, and says so through the status
//! subresource. It restarts a container at once when its process ends, as kubelet does.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use net::Clock;
use serde_json::json;
use simulator::kubernetes::{Container, Containers};

use crate::apply::apply;

/// The node that all pods of a namespace are bound to.
pub(crate) fn node(namespace: &str) -> String {
    format!("loopback-{namespace}")
}

/// No scheduler has this name: pods of the tests go to our nodes alone.
pub(crate) const SCHEDULER: &str = "nobody";
/// How often pods are looked at: a test waits for this many times over.
const LOOK: Duration = Duration::from_millis(50);
/// How often a node says that it is ready, as kubelet's own `nodeStatusUpdateFrequency` is.
const BEAT: Duration = Duration::from_secs(10);

/// Plays the kubelet for every pod of one namespace.
pub(crate) struct Kubelet {
    pods: Api<Pod>,
    claims: Api<PersistentVolumeClaim>,
    nodes: Api<Node>,
    node: String,
    containers: Arc<dyn Containers>,
    /// Address in the API → address on loopback: the API server refuses loopback addresses in endpoints.
    addresses: Mutex<BTreeMap<String, Ipv4Addr>>,
    block: Option<(u8, u8)>,
    clock: Clock,
}

impl Kubelet {
    /// Starts it; it works until the task is aborted. `block` is the loopback block of its pods; without one
    /// they are at the very addresses that the API shows, which takes a network of one's own.
    pub(crate) async fn start(
        client: &Client,
        namespace: &str,
        containers: Arc<dyn Containers>,
        block: Option<(u8, u8)>,
        clock: Clock,
    ) -> (Arc<Self>, tokio::task::JoinHandle<()>) {
        let kubelet = Arc::new(Self {
            pods: Api::namespaced(client.clone(), namespace),
            claims: Api::namespaced(client.clone(), namespace),
            nodes: Api::all(client.clone()),
            node: node(namespace),
            containers,
            addresses: Mutex::default(),
            block,
            clock,
        });
        // The EndpointSlice controller leaves out pods on a node that it does not know. Nobody else's pods may
        // come to it.
        let taint = json!({ "key": "vernescale.dev/test", "effect": "NoSchedule" });
        let spec = json!({ "unschedulable": true, "taints": [taint] });
        let labels = json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
        let meta = json!({ "name": kubelet.node, "labels": labels });
        apply(client, &json!({ "apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec })).await;
        let task = tokio::spawn(Arc::clone(&kubelet).run());
        (kubelet, task)
    }

    /// Where on loopback the pod with this address in the API answers.
    pub(crate) fn loopback(&self, address: &str) -> String {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.get(address).map_or_else(|| address.to_owned(), ToString::to_string)
    }

    async fn run(self: Arc<Self>) {
        let mut known: BTreeMap<String, tokio::task::JoinHandle<()>> = BTreeMap::new();
        let mut last = 0_u8;
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = beat.tick() => self.beat().await,
            }
            // While the API server restarts there is nothing to see; kubelet goes on too.
            let Ok(pods) = self.pods.list(&ListParams::default()).await else { continue };
            for pod in pods {
                let uid = pod.uid().unwrap_or_default();
                if !known.contains_key(&uid) && pod.metadata.deletion_timestamp.is_none() {
                    last = last.checked_add(1).expect("fewer than 255 pods in a test");
                    known.insert(uid, tokio::spawn(Arc::clone(&self).live(pod, last)));
                }
            }
        }
    }

    /// A node that is silent is one whose pods the control plane takes for lost.
    async fn beat(&self) {
        let now = i64::try_from(self.clock.now().0).expect("a time of our era");
        let now = jiff::Timestamp::from_millisecond(now).expect("a time of our era").to_string();
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        });
        let status = Patch::Merge(json!({ "status": { "conditions": [ready] } }));
        if let Err(error) = self.nodes.patch_status(&self.node, &PatchParams::default(), &status).await {
            tracing::warn!(%error, node = self.node, "the status was not taken");
        }
    }

    /// One pod's life, from binding to its removal.
    async fn live(self: Arc<Self>, pod: Pod, host: u8) {
        let name = pod.name_any();
        let uid = pod.uid().unwrap_or_default();
        let shown = Ipv4Addr::new(10, 88, 64, host);
        let address = self.block.map_or(shown, |(a, b)| Ipv4Addr::new(127, a, b, host));
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).insert(shown.to_string(), address);
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": self.node },
        });

        let bound: Result<serde_json::Value, _> =
            self.pods.create_subresource("binding", &name, &PostParams::default(), &binding).await;
        if let Err(error) = bound {
            panic!("cannot bind {name}: {error}");
        }
        let mut restarts = 0;
        loop {
            self.containers.start(container(&pod, address, self.volume(&pod).await)).await;
            let ended = self.attend(&name, &uid, shown, restarts).await;
            if ended == Ended::Deleted {
                return;
            }
            restarts += 1;
        }
    }

    /// The disk of a pod: its claim's, which outlives it, or one that goes with it.
    async fn volume(&self, pod: &Pod) -> String {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let claim = volumes.flat_map(|volume| &volume.persistent_volume_claim).next();
        let Some(claim) = claim else { return pod.uid().unwrap_or_default() };
        loop {
            match self.claims.get(&claim.claim_name).await {
                Ok(claim) => return claim.uid().unwrap_or_default(),
                // The API server may be restarting; and without its claim a pod does not start.
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Reports on the running container until it exits or the pod is deleted.
    async fn attend(&self, name: &str, uid: &str, shown: Ipv4Addr, restarts: i32) -> Ended {
        let mut said = None;
        loop {
            let ready = self.containers.ready(name).await;
            if said != Some(ready) {
                match self.report(name, shown, ready, restarts).await {
                    Ok(()) => said = Some(ready),
                    Err(error) => tracing::warn!(%error, name, "the status was not taken"),
                }
            }
            tokio::select! {
                _ = self.containers.exited(name) => {
                    if self.deleting(name, uid).await {
                        self.remove(name, uid).await;
                        return Ended::Deleted;
                    }
                    return Ended::Exited;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.deleting(name, uid).await {
                self.containers.stop(name, Duration::from_secs(10)).await;
                self.remove(name, uid).await;
                return Ended::Deleted;
            }
        }
    }

    async fn deleting(&self, name: &str, uid: &str) -> bool {
        match self.pods.get_opt(name).await {
            Ok(Some(pod)) => pod.metadata.deletion_timestamp.is_some() || pod.uid().as_deref() != Some(uid),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    async fn remove(&self, name: &str, uid: &str) {
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        // The API server may be restarting: a pod that stays would block the StatefulSet for ever.
        loop {
            match self.pods.delete(name, &now).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn report(&self, name: &str, shown: Ipv4Addr, ready: bool, restarts: i32) -> kube::Result<()> {
        let is = if ready { "True" } else { "False" };
        let started = "2026-01-01T00:00:00Z";
        let status = json!({ "status": {
            "phase": "Running", "podIP": shown, "podIPs": [{ "ip": shown }], "startTime": started,
            "conditions": [
                { "type": "Ready", "status": is, "lastTransitionTime": started },
                { "type": "ContainersReady", "status": is, "lastTransitionTime": started },
            ],
            "containerStatuses": [{
                "name": "vernemq", "image": "vernemq", "imageID": "", "ready": ready, "started": true,
                "restartCount": restarts, "state": { "running": { "startedAt": started } },
            }],
        }});
        self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.map(drop)
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    Exited,
    Deleted,
}

fn container(pod: &Pod, address: Ipv4Addr, volume: String) -> Container {
    let name = pod.name_any();
    let spec = pod.spec.clone().unwrap_or_default();
    let variables = spec.containers.iter().flat_map(|one| one.env.clone().unwrap_or_default());
    let env = variables.filter_map(|one| Some((one.name, one.value?))).collect();
    let ordinal = name.rsplit('-').next().and_then(|end| end.parse().ok()).unwrap_or(0);
    Container {
        namespace: pod.namespace().unwrap_or_default(),
        uid: pod.uid().unwrap_or_default(),
        ordinal,
        address,
        volume,
        hostname: spec.hostname.unwrap_or_else(|| name.clone()),
        subdomain: spec.subdomain.unwrap_or_default(),
        image: spec.containers.first().and_then(|first| first.image.clone()).unwrap_or_default(),
        env,
        pod: name,
    }
}
