//! A Kubernetes API server in this process, with the controllers and the kubelet
//! that a StatefulSet of VerneMQ needs, good enough for a real `kube::Client`.
//!
//! What it leaves out: authentication and roles, CEL rules of custom resources,
//! field ownership of server-side apply, resource limits, networks (each pod has
//! a loopback address of its own) and every kind that VerneMQ does not need.

mod collector;
mod containers;
mod discovery;
mod endpoints;
mod exec;
mod faults;
mod install;
mod kubelet;
mod object;
mod patch;
mod pipe;
mod record;
mod refusal;
mod request;
mod resource;
mod rules;
mod scale;
mod schema;
mod selector;
mod server;
mod settings;
mod shared;
mod statefulset;
mod store;
mod verbs;
mod watch;

use std::{io, net::SocketAddr, sync::Arc};

use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

pub use self::{
    containers::{Container, Containers, ExecOutput},
    endpoints::Endpoint,
    faults::{Fault, Faults, Rule, RuleId},
    install::{Storage, VernemqInstall},
    record::Write,
    request::Verb,
    settings::{Block, Settings, Timing},
};
use self::{pipe::Dial, shared::Shared, store::Key};
use net::Clock;

/// A running simulator. Clones are handles of the same one; when the last is
/// dropped, its server, controllers and kubelet stop.
#[derive(Clone)]
pub struct Kubernetes {
    shared: Arc<Shared>,
    address: SocketAddr,
    dial: Dial,
    _tasks: Arc<JoinSet<()>>,
}

impl Kubernetes {
    /// Starts the API server on a free port of the block's first address, the
    /// controllers and the kubelet.
    pub async fn start(
        clock: Clock,
        containers: Arc<dyn Containers>,
        settings: Settings,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((settings.block.host(1), settings.port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(clock, containers, settings));
        let mut tasks = JoinSet::new();
        let (dial, dialled) = mpsc::channel(pipe::BACKLOG);
        let served = shared.clone();
        tasks.spawn(async move { match server::serve(listener, dialled, served).await {} });
        statefulset::spawn(&mut tasks, &shared);
        endpoints::spawn(&mut tasks, &shared);
        collector::spawn(&mut tasks, &shared);
        kubelet::spawn(&mut tasks, &shared);
        Ok(Self { shared, address, dial: Dial(dial), _tasks: Arc::new(tasks) })
    }

    /// `http://127.a.b.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The configuration of a client over TCP, without the client's own retries,
    /// as the product uses it.
    pub fn config(&self) -> kube::Config {
        let url = self.url().parse().expect("a socket address makes a URL");
        let mut config = kube::Config::new(url);
        config.default_retry = false;
        config
    }

    /// A client of its own, with connections of its own, without retries. It
    /// speaks HTTP over pipes in memory, so that a paused clock does not run
    /// ahead of it.
    pub fn client(&self) -> kube::Client {
        pipe::client(self.dial.clone(), &self.config())
    }

    /// [`Self::client`] with a `User-Agent`, so that a [`Rule`] or the log can tell it from others.
    ///
    /// # Panics
    ///
    /// Where `agent` is no text for a header.
    pub fn client_named(&self, agent: &str) -> kube::Client {
        let mut config = self.config();
        let agent = agent.parse().expect("a name of printable ASCII");
        config.headers.push((http::header::USER_AGENT, agent));
        pipe::client(self.dial.clone(), &config)
    }

    /// What can go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The writes that clients asked for, oldest first; the latest 10,000.
    /// Writes of the simulator's own controllers are not among them.
    pub fn log(&self) -> Vec<Write> {
        self.shared.record().all()
    }

    /// Forgets the writes so far.
    pub fn clear_log(&self) {
        self.shared.record().clear();
    }

    /// The version of the latest change, for [`Fault::Stale`].
    pub fn revision(&self) -> u64 {
        self.shared.store().revision()
    }

    /// Forgets the history: a watch that resumes from before is answered 410.
    pub fn compact(&self) {
        self.shared.store().forget();
    }

    /// Creates the object, or merges it into the one that is there; makes its
    /// namespace where it is missing. Takes what `kubectl apply` would take; with
    /// our `CustomResourceDefinition` its schema is held from then on: defaults,
    /// pruning, types, limits.
    ///
    /// # Errors
    ///
    /// The status message of the API server.
    pub fn apply(&self, object: &Value) -> Result<Arc<Value>, String> {
        install::apply(&mut self.shared.store(), object).map_err(|refusal| refusal.message)
    }

    /// Changes an object as another user would, without a request.
    /// False where there is none.
    pub fn edit(&self, resource: &str, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        let Some(kind) = resource::by_id(resource) else { return false };
        self.shared.store().change(&Key::new(kind, namespace, name), change)
    }

    /// An object by its plural, such as `statefulsets`, as it is now.
    pub fn object(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.shared.store().find(resource, namespace, name)
    }

    /// All objects of a namespace by plural, ordered by name.
    pub fn objects(&self, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let Some(kind) = resource::by_id(resource) else { return Vec::new() };
        self.shared.store().list(kind.id, Some(namespace))
    }

    /// The endpoints of a Service, as its slices have them now.
    pub fn endpoints(&self, namespace: &str, service: &str) -> Vec<Endpoint> {
        endpoints::of(&self.shared.store(), namespace, service)
    }

    /// Waits until something holds; looks again after every change. Give it a
    /// time-out.
    pub async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.shared.store().subscribe();
        while !holds(self) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Creates the StatefulSet, its headless Service and its client Service.
    ///
    /// # Errors
    ///
    /// The status message of the API server.
    pub fn install_vernemq(&self, install: &VernemqInstall) -> Result<(), String> {
        install.objects().iter().try_for_each(|object| self.apply(object).map(drop))
    }
}
