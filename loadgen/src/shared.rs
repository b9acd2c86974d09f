//! What the tasks of one run have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use net::BrokerUrl;

use crate::addresses::Addresses;
use crate::backoff::Backoff;
use crate::books::{Books, Live};
use crate::client::{self, ConnectError, Connection};
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::pace::Schedule;
use crate::plan::{Load, Plan};
use crate::stop::Stop;
use crate::tally::Tally;

/// The schedule and when it began.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pub(crate) schedule: Schedule,
    /// The rate to begin with; later ones go into the schedule.
    pub(crate) wanted: f64,
    pub(crate) begun: Option<Duration>,
}

/// One run's common state.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) addresses: Arc<dyn Addresses>,
    pub(crate) clock: Clock,
    /// No new messages from here on.
    pub(crate) stop: Stop,
    /// Subscribers leave, the prober ends.
    pub(crate) closing: Stop,
    pub(crate) pace: watch::Sender<Pace>,
    /// Publishers that tried once, and subscribers that are subscribed.
    pub(crate) ready: watch::Sender<(usize, usize)>,
    books: Mutex<Books>,
    next_number: AtomicU64,
}

/// Which tally a connection counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher,
    Subscriber,
}

/// What one client keeps from one connection to the next.
pub(crate) struct Identity {
    pub(crate) role: Role,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    random: StdRng,
    backoff: Backoff,
    /// When the last connection was accepted.
    connected_at: Option<Duration>,
    /// Whether a connect would be a retry.
    tried: bool,
}

impl Shared {
    pub(crate) fn new(plan: Plan, addresses: Arc<dyn Addresses>, clock: Clock, stop: Stop) -> Self {
        let wanted = if let Load::Rate(rate) = plan.load { rate } else { 0.0 };
        Self {
            books: Mutex::new(Books::new(&plan)),
            addresses,
            clock,
            stop,
            closing: Stop::new(),
            pace: watch::Sender::new(Pace { schedule: Schedule::new(0.0), wanted, begun: None }),
            ready: watch::Sender::new((0, 0)),
            next_number: AtomicU64::new(0),
            plan,
        }
    }

    /// Works on the books. The lock is held for the call alone, never across a wait.
    pub(crate) fn books<R>(&self, work: impl FnOnce(&mut Books) -> R) -> R {
        // The books hold counts: after a panic elsewhere they are still the best there is.
        work(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Works on the tally of `role`.
    pub(crate) fn tally<R>(&self, role: Role, work: impl FnOnce(&mut Tally) -> R) -> R {
        self.books(|books| match role {
            Role::Publisher => work(&mut books.connections),
            Role::Subscriber => work(&mut books.subscriptions),
        })
    }

    /// A number that nobody has; `None` when there are no more.
    pub(crate) fn take_number(&self) -> Option<u64> {
        let end = self.plan.until.count.unwrap_or(Ledger::LIMIT);
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        (number < end).then_some(number)
    }

    /// When new messages end by the plan's duration.
    pub(crate) fn sends_until(&self) -> Option<Duration> {
        Some(self.pace.borrow().begun? + self.plan.until.duration?)
    }

    /// Begins: the first message is due now.
    pub(crate) fn begin(&self) {
        let now = self.clock.now();
        self.pace.send_modify(|pace| {
            pace.schedule.set_rate(now, pace.wanted);
            pace.begun = Some(now);
        });
    }

    /// Returns when the run has begun, with the time; `None` if it was stopped before.
    pub(crate) async fn begun(&self) -> Option<Duration> {
        let mut pace = self.pace.subscribe();
        tokio::select! {
            biased;
            () = self.stop.stopped() => None,
            pace = pace.wait_for(|pace| pace.begun.is_some()) => pace.ok()?.begun,
        }
    }

    /// Changes the rate; `false` if this run has none or it was changed too often.
    pub(crate) fn set_rate(&self, rate: f64) -> bool {
        if !matches!(self.plan.load, Load::Rate(_)) {
            return false;
        }
        let now = self.clock.now();
        let mut accepted = true;
        self.pace.send_modify(|pace| match pace.begun {
            None => pace.wanted = rate,
            Some(_) => accepted = pace.schedule.set_rate(now, rate),
        });
        accepted
    }

    /// A glance at the run.
    pub(crate) fn live(&self) -> Live {
        let now = self.clock.now();
        let (begun, rate) = {
            let pace = self.pace.borrow();
            let rate = if pace.begun.is_some() { pace.schedule.rate() } else { pace.wanted };
            (pace.begun, matches!(self.plan.load, Load::Rate(_)).then_some(rate))
        };
        let running = begun.map_or(Duration::ZERO, |begun| now.saturating_sub(begun));
        Live { running, rate, ..self.books(|books| books.live()) }
    }

    /// Who client number `index` of `role` is.
    pub(crate) fn identity(&self, role: Role, index: usize) -> Identity {
        let (letter, lane) = if role == Role::Publisher { ('p', 0) } else { ('s', 1 << 32) };
        let client_id = match (&self.plan.load, role) {
            (Load::Devices { fixed_client_id: Some(id), .. }, Role::Publisher) => id.clone(),
            _ => format!("{}-{letter}{index}", self.plan.name),
        };
        let random =
            StdRng::seed_from_u64(self.plan.seed ^ (lane + index as u64 + 1).wrapping_mul(0x9e37_79b9));
        let clean = role == Role::Publisher;
        Identity {
            role,
            client_id,
            clean,
            random,
            backoff: Backoff::default(),
            connected_at: None,
            tried: false,
        }
    }

    /// Connects once, to a broker picked at random, and counts what came of it.
    pub(crate) async fn connect(&self, who: &mut Identity) -> Result<Connection, ConnectError> {
        let started = self.clock.now();
        let retry = std::mem::replace(&mut who.tried, true);
        let result = self.connect_quietly(who).await;
        let took = self.clock.now().saturating_sub(started);
        self.tally(who.role, |tally| {
            tally.retries += u64::from(retry);
            match &result {
                Ok(_) => tally.accepted += 1,
                Err(error) => tally.refused(error),
            }
        });
        if result.is_ok() {
            who.connected_at = Some(self.clock.now());
            self.books(|books| books.connect.record(took));
        }
        result
    }

    /// Connects once, to a broker picked at random, and counts nothing.
    pub(crate) async fn connect_quietly(&self, who: &mut Identity) -> Result<Connection, ConnectError> {
        let targets = self.addresses.current();
        if targets.is_empty() {
            return Err(ConnectError::NoAddress);
        }
        let target = targets[who.random.random_range(0..targets.len())].clone();
        client::connect(&self.options(target, who)).await
    }

    fn options(&self, target: BrokerUrl, who: &Identity) -> client::Options {
        let plan = &self.plan;
        client::Options {
            target,
            protocol: plan.protocol,
            client_id: who.client_id.clone(),
            clean: who.clean,
            login: plan.login.clone(),
            tls: plan.tls.clone(),
            keep_alive: plan.limits.keep_alive,
            deadline: plan.limits.connect,
            window: if who.role == Role::Publisher { plan.window } else { 1 },
            payload_max: plan.template.len(),
            exactly_once: plan.qos == 2,
        }
    }
}

impl Identity {
    /// A reconnect that was wished for (a device's next cycle) is no retry.
    pub(crate) fn start_anew(&mut self) {
        self.tried = false;
        self.backoff.reset();
    }

    /// Waits before the next connect, shorter if `cut` is given meanwhile. Only a
    /// connection that held for a while ends the growth of the waits: a broker
    /// that accepts and closes at once must not be hammered.
    pub(crate) async fn back_off(&mut self, shared: &Shared, cut: &Stop) {
        let now = shared.clock.now();
        if self.connected_at.take().is_some_and(|at| at + Backoff::CEILING <= now) {
            self.backoff.reset();
        }
        let wait = tokio::time::sleep(self.backoff.next(self.random.random::<f64>()));
        if cut.is_stopped() {
            // Given long ago: cutting every wait short would hammer the broker.
            wait.await;
        } else {
            tokio::select! {
                () = wait => {}
                () = cut.stopped() => {}
            }
        }
    }
}
