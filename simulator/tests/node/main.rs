//! The simulated broker over real sockets: rumqttc's clients, raw MQTT bytes and
//! raw HTTP, a fleet of three, under paused time.
//! What a broker must say is read from the recordings of the real one.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

mod support;

mod admin;
mod clients;
mod hostile;
mod leave;
mod listeners;
mod management;
mod netsplit;
mod pages;
mod pods;
