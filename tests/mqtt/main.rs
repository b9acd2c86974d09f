//! The exporter on real input: recorded streams, every kind of bad input, and real programs around it.
//!
//! Tests that play a broker themselves run in paused time: minutes pass in milliseconds.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/programs.rs"]
mod programs;
#[path = "../support/scrape.rs"]
mod scrape;

mod bad_input;
mod bad_link;
mod foreign;
mod log;
mod mosquitto;
mod prometheus;
mod readme;
mod recordings;
mod seldom;
mod simulated;
#[path = "../../simulator/tests/node/support.rs"]
#[allow(dead_code, reason = "the simulator's own tests use more of it")]
mod support;
mod versions;

use std::net::SocketAddr;

use vernescale::mqtt::options::Options;

/// Options as a user without flags has them.
fn options(broker: SocketAddr) -> Options {
    let address = format!("mqtt://{broker}").parse().unwrap();
    Options::new(address, "vernescale-test".to_owned(), vec!["$SYS/#".to_owned()], None).unwrap()
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}
