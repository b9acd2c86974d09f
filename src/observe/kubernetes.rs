//! Objects of Kubernetes: read fresh for every look, no cache, so that a stale
//! one can never lower a size twice; then folded into facts.

mod acceptors;
mod fold;
mod preflight;
mod read;
mod resource;

pub use acceptors::{Acceptors, acceptors};
pub use fold::{claims, pods, rollout, selector, target};
pub use preflight::{Finding, preflight};
pub use read::{ClientService, Objects, Slow, read, read_slow};
pub use resource::{Unreadable, kind, resources};
