//! Stand-ins for the systems around vernescale: a VerneMQ cluster and a
//! Kubernetes API, as nasty as the real ones were measured to be.

pub mod cluster_model;
pub mod fleet;
pub mod kubernetes;
mod node;
pub mod pods;
