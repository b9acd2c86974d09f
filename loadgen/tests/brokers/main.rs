//! Runs against brokers: one that misbehaves on command under virtual time,
//! rumqttd inside the test, and a real mosquitto.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail and speak as tests do")]

mod command;
mod faults;
mod latency;
mod live;
mod mosquitto;
mod proxy;
mod real;
mod rumqttd;
mod scripted;

use loadgen::{Addresses, Clock, Plan, Report, Stop, run};

/// Carries out `plan` to its end.
async fn report(plan: Plan, addresses: impl Addresses) -> Report {
    run(plan, addresses, Clock::start(), Stop::new()).unwrap().finish().await.unwrap()
}

/// A loopback port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
