//! The world in: everything that is read, each with a deadline.

pub mod exposition;
pub mod link;
pub mod mosquitto;
pub mod mqtt;
pub mod topic;
