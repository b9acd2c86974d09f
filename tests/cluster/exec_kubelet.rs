//! The node's end of `pods/exec`: a process that serves it with kubelet's own library, and behind it, in this
//! process, the containers that the commands run in.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use simulator::kubernetes::{Containers as _, ExecOutput};
use simulator::model::Process;
use simulator::pods::Pods;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::kubelet;
use crate::programs::{end, free_ports};

/// The container of every pod.
pub(crate) const CONTAINER: &str = "vernemq";

/// Kubelet for the commands of one cluster.
pub(crate) struct ExecKubelet {
    process: Child,
    /// Where the API server looks for it.
    host: IpAddr,
    port: u16,
    nodes: Api<Node>,
    node: String,
    runtime: Arc<Runtime>,
    served: JoinHandle<()>,
}

/// Runs commands: as the nodes do, unless a test has said otherwise.
struct Runtime {
    namespace: &'static str,
    pods: Pods,
    instead: Mutex<VecDeque<(&'static str, Instead)>>,
    asked: Mutex<Vec<String>>,
}

/// What happens instead of what the node would do.
pub(crate) enum Instead {
    /// The command is not run, and says this.
    Says(ExecOutput),
    /// The command is not run, and never ends.
    Hangs,
    /// The container does not run.
    IsGone,
}

impl ExecKubelet {
    /// Starts it and tells the API server where it is.
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let runtime = Arc::new(Runtime {
            namespace: cluster.namespace,
            pods: cluster.pods.clone(),
            instead: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/{namespace}/{pod}/{container}", get(find).post(run))
            .with_state(Arc::clone(&runtime));
        let served = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let host = cluster.plane.our_address().await;
        let [port] = free_ports();
        let arguments =
            [format!("--listen={}", SocketAddr::new(host, port)), format!("--runtime=http://{address}")];
        let process = cluster.plane.part("kubelet-exec", &arguments);
        let nodes = Api::all(cluster.admin.clone());
        let kubelet =
            Self { process, host, port, nodes, node: kubelet::node(cluster.namespace), runtime, served };
        let connect = || async { TcpStream::connect((host, port)).await.is_ok() };
        cluster.until_told("it listens", connect, |listens| *listens).await;
        kubelet.is_at(port).await;
        kubelet
    }

    /// The next command with this word does something else.
    pub(crate) fn instead(&self, word: &'static str, instead: Instead) {
        self.runtime.instead.lock().unwrap_or_else(PoisonError::into_inner).push_back((word, instead));
    }

    /// Every command so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.runtime.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It takes connections, and does nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill is everywhere").success(), "it has ended");
    }

    /// The API server looks for it where nobody is.
    pub(crate) async fn is_away(&self) {
        let [nowhere] = free_ports();
        self.is_at(nowhere).await;
    }

    /// The API server finds it again.
    pub(crate) async fn is_back(&self) {
        self.is_at(self.port).await;
    }

    async fn is_at(&self, port: u16) {
        let status = json!({ "status": {
            "addresses": [{ "type": "InternalIP", "address": self.host }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        }});
        let patch = Patch::Merge(status);
        self.nodes.patch_status(&self.node, &PatchParams::default(), &patch).await.expect("a Node's status");
    }
}

impl Drop for ExecKubelet {
    fn drop(&mut self) {
        self.served.abort();
        end(&mut self.process);
    }
}

impl Runtime {
    /// What a test has said of a command with these words.
    fn instead(&self, line: &str, of: impl Fn(&Instead) -> bool) -> Option<Instead> {
        let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        let found = instead.iter().position(|(word, what)| line.contains(word) && of(what))?;
        instead.remove(found).map(|(_, what)| what)
    }
}

type Whom = Path<(String, String, String)>;

/// Whether a container runs.
async fn find(State(runtime): State<Arc<Runtime>>, Path((namespace, pod, container)): Whom) -> StatusCode {
    let node =
        runtime.pods.node_of(&pod).filter(|_| namespace == runtime.namespace && container == CONTAINER);
    let process = node.map(|node| runtime.pods.fleet().process(&node));
    let gone = runtime.instead(&pod, |what| matches!(what, Instead::IsGone)).is_some();
    match process {
        Some(Process::Booting | Process::Running) if !gone => StatusCode::OK,
        _ => StatusCode::NOT_FOUND,
    }
}

/// Runs a command to its end.
async fn run(
    State(runtime): State<Arc<Runtime>>,
    Path((_, pod, _)): Whom,
    Json(argv): Json<Vec<String>>,
) -> Json<Value> {
    let line = argv.join(" ");
    runtime.asked.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{pod}: {line}"));
    let output = match runtime.instead(&line, |what| !matches!(what, Instead::IsGone)) {
        Some(Instead::Says(output)) => output,
        Some(_) => std::future::pending().await,
        None => runtime.pods.exec(&pod, argv).await,
    };
    Json(json!({ "stdout": output.stdout, "stderr": output.stderr, "code": output.code }))
}
