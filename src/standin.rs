//! Stand-ins for VerneMQ and Kubernetes, for the demo and the tests.

pub mod kubernetes;
