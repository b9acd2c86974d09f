//! Where the brokers are, as known at the moment.

use std::net::SocketAddr;

use net::BrokerUrl;

/// The brokers that a client may connect to, asked before every connect. The
/// client picks one at random, as a load balancer does.
pub trait Addresses: Send + Sync + 'static {
    /// The brokers as known now; empty is a failed connect.
    fn current(&self) -> Vec<BrokerUrl>;
}

impl<F: Fn() -> Vec<SocketAddr> + Send + Sync + 'static> Addresses for F {
    fn current(&self) -> Vec<BrokerUrl> {
        self().into_iter().map(BrokerUrl::from).collect()
    }
}

/// A list that does not change.
#[derive(Clone, Debug)]
pub struct Targets(pub Vec<BrokerUrl>);

impl Addresses for Targets {
    fn current(&self) -> Vec<BrokerUrl> {
        self.0.clone()
    }
}
