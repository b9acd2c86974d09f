//! What the lock of a fleet guards: the model, and the way from its ids to sockets.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use lifecycle::NodeName;
use tokio::sync::{oneshot, watch};

use super::{Conn, sockets::ListenerSocket};
use crate::model::{Answer, CallId, ClusterModel, ConnId, NodeHost};

/// How a command ended.
#[derive(Debug)]
pub(crate) enum CallEnd {
    /// Answered.
    Answer(Answer),
    /// The connection ends without a byte.
    Cut,
}

/// Sockets of one node.
#[derive(Debug)]
pub(crate) struct Node {
    /// The plain listeners for clients that this process has had.
    pub(crate) mqtt: HashMap<SocketAddr, ListenerSocket>,
    pub(crate) http: ListenerSocket,
    /// Changes at every end of the process.
    pub(crate) exits: watch::Sender<u64>,
}

impl Default for Node {
    fn default() -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { mqtt: HashMap::new(), http: ListenerSocket::new(nowhere), exits: watch::Sender::new(0) }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) model: ClusterModel,
    pub(crate) conns: HashMap<ConnId, Arc<Conn>>,
    pub(crate) calls: HashMap<CallId, oneshot::Sender<CallEnd>>,
    pub(crate) nodes: HashMap<NodeName, Node>,
    pub(crate) dropped: u64,
    /// So many of the next leaves lose their reply.
    pub(crate) replies_to_lose: u32,
    /// Seconds by which the clocks of these nodes are ahead.
    pub(crate) clocks: BTreeMap<NodeName, i64>,
    /// So many of the next leaves reach no broker.
    pub(crate) requests_to_lose: u32,
    /// Calls whose reply is lost when it comes.
    pub(crate) lost: HashSet<CallId>,
}

impl Core {
    pub(crate) fn new(model: ClusterModel) -> Self {
        Self {
            model,
            conns: HashMap::new(),
            calls: HashMap::new(),
            nodes: HashMap::new(),
            dropped: 0,
            replies_to_lose: 0,
            clocks: BTreeMap::new(),
            requests_to_lose: 0,
            lost: HashSet::new(),
        }
    }

    /// Where `name` listens from its next boot on.
    pub(crate) fn place(&mut self, name: &NodeName, host: &NodeHost) {
        let node = self.nodes.entry(name.clone()).or_default();
        node.http.move_to(host.http);
    }

    /// Tells of every end of the process of `name`.
    pub(crate) fn exits(&mut self, name: &NodeName) -> watch::Receiver<u64> {
        self.nodes.entry(name.clone()).or_default().exits.subscribe()
    }
}
