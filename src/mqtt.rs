//! One subscription to a broker: where and as whom, what ends it, and what its topics mean.

pub mod connection_state;
pub mod foreign;
pub mod mosquitto;
pub mod options;
mod session;
pub mod subscription;
pub mod sys_topic;
