//! How fast the simulator is, and which addresses it takes.

use std::{net::Ipv4Addr, time::Duration};

/// The loopback addresses `127.a.b.0/24` of one simulator: `.1` is the API
/// server's, the rest are the pods'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Second byte.
    pub a: u8,
    /// Third byte.
    pub b: u8,
}

impl Block {
    /// One address of the block.
    pub fn host(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.a, self.b, last)
    }
}

/// How long things take that take time in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From a change to the StatefulSet controller's answer to it.
    pub stateful_set: Duration,
    /// From a change of a pod to the EndpointSlices that follow it.
    pub endpoints: Duration,
    /// From a vanished owner to the deletion of what it owned.
    pub collector: Duration,
    /// From a pod's creation until it has a node.
    pub schedule: Duration,
    /// From the node until the container runs: volumes, image, network.
    pub start: Duration,
    /// From the end of a process until the kubelet runs it again. Measured 1.0 s
    /// on a real kubelet, without back-off the first time (docs/broker/kubernetes.md, "Restarts by kubelet").
    pub restart: Duration,
    /// Back-off before the second restart in a row, doubled up to 5 minutes and
    /// forgotten after 10 minutes of running. Zero: none ever.
    pub back_off: Duration,
    /// From the end of a deleted pod's containers until its object is gone.
    pub remove: Duration,
}

impl Default for Timing {
    /// As seen on a real control plane: some tens of milliseconds in the
    /// controllers, a second or two in the kubelet.
    fn default() -> Self {
        Self {
            stateful_set: Duration::from_millis(50),
            endpoints: Duration::from_millis(100),
            collector: Duration::from_millis(100),
            schedule: Duration::from_millis(50),
            start: Duration::from_secs(1),
            restart: Duration::from_secs(1),
            back_off: Duration::from_secs(10),
            remove: Duration::from_millis(300),
        }
    }
}

/// What a simulator starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its addresses. Two that run at the same time need two blocks.
    pub block: Block,
    /// Port of the API server; 0 takes a free one.
    pub port: u16,
    /// Its speed.
    pub timing: Timing,
}

impl Settings {
    /// The default speed on the addresses `127.a.b.0/24`.
    pub fn on(a: u8, b: u8) -> Self {
        Self { block: Block { a, b }, port: 0, timing: Timing::default() }
    }
}
