//! The simulated cluster as pods: what the official image's entrypoint makes of
//! a container, so that the simulated kubelet can run the nodes of a [`Fleet`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use lifecycle::NodeName;

use super::{
    fleet::{Fleet, NodeSpec},
    kubernetes::{Container, Containers, ExecOutput},
    model::{Process, Signal, Version},
};

mod shell;

/// Ports of the image (docs/broker/kubernetes.md, "The image").
const MQTT_PORT: u16 = 1883;
const HTTP_PORT: u16 = 8888;
/// The entrypoint adds `API_KEY` this long after the start (docs/broker/kubernetes.md, "The image").
const KEY_DELAY: Duration = Duration::from_mins(1);
/// What the hook of docs/operating.md reads of its first process: the signals that it takes.
const SIGNALS_TAKEN: &str = "SigCgt";
/// How often that hook looks, once a second.
const LOOKS: u32 = 20;
/// Exit code of a container that could not listen.
const CANNOT_START: i32 = 1;

/// Runs containers as nodes of a fleet. Clones share everything.
#[derive(Clone, Debug)]
pub struct Pods {
    fleet: Fleet,
    cluster_domain: String,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last container of each pod, in the order in which the API lists them.
    pods: BTreeMap<String, Running>,
    /// Whose disk a volume is, and which volume a node's disk is.
    disks: HashMap<NodeName, String>,
}

#[derive(Clone, Debug)]
struct Running {
    node: NodeName,
    namespace: String,
    failed: bool,
}

impl Pods {
    /// Containers run in `fleet`; names end with `svc.cluster.local`.
    pub fn new(fleet: Fleet) -> Self {
        Self::in_domain(fleet, "cluster.local")
    }

    /// The same where the cluster's domain is another one. A container that
    /// sets `DOCKER_VERNEMQ_KUBERNETES_CLUSTER_NAME` has its own.
    pub fn in_domain(fleet: Fleet, cluster_domain: &str) -> Self {
        Self { fleet, cluster_domain: cluster_domain.into(), known: Arc::default() }
    }

    /// The fleet behind the pods.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Name that the image gives to the node of a container (docs/broker/kubernetes.md, "The image").
    pub fn node_name(&self, container: &Container) -> NodeName {
        let Container { hostname, subdomain, namespace, env, .. } = container;
        let own = env.get("DOCKER_VERNEMQ_KUBERNETES_CLUSTER_NAME");
        let domain = own.unwrap_or(&self.cluster_domain);
        NodeName(format!("VerneMQ@{hostname}.{subdomain}.{namespace}.svc.{domain}"))
    }

    /// The node that runs, or last ran, in `pod`.
    pub fn node_of(&self, pod: &str) -> Option<NodeName> {
        self.known().pods.get(pod).map(|running| running.node.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the pod; the peer that its entrypoint finds: the first other pod
    /// whose process is there, a member or not (docs/broker/kubernetes.md, "The image").
    fn discover(&self, container: &Container, node: &NodeName) -> Option<NodeName> {
        let mut known = self.known();
        let running = Running { node: node.clone(), namespace: container.namespace.clone(), failed: false };
        known.pods.insert(container.pod.clone(), running);
        if !container.env.contains_key("DOCKER_VERNEMQ_DISCOVERY_KUBERNETES") {
            return None;
        }
        let others = known.pods.iter().filter(|(pod, _)| **pod != container.pod);
        others
            .filter(|(_, other)| other.namespace == container.namespace)
            .map(|(_, other)| other.node.clone())
            .find(|other| matches!(self.fleet.process(other), Process::Booting | Process::Running))
    }

    /// Gives `node` the disk `volume`: an empty one where the node had another before.
    fn mount(&self, node: &NodeName, volume: &str) {
        let before = self.known().disks.insert(node.clone(), volume.to_owned());
        if before.is_some_and(|before| before != volume) {
            self.fleet.wipe(node);
        }
    }

    /// The hook of docs/operating.md: waits until the first process of the container takes SIGTERM.
    async fn takes_signals(&self, node: Option<NodeName>) -> ExecOutput {
        for _ in 0..LOOKS {
            if node.as_ref().is_none_or(|node| self.fleet.process(node) != Process::Booting) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        ExecOutput::default()
    }

    async fn run(&self, container: Container) {
        let node = self.node_name(&container);
        let discover = self.discover(&container, &node);
        self.mount(&node, &container.volume);
        let spec = NodeSpec {
            name: node.clone(),
            address: container.address,
            mqtt_port: MQTT_PORT,
            http_port: HTTP_PORT,
            version: Version::of_image(&container.image),
            discover,
        };
        if let Err(error) = self.fleet.boot(spec).await {
            tracing::error!(pod = %container.pod, %error, "the simulated broker cannot start");
            if let Some(running) = self.known().pods.get_mut(&container.pod) {
                running.failed = true;
            }
            return;
        }
        if let Some(key) = container.env.get("API_KEY") {
            let scope = container.env.get("API_KEY_SCOPE").map_or("mgmt", String::as_str);
            tokio::spawn(add_key(self.fleet.clone(), node, format!("key={key}"), format!("scope={scope}")));
        }
    }
}

/// Adds the key as the entrypoint does; where the node is gone by then, nothing happens.
async fn add_key(fleet: Fleet, node: NodeName, key: String, scope: String) {
    tokio::time::sleep(KEY_DELAY).await;
    let argv = ["api-key".into(), "add".into(), key, scope];
    let output = fleet.admin(&node, &argv).await;
    tracing::debug!(%node, code = output.code, "api-key add");
}

impl Containers for Pods {
    fn start(&self, container: Container) -> BoxFuture<'_, ()> {
        Box::pin(self.run(container))
    }

    fn stop(&self, pod: &str, grace: Duration) -> BoxFuture<'_, ()> {
        let node = self.node_of(pod);
        Box::pin(async move {
            let Some(node) = node else { return };
            if matches!(self.fleet.process(&node), Process::Absent | Process::Exited { .. }) {
                return;
            }
            self.fleet.signal(&node, Signal::Term);
            if tokio::time::timeout(grace, self.fleet.exited(&node)).await.is_err() {
                self.fleet.signal(&node, Signal::Kill);
                self.fleet.exited(&node).await;
            }
        })
    }

    fn exited(&self, pod: &str) -> BoxFuture<'_, i32> {
        let running = self.known().pods.get(pod).cloned();
        Box::pin(async move {
            match running {
                Some(Running { failed: true, .. }) => CANNOT_START,
                Some(running) if self.fleet.process(&running.node) != Process::Absent => {
                    self.fleet.exited(&running.node).await
                }
                _ => 0,
            }
        })
    }

    fn ready(&self, pod: &str) -> BoxFuture<'_, bool> {
        let node = self.node_of(pod);
        // `/health/ping` is always OK where HTTP is up: a draining node stays ready
        // (docs/broker/http-api.md, "Health pages").
        let ready = node.is_some_and(|node| self.fleet.with_model(|model, _| model.http_up(&node)));
        Box::pin(std::future::ready(ready))
    }

    fn exec(&self, pod: &str, argv: Vec<String>) -> BoxFuture<'_, ExecOutput> {
        let node = self.node_of(pod);
        if argv.iter().any(|word| word.contains(SIGNALS_TAKEN)) {
            return Box::pin(self.takes_signals(node));
        }
        let words = shell::words(argv, pod);
        Box::pin(async move {
            let argv = match words {
                Ok(argv) => argv,
                Err(stderr) => return ExecOutput { stderr, code: 2, ..ExecOutput::default() },
            };
            let program = argv.first().map(String::as_str).unwrap_or_default();
            match node {
                Some(node) if program.rsplit('/').next() == Some("vmq-admin") => {
                    let output = self.fleet.admin(&node, &argv).await;
                    ExecOutput { stdout: output.stdout, stderr: output.stderr, code: output.code }
                }
                // As a shell says it.
                _ => ExecOutput {
                    stderr: format!("{program}: not found\n"),
                    code: 127,
                    ..ExecOutput::default()
                },
            }
        })
    }

    fn delete_volume(&self, volume: &str) {
        let owners: Vec<NodeName> = {
            let mut known = self.known();
            let owned = known.disks.iter().filter(|(_, disk)| *disk == volume);
            let owners: Vec<_> = owned.map(|(node, _)| node.clone()).collect();
            known.disks.retain(|_, disk| disk != volume);
            owners
        };
        for node in owners {
            self.fleet.wipe(&node);
        }
    }
}
