//! Publishes to MQTT brokers as devices do, and proves that nothing was lost.
//!
//! A run is described by a [`Plan`] and started by [`run`], which returns a
//! [`Handle`]: live counters, a rate that can be changed, and the final
//! [`Report`]. What is counted is decided in plain values ([`Books`], [`Ledger`],
//! [`Schedule`]); sockets and the clock are in the few files around them.

mod addresses;
mod backoff;
mod bits;
mod books;
mod client;
mod clock;
mod device;
mod latency;
mod ledger;
mod pace;
mod payload;
mod plan;
mod prober;
mod probes;
mod publisher;
mod report;
mod run;
mod session;
mod shared;
mod stop;
mod subscriber;
mod tally;
mod window;

pub use addresses::{Addresses, Targets};
pub use books::{Books, Live};
pub use client::{Code, ConnectError, Protocol, check};
pub use clock::Clock;
pub use ledger::{Audience, Copy, Ledger, Verdict, Verdicts};
pub use pace::Schedule;
pub use payload::{Template, TemplateError};
pub use plan::{Limits, Load, Plan, PlanError, ProbePlan, Until};
pub use report::{Latencies, LedgerReport, Messages, ProbeReport, Report, Summary};
pub use run::{Handle, RunError, run};
pub use stop::Stop;
pub use tally::Tally;
