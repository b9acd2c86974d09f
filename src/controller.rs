//! The controller: observe → decide → step → apply → report, for each of our resources. No logic of its own: what is
//! decided is in [`autoscaler::decide`] and `lifecycle`, what is touched is in [`crate::kubernetes`] and
//! [`crate::vernemq`].

mod apply;
mod brokers;
mod clocks;
mod facts;
mod failures;
mod follow;
mod in_flight;
mod memory;
mod metrics;
mod observation;
mod observe;
mod page;
mod process;
mod protection;
mod reconciler;
mod rehearsal;
mod report;
mod resource_conditions;
mod room;
mod shared;
mod sizing;
mod takeover;
mod task;
mod unreadable;

pub use metrics::Metrics;
pub use process::Controller;
pub use shared::{Hook, Reach, Settings};
