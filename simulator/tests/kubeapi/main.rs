//! The simulated Kubernetes API, met by a real `kube::Client` under a paused clock.

#![expect(clippy::unwrap_used, reason = "what is unwrapped in a test is what it asserts")]

#[path = "../../../tests/support/exec_frames.rs"]
mod exec_frames;

mod endpoints;
mod exec;
mod fake;
mod faults;
mod kubelet;
mod objects;
mod stateful_set;
mod watches;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use fake::Fake;
use net::Clock;
use serde_json::Value;
use simulator::kubernetes::{Kubernetes, Settings, Storage, VernemqInstall};
use tokio::time::timeout;

/// A simulator and the runtime under it.
struct Cluster {
    kubernetes: Kubernetes,
    fake: Arc<Fake>,
    clock: Clock,
}

impl Cluster {
    async fn start() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let fake = Arc::new(Fake::default());
        let settings = Settings::on(77, NEXT.fetch_add(1, Ordering::Relaxed));
        let clock = Clock::system();
        let kubernetes = Kubernetes::start(clock, fake.clone(), settings).await.unwrap();
        Self { kubernetes, fake, clock }
    }

    /// With a StatefulSet `vmq` in `mqtt`, ready at its size.
    async fn with(install: VernemqInstall) -> Self {
        let cluster = Self::start().await;
        cluster.kubernetes.install_vernemq(&install).unwrap();
        cluster.ready(install.replicas).await;
        cluster
    }

    /// A simulator with this many pods and `storage`.
    async fn of(replicas: u32, storage: Storage) -> Self {
        Self::with(VernemqInstall { replicas, storage, ..VernemqInstall::default() }).await
    }

    fn scale(&self, replicas: u32) {
        self.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| set["spec"]["replicas"] = replicas.into());
    }

    fn status(&self, field: &str) -> Value {
        let set = self.kubernetes.object("statefulsets", "mqtt", "vmq").unwrap();
        set["status"][field].clone()
    }

    fn pod(&self, name: &str) -> Option<Arc<Value>> {
        self.kubernetes.object("pods", "mqtt", name)
    }

    fn names(&self, plural: &str) -> Vec<String> {
        let objects = self.kubernetes.objects(plural, "mqtt");
        objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until exactly so many pods exist and are ready.
    async fn ready(&self, replicas: u32) {
        self.until(|cluster| {
            cluster.status("replicas") == replicas
                && cluster.status("readyReplicas") == replicas
                && cluster.status("currentRevision") == cluster.status("updateRevision")
        })
        .await;
    }

    async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        soon(self.kubernetes.until(|_| holds(self))).await;
    }
}

/// Nothing here takes ten minutes of the paused clock.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(10), future).await.expect("it did not happen within ten minutes")
}

/// The HTTP status and reason of a refused call.
fn refused<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn is_deleting(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some()
}
