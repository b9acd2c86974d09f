//! What the kubelet of the simulator asks of whatever runs the processes.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use futures::future::BoxFuture;

/// The one container of a pod, as the kubelet wants it run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Name of the pod, such as `vmq-1`.
    pub pod: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Uid of the pod: the same name comes back with another one.
    pub uid: String,
    /// The number at the end of the pod's name; 0 for a pod without one.
    pub ordinal: u32,
    /// The pod's own loopback address. A new pod gets a new one.
    pub address: Ipv4Addr,
    /// Identity of the data disk. It survives restarts of the container; where
    /// it is a claim's it survives the pod too. An id that has not been seen
    /// before is an empty disk.
    pub volume: String,
    /// `spec.hostname`, the pod's name under a StatefulSet.
    pub hostname: String,
    /// `spec.subdomain`, the headless Service under a StatefulSet.
    pub subdomain: String,
    /// Image of the container.
    pub image: String,
    /// The plain `value` variables of the container; references are left out.
    pub env: BTreeMap<String, String>,
}

impl Container {
    /// The name that the pod has for its peers:
    /// `<hostname>.<subdomain>.<namespace>.svc.cluster.local`.
    pub fn fqdn(&self) -> String {
        format!("{}.{}.{}.svc.cluster.local", self.hostname, self.subdomain, self.namespace)
    }
}

/// What a command in a container printed, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub code: i32,
}

/// The container runtime under the simulator's kubelet. Pods are known by name:
/// the kubelet never has two containers of one name at a time.
pub trait Containers: Send + Sync + 'static {
    /// Runs the container; returns once its process has been started, which is
    /// long before it is ready.
    fn start(&self, container: Container) -> BoxFuture<'_, ()>;
    /// SIGTERM, then SIGKILL after `grace`; returns when the process has ended.
    /// Returns at once where none runs.
    fn stop(&self, pod: &str, grace: Duration) -> BoxFuture<'_, ()>;
    /// Resolves when the process of `pod` that runs now ends, to its exit code;
    /// where none runs, at once, to the code of the last one.
    fn exited(&self, pod: &str) -> BoxFuture<'_, i32>;
    /// One readiness probe.
    fn ready(&self, pod: &str) -> BoxFuture<'_, bool>;
    /// Runs a command in the container, to its end. Dropping the future is the
    /// client's connection going away; the command may run on.
    fn exec(&self, pod: &str, argv: Vec<String>) -> BoxFuture<'_, ExecOutput>;
    /// The disk is gone for good. Only called when no container uses it.
    fn delete_volume(&self, volume: &str);
}
