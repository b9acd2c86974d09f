//! vernescale: lets a VerneMQ cluster on Kubernetes follow its load without
//! losing a message. See ARCHITECTURE.md for the map.

pub mod act;
pub mod api;
pub mod cli;
pub mod conditions;
pub mod controller;
pub mod demo;
pub mod exporter;
pub mod leader;
pub mod naming;
pub mod observe;
pub mod serve;
pub mod telemetry;
pub mod wire;
