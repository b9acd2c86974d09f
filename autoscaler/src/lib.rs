//! How large a cluster should be, and why: pure functions of what was measured, what was asked for, what was, and now.
//!
//! [`metrics`] folds samples into what is known of all brokers; [`decide`] makes a size of it. No I/O, no clock, no
//! randomness: the dependencies of this crate are the proof.

pub mod decide;
pub mod metrics;
