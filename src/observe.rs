//! The world in: everything that is read, each with a deadline.

pub mod foreign;
pub mod kubernetes;
pub mod link;
pub mod management;
pub mod mosquitto;
pub mod mqtt;
pub mod status_page;
pub mod topic;
