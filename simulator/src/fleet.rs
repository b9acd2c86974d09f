//! A simulated VerneMQ cluster with sockets, in this process: the cluster model
//! under one lock, a task a connection, and a ticker that lets the model's time pass.
//!
//! The lock is a plain mutex: it is held for the handful of microseconds that a
//! batch of packets takes, and never across an await. What the model wants done
//! is carried out under the same lock ([`events`]), so that the order on every
//! wire is the order in which the model decided.

mod conn;
mod core;
mod events;
mod sockets;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use lifecycle::{NodeName, Time};
use tokio::sync::oneshot;

pub(crate) use conn::Conn;
pub(crate) use core::{CallEnd, Core};
pub(crate) use sockets::{Life, Visit};

use super::model::{
    CallId, CloseReason, ClusterModel, Command, ConnId, Connect, Goodbye, NodeHost, Process, Settings,
    Signal, Version, Via,
};
use super::node::admin;
use net::Clock;

/// How often the model's time passes while nothing else happens. Fine enough
/// for the 0.1 s steps of a leave, and 50 wake-ups a second cost nothing.
const TICK: Duration = Duration::from_millis(20);

/// Port of the listener between nodes: shown by `listener show`, never opened.
const CLUSTER_PORT: u16 = 44_053;

/// A node, as it is to be started.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its name in the cluster, such as `VerneMQ1@127.0.0.11`.
    pub name: NodeName,
    /// The loopback address that it listens on.
    pub address: Ipv4Addr,
    /// Port of MQTT; 1883 in the recordings.
    pub mqtt_port: u16,
    /// Port of HTTP; 8888 in the recordings.
    pub http_port: u16,
    /// The broker that it runs.
    pub version: Version,
    /// Peer that the image's join loop looks for; none joins nobody.
    pub discover: Option<NodeName>,
}

/// What `vmq-admin` printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminOutput {
    /// Standard output, ANSI codes included.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code, which says little (docs/broker/http-api.md, "vmq-admin").
    pub code: i32,
}

/// The cluster. Clones are the same cluster; when the last one is gone, its
/// listeners close and its time stands still.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    /// `prometheus_namespace` of the nodes.
    prefix: String,
    core: Mutex<Core>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Fleet {
    /// An empty cluster on `settings`. Must be called in a tokio runtime: the
    /// ticker runs there.
    pub fn start(clock: Clock, settings: Settings) -> Self {
        Self::start_with_prefix(clock, settings, "vernemq_")
    }

    /// The same with another `prometheus_namespace`; brokers up to 1.13 have none (`""`).
    pub fn start_with_prefix(clock: Clock, settings: Settings, prefix: &str) -> Self {
        let core = Mutex::new(Core::new(ClusterModel::new(settings)));
        let shared = Arc::new(Shared { clock, prefix: prefix.into(), core });
        tokio::spawn(tick(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Starts the process of a node on its disk as it is. Returns at once; the
    /// sockets open when the model's boot is over.
    ///
    /// # Errors
    /// Where the address or a port cannot be bound on this machine.
    #[expect(clippy::unused_async, reason = "callers await it, and a later one may have to look names up")]
    pub async fn boot(&self, spec: NodeSpec) -> io::Result<()> {
        let host = NodeHost {
            mqtt: SocketAddr::from((spec.address, spec.mqtt_port)),
            http: SocketAddr::from((spec.address, spec.http_port)),
            cluster: SocketAddr::from((spec.address, CLUSTER_PORT)),
            build: format!("simulator {}", spec.version.name()),
            version: spec.version,
        };
        self.boot_on(&spec.name, &host, spec.discover.as_ref())
    }

    /// [`Self::boot`] with every address and the build chosen by the caller:
    /// two builds cannot ask each other to leave (docs/broker/leave.md, "Across versions").
    ///
    /// # Errors
    /// As [`Self::boot`].
    pub fn boot_on(&self, name: &NodeName, host: &NodeHost, discover: Option<&NodeName>) -> io::Result<()> {
        // A port that is taken must be told now, not when the model opens it.
        if !matches!(self.process(name), Process::Booting | Process::Running | Process::Stopping) {
            for address in [host.mqtt, host.http] {
                drop(sockets::bind(address).map_err(|error| {
                    let text =
                        format!("{name} cannot listen on {address}: {error}; choose a free address or port");
                    io::Error::new(error.kind(), text)
                })?);
            }
        }
        self.locked(|core, now| {
            core.place(name, host);
            core.model.boot(name, host, discover, now);
        });
        Ok(())
    }

    /// Sends a signal to the process of `node`; ignored while there is none.
    pub fn signal(&self, node: &NodeName, signal: Signal) {
        self.locked(|core, now| core.model.signal(node, signal, now));
    }

    /// Deletes the disk of `node`; ignored while its process is there.
    pub fn wipe(&self, node: &NodeName) {
        self.locked(|core, _| core.model.wipe(node));
    }

    /// State of the process of `node`.
    pub fn process(&self, node: &NodeName) -> Process {
        self.locked(|core, _| core.model.process(node))
    }

    /// Waits until no process of `node` is there; its exit code. For a node
    /// that was never started it waits for the end of its first process.
    pub async fn exited(&self, node: &NodeName) -> i32 {
        let mut exits = self.locked(|core, _| core.exits(node));
        loop {
            if let Process::Exited { code } = self.process(node) {
                return code;
            }
            // The sender lives in the core, which `self` keeps.
            if exits.changed().await.is_err() {
                return 0;
            }
        }
    }

    /// Runs `vmq-admin` in the container of `at`; `argv` with or without its own name.
    pub async fn admin(&self, at: &NodeName, argv: &[String]) -> AdminOutput {
        admin::run(self, at, argv).await
    }

    /// Reads or moves the model; what follows from it is carried out before this returns.
    pub fn with_model<R>(&self, f: impl FnOnce(&mut ClusterModel, Time) -> R) -> R {
        self.locked(|core, now| f(&mut core.model, now))
    }

    /// Cuts the connection of a client, as a network that fails does. False where it has none.
    pub fn cut(&self, client_id: &str) -> bool {
        self.locked(|core, now| {
            let Some(conn) = core.model.connection_of(client_id) else { return false };
            core.model.disconnect(conn, Goodbye::Lost, now);
            if let Some(socket) = core.conns.remove(&conn) {
                socket.close(CloseReason::Plain);
            }
            true
        })
    }

    /// The clock of this node's machine is `seconds` ahead of the others' from now on.
    pub fn set_clock_ahead(&self, node: &NodeName, seconds: i64) {
        self.locked(|core, _| core.clocks.insert(node.clone(), seconds));
    }

    /// What this node says in the `Date` of its answers.
    pub(crate) fn date(&self, at: &NodeName) -> Option<http::HeaderValue> {
        let (ahead, now) = self.locked(|core, now| (core.clocks.get(at).copied().unwrap_or(0), now));
        let ms = i64::try_from(now.0).ok()?.checked_add(ahead.checked_mul(1_000)?)?;
        let at = jiff::Timestamp::from_millisecond(ms).ok()?;
        let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()?;
        text.try_into().ok()
    }

    /// The next `count` leaves asked over HTTP are carried out, and their connection is
    /// closed without a byte in place of the reply.
    pub fn lose_leave_replies(&self, count: u32) {
        self.locked(|core, _| core.replies_to_lose = count);
    }

    /// The next `count` leaves asked over HTTP are not carried out; their connection is closed without a byte, too.
    pub fn lose_leave_requests(&self, count: u32) {
        self.locked(|core, _| core.requests_to_lose = count);
    }

    /// Whether this request is one of those that are lost; counts it.
    pub(crate) fn loses(&self, command: &Command) -> bool {
        self.locked(|core, _| {
            let lost =
                matches!(command, Command::ClusterLeave { kill: true, .. }) && core.requests_to_lose > 0;
            core.requests_to_lose -= u32::from(lost);
            lost
        })
    }

    /// QoS 0 messages that were thrown away because a client did not read: the
    /// model has delivered them, so its counters do not know.
    pub fn dropped_at_sockets(&self) -> u64 {
        self.locked(|core, _| core.dropped)
    }

    /// `prometheus_namespace`.
    pub(crate) fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// A CONNECT arrived at `at`.
    pub(crate) fn connect(&self, at: &NodeName, connect: Connect, conn: &Arc<Conn>) -> ConnId {
        self.locked(|core, now| {
            let id = core.model.connect(at, connect, now);
            core.conns.insert(id, conn.clone());
            id
        })
    }

    /// Asks for a command; the end comes through the channel.
    pub(crate) fn request(
        &self,
        at: &NodeName,
        command: Command,
        via: Via,
    ) -> (CallId, oneshot::Receiver<CallEnd>) {
        let leave = matches!(command, Command::ClusterLeave { kill: true, .. }) && via == Via::Http;
        self.locked(|core, now| {
            let id = core.model.request(at, command, via, now);
            if leave && core.replies_to_lose > 0 {
                core.replies_to_lose -= 1;
                core.lost.insert(id);
            }
            let (sender, receiver) = oneshot::channel();
            core.calls.insert(id, sender);
            (id, receiver)
        })
    }

    /// The client of a command has closed its connection.
    pub(crate) fn hang_up(&self, call: CallId) {
        self.locked(|core, now| {
            if core.calls.remove(&call).is_some() {
                core.model.hang_up(call, now);
            }
        });
    }

    /// Runs `f` under the lock with the model at the present, then carries out
    /// what the model wants.
    pub(crate) fn locked<R>(&self, f: impl FnOnce(&mut Core, Time) -> R) -> R {
        let now = self.now();
        let mut core = self.core();
        core.model.advance(now);
        let result = f(&mut core, now);
        events::carry_out(&mut core, &self.shared);
        result
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.lock()
    }
}

impl Shared {
    /// A panic under the lock has left the model in some state; the tests that
    /// follow fail on their own.
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the model's time pass until the fleet is gone.
async fn tick(shared: Weak<Shared>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        interval.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let now = shared.clock.now();
        let mut core = shared.lock();
        sockets::open_wanted(&mut core, &shared);
        if core.model.next_due().is_some_and(|due| due <= now) {
            core.model.advance(now);
            events::carry_out(&mut core, &shared);
        }
    }
}
