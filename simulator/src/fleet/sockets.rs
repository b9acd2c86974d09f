//! Listening sockets that follow the model: a listener that is suspended,
//! deleted or not there refuses TCP, because nothing listens.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::Poll,
    time::Duration,
};

use lifecycle::NodeName;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::AbortHandle,
};

use super::{Core, Fleet, Shared};
use crate::node::{http, session};

/// Connections that a listener holds at a time: each is a file of this process. How many a listener of the broker takes
/// is the model's business. Above either the next one hangs: accepted, and never answered.
const MAX_CONNS: usize = 10_000;
/// Connections that wait for `accept`. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 1_024;
/// Pause after a failed `accept`, for want of file descriptors most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Which of a node's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Mqtt(SocketAddr),
    Http,
}

/// Life of the process behind a connection. When the sender is dropped, the
/// process has ended and the connection is cut as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// As usual.
    Up,
    /// HTTP goes down: what is answered by now is still written.
    Closing,
}

/// A listening address, open or not.
#[derive(Debug)]
pub(crate) struct ListenerSocket {
    address: SocketAddr,
    wanted: bool,
    open: Option<Open>,
    life: Option<watch::Sender<Life>>,
    room: Arc<Semaphore>,
}

/// An open listener. Dropping it closes the socket at once, not when the task
/// that accepts is next run.
#[derive(Debug)]
struct Open {
    slot: Arc<Slot>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Slot(Mutex<Option<TcpListener>>);

impl Drop for Open {
    fn drop(&mut self) {
        drop(self.slot.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.task.abort();
    }
}

impl Slot {
    /// The next connection; none when the listener is closed.
    async fn accept(&self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        std::future::poll_fn(|context| match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(listener) => listener.poll_accept(context).map(Some),
            None => Poll::Ready(None),
        })
        .await
    }
}

impl ListenerSocket {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, wanted: false, open: None, life: None, room: Arc::new(Semaphore::new(MAX_CONNS)) }
    }

    /// Takes effect when it listens next.
    pub(super) fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    fn close(&mut self) {
        self.wanted = false;
        self.open = None;
    }
}

/// Listens on `address`. Needs a tokio runtime around it.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A node that restarts must not wait for the last one's TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The model has opened or closed a listener.
pub(super) fn want(core: &mut Core, shared: &Arc<Shared>, node: &NodeName, which: Which, on: bool) {
    let Some(found) = core.nodes.get_mut(node) else { return };
    let socket = socket(found, which);
    if on {
        socket.wanted = true;
        open_wanted(core, shared);
    } else {
        socket.close();
        if which == Which::Http
            && let Some(life) = &socket.life
        {
            life.send_replace(Life::Closing);
        }
    }
}

fn socket(node: &mut super::core::Node, which: Which) -> &mut ListenerSocket {
    match which {
        Which::Mqtt(at) => node.mqtt.entry(at).or_insert_with(|| ListenerSocket::new(at)),
        Which::Http => &mut node.http,
    }
}

fn every(node: &super::core::Node) -> Vec<Which> {
    node.mqtt.keys().map(|at| Which::Mqtt(*at)).chain([Which::Http]).collect()
}

/// Opens what should be open: now, or at the next tick where the port is still
/// taken or no runtime is around.
pub(super) fn open_wanted(core: &mut Core, shared: &Arc<Shared>) {
    for (name, node) in &mut core.nodes {
        for which in every(node) {
            let socket = socket(node, which);
            if socket.wanted && socket.open.is_none() && tokio::runtime::Handle::try_current().is_ok() {
                open(socket, which, name, shared);
            }
        }
    }
}

fn open(socket: &mut ListenerSocket, which: Which, name: &NodeName, shared: &Arc<Shared>) {
    let listener = match bind(socket.address) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%name, address = %socket.address, %error, "cannot listen yet, trying again");
            return;
        }
    };
    if socket.life.as_ref().is_none_or(|life| *life.borrow() != Life::Up) {
        socket.life = Some(watch::Sender::new(Life::Up));
    }
    let Some(life) = &socket.life else { return };
    let slot = Arc::new(Slot(Mutex::new(Some(listener))));
    let place = Place {
        shared: Arc::downgrade(shared),
        name: name.clone(),
        which,
        life: life.subscribe(),
        room: socket.room.clone(),
    };
    let task = tokio::spawn(accept(slot.clone(), place)).abort_handle();
    socket.open = Some(Open { slot, task });
}

/// The process of `name` has ended: everything of it is cut.
pub(super) fn slam(core: &mut Core, name: &NodeName) {
    let Some(node) = core.nodes.get_mut(name) else { return };
    node.mqtt.clear();
    node.http.close();
    node.http.life = None;
    node.exits.send_modify(|ends| *ends += 1);
}

/// What the task that accepts knows.
struct Place {
    shared: Weak<Shared>,
    name: NodeName,
    which: Which,
    life: watch::Receiver<Life>,
    room: Arc<Semaphore>,
}

async fn accept(slot: Arc<Slot>, place: Place) {
    while let Some(accepted) = slot.accept().await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(name = %place.name, %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Closed only when the listener is gone, and this task with it.
        let Ok(permit) = place.room.clone().acquire_owned().await else { return };
        let Some(shared) = place.shared.upgrade() else { return };
        let visit =
            Visit { fleet: Fleet { shared }, at: place.name.clone(), peer, life: place.life.clone(), permit };
        match place.which {
            Which::Mqtt(listener) => drop(tokio::spawn(session::serve(stream, visit, listener))),
            Which::Http => drop(tokio::spawn(http::serve(stream, visit))),
        }
    }
}

/// A connection that was accepted, and where.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) fleet: Fleet,
    pub(crate) at: NodeName,
    pub(crate) peer: SocketAddr,
    pub(crate) life: watch::Receiver<Life>,
    /// Held for as long as the connection lasts.
    #[expect(dead_code, reason = "only its end counts")]
    pub(crate) permit: OwnedSemaphorePermit,
}
