//! vernescale: lets a VerneMQ cluster on Kubernetes follow its load without
//! losing a message. See ARCHITECTURE.md for the map.

pub mod api;
pub mod cli;
pub mod conditions;
pub mod controller;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exporter;
pub mod http_server;
pub mod kubernetes;
pub mod mqtt;
pub mod telemetry;
pub mod vernemq;
