//! A Kubernetes API server in this process, with the controllers and the kubelet
//! that a StatefulSet of VerneMQ needs, good enough for a real `kube::Client`.

mod containers;

pub use containers::{Container, Containers, ExecOutput};
