//! From a plan to a report.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::addresses::Addresses;
use crate::books::Live;
use crate::clock::Clock;
use crate::plan::{Load, Plan, PlanError};
use crate::report::Report;
use crate::shared::Shared;
use crate::stop::Stop;
use crate::{device, prober, publisher, subscriber};

/// How often the live counters are renewed.
const LIVE_INTERVAL: Duration = Duration::from_millis(100);
/// How often the ledger is asked whether everything has arrived.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);
/// Late duplicates are waited for this long once everything has arrived.
const LINGER: Duration = Duration::from_millis(300);

/// Why a run has no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The witnesses were not all there in time: what follows would prove nothing.
    #[error("only {ready} of {wanted} subscribers were subscribed within {within:?}; last failure: {cause}")]
    NotSubscribed {
        /// How many were.
        ready: usize,
        /// How many should be.
        wanted: usize,
        /// For how long was waited.
        within: Duration,
        /// The last failure.
        cause: String,
    },
    /// Stopped before the first message.
    #[error("stopped before the first message was sent")]
    NotBegun,
    /// A task of ours ended by a defect.
    #[error("a task of the load generator broke off, its counts cannot be trusted: {0}")]
    Broken(String),
}

/// A run under way. Dropping it ends the run at once, without a report.
#[derive(Debug)]
pub struct Handle {
    shared: SharedHandle,
    live: watch::Receiver<Live>,
    task: Option<JoinHandle<Result<Report, RunError>>>,
}

/// Keeps the run's inside out of `Debug`.
struct SharedHandle(Arc<Shared>);

impl std::fmt::Debug for SharedHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Starts a run on the current tokio runtime, of either kind, paused or not.
///
/// `stop` ends it early but in good order: what is open is waited for, the report
/// comes as always.
pub fn run(plan: Plan, addresses: impl Addresses, clock: Clock, stop: Stop) -> Result<Handle, PlanError> {
    plan.validate()?;
    let shared = Arc::new(Shared::new(plan, Arc::new(addresses), clock, stop));
    let (live_sender, live) = watch::channel(shared.live());
    let task = tokio::spawn(supervise(Arc::clone(&shared), live_sender));
    Ok(Handle { shared: SharedHandle(shared), live, task: Some(task) })
}

impl Handle {
    /// Changes the rate (messages a second over all connections; zero pauses).
    /// `false`: this run is not at a rate, or it was changed too often.
    pub fn set_rate(&self, rate: f64) -> bool {
        self.shared.0.set_rate(rate)
    }

    /// The counters as they are now.
    pub fn live(&self) -> Live {
        self.shared.0.live()
    }

    /// The counters, renewed every 100 ms.
    pub fn watch(&self) -> watch::Receiver<Live> {
        self.live.clone()
    }

    /// Ends the run early, in good order.
    pub fn stop(&self) {
        self.shared.0.stop.stop();
    }

    /// Waits for the end.
    pub async fn finish(mut self) -> Result<Report, RunError> {
        let Some(task) = self.task.as_mut() else { return Err(RunError::NotBegun) };
        let result = task.await.unwrap_or_else(|error| Err(RunError::Broken(error.to_string())));
        self.task = None;
        result
    }
}

async fn supervise(shared: Arc<Shared>, live: watch::Sender<Live>) -> Result<Report, RunError> {
    // Everything that this spawns ends with it: a set aborts its tasks when dropped.
    let mut background = JoinSet::new();
    background.spawn(show(Arc::clone(&shared), live));
    let mut witnesses = JoinSet::new();
    for index in 0..shared.plan.subscribers {
        witnesses.spawn(subscriber::witness(Arc::clone(&shared), index));
    }
    let mut publishers = JoinSet::new();
    for index in 0..shared.plan.connections {
        match shared.plan.load {
            Load::Devices { cycle, .. } => publishers.spawn(device::live(Arc::clone(&shared), index, cycle)),
            Load::Rate(_) | Load::Flood => publishers.spawn(publisher::publish(Arc::clone(&shared), index)),
        };
    }
    let mut result = conduct(&shared, &mut publishers, &mut background).await;
    shared.closing.stop();
    // They remove their sessions; a broker that does not take them back keeps them.
    let _ = tokio::time::timeout(shared.plan.limits.cleanup, all(&mut witnesses)).await;
    if let Ok(report) = &mut result {
        shared.books(|books| report.sessions_left(&books.sessions_left));
    }
    result
}

async fn conduct(
    shared: &Arc<Shared>,
    publishers: &mut JoinSet<()>,
    background: &mut JoinSet<()>,
) -> Result<Report, RunError> {
    wait_until_ready(shared).await?;
    tokio::select! {
        () = tokio::time::sleep(shared.plan.limits.route) => {}
        () = shared.stop.stopped() => return Err(RunError::NotBegun),
    }
    shared.begin();
    if let Some(plan) = shared.plan.probe.clone() {
        background.spawn(prober::probe(Arc::clone(shared), plan));
    }
    let mut stopped_at = None;
    tokio::select! {
        ended = all(publishers) => ended?,
        () = shared.stop.stopped() => {
            stopped_at = Some(shared.clock.now());
            all(publishers).await?;
        }
    }
    let ended = shared.clock.now();
    settle(shared).await;
    let (begun, due) = {
        let pace = shared.pace.borrow();
        let begun = pace.begun.unwrap_or(ended);
        let until = stopped_at.unwrap_or(ended);
        let until = shared.plan.until.duration.map_or(until, |duration| until.min(begun + duration));
        let due = pace.schedule.due(until).min(shared.plan.until.count.unwrap_or(u64::MAX));
        // The last one may be due at this very moment.
        let due = due.max(shared.books(|books| books.sent));
        (begun, matches!(shared.plan.load, Load::Rate(_)).then_some(due))
    };
    let stopped = stopped_at.is_some();
    let elapsed = ended.saturating_sub(begun);
    Ok(shared.books(|books| Report::new(&shared.plan, books, due, elapsed, stopped)))
}

/// All subscribers are subscribed, and all publishers have tried to connect.
async fn wait_until_ready(shared: &Shared) -> Result<(), RunError> {
    let plan = &shared.plan;
    let wanted = match plan.load {
        Load::Devices { .. } => (0, plan.subscribers),
        Load::Rate(_) | Load::Flood => (plan.connections, plan.subscribers),
    };
    let mut ready = shared.ready.subscribe();
    tokio::select! {
        _ = ready.wait_for(|ready| ready.0 >= wanted.0 && ready.1 >= wanted.1) => return Ok(()),
        () = shared.stop.stopped() => return Err(RunError::NotBegun),
        () = tokio::time::sleep(plan.limits.start) => {}
    }
    let ready = shared.ready.borrow().1;
    if ready >= wanted.1 {
        // Publishers that never got through show in the report.
        return Ok(());
    }
    let cause = shared.books(|books| books.subscriptions.last_failure.clone());
    let cause = cause.unwrap_or_else(|| "none, they are just slow".to_owned());
    Err(RunError::NotSubscribed { ready, wanted: wanted.1, within: plan.limits.start, cause })
}

/// Waits until what was acknowledged has arrived everywhere, or for too long.
async fn settle(shared: &Shared) {
    if shared.plan.subscribers == 0 {
        return;
    }
    let arrived = async {
        while !shared.books(|books| books.ledger.is_settled()) {
            tokio::time::sleep(SETTLE_INTERVAL).await;
        }
        tokio::time::sleep(LINGER).await;
    };
    // Too long: the verdicts say what is missing.
    let _ = tokio::time::timeout(shared.plan.limits.settle, arrived).await;
}

async fn show(shared: Arc<Shared>, live: watch::Sender<Live>) {
    loop {
        live.send_replace(shared.live());
        tokio::time::sleep(LIVE_INTERVAL).await;
    }
}

async fn all(tasks: &mut JoinSet<()>) -> Result<(), RunError> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| RunError::Broken(error.to_string()))?;
    }
    Ok(())
}
