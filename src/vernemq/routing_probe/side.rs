//! Where the probe connects to, and as whom.

use std::net::SocketAddr;

use crate::vernemq::http::Tls;

/// The client ids of every routing probe, under [`crate::vernemq::sessions::OUR_CLIENTS`]: two, and always the same, so that they can be
/// entered where logins are kept by client id.
pub const CLIENT_IDS: [&str; 2] = ["vernescale-probe-newcomer", "vernescale-probe-peer"];

/// Where a broker takes MQTT clients.
#[derive(Clone, Debug)]
pub struct Side {
    /// In words: pod, kind and address.
    pub place: String,
    /// Address of the pod, port of the listener.
    pub address: SocketAddr,
    /// For a TLS listener: how it is proven, or why that cannot be.
    pub tls: Option<Result<Tls, String>>,
    /// A PROXY header goes first.
    pub proxy: bool,
}
