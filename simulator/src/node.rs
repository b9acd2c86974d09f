//! A simulated VerneMQ broker: what a broker's sockets and its `vmq-admin` say,
//! on top of the cluster model. It decides nothing about the cluster itself.

pub(crate) mod admin;
mod grammar;
pub(crate) mod http;
mod line;
mod render;
pub(crate) mod session;
pub(crate) mod wire;
