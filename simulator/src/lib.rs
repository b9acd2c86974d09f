//! Simulators for the systems around vernescale: a VerneMQ cluster and a
//! Kubernetes API, as nasty as the real ones were measured to be.

pub mod fleet;
pub mod kubernetes;
pub mod model;
mod node;
pub mod pods;
