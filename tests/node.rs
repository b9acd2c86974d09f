//! The stand-in node over real sockets: rumqttc's clients, raw MQTT bytes and
//! raw HTTP, and the real exporter against a fleet of three, under paused time.
//! What a broker must say is read from the recordings of the real one.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

#[path = "support/scrape.rs"]
mod scrape;
#[path = "node/support.rs"]
mod support;

#[path = "node/admin.rs"]
mod admin;
#[path = "node/clients.rs"]
mod clients;
#[path = "node/exporter.rs"]
mod exporter;
#[path = "node/hostile.rs"]
mod hostile;
#[path = "node/leave.rs"]
mod leave;
#[path = "node/listeners.rs"]
mod listeners;
#[path = "node/management.rs"]
mod management;
#[path = "node/netsplit.rs"]
mod netsplit;
#[path = "node/pages.rs"]
mod pages;
#[path = "node/pods.rs"]
mod pods;
