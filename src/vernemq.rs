//! Everything that is said to a broker's HTTP listener or `vmq-admin`, and what it answers; and the routing probe, which
//! speaks MQTT to two brokers.

pub mod admin;
pub mod http;
pub mod reply;
pub mod routing_probe;
pub mod sessions;
pub mod status_page;
