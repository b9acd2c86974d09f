//! `vernescale exporter`: `$SYS` in, `/metrics` out. Holds no rights at Kubernetes and writes nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::http_server;
use crate::mqtt::options::Options;
use crate::mqtt::subscription::{Event, subscribe};
use net::Clock;

mod heard;
mod help;
mod intake;
mod page;
mod process;
mod report;

pub use intake::Intake;
pub use page::render;
pub use report::{BadInput, Report};

/// After the signal: for scrapes under way and for the goodbye to the broker. Kubernetes gives 30 s.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What the exporter is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker and what to read from it.
    pub source: Options,
    /// Where to serve; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Counters carry the time at which they arrived (see [`render`]).
    pub timestamps: bool,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to serve on cannot be had.
    #[error("cannot listen on {address} (choose another with --listen)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// Our own metrics contradict each other.
    #[error("own metrics contradict each other")]
    Metrics(#[from] prometheus::Error),
    /// Serving failed.
    #[error("serving has failed")]
    Serve(#[source] std::io::Error),
}

/// What both sides share: the subscription writes, a scrape reads.
pub type Shared = Arc<Mutex<Intake>>;

/// Bound, but not yet running.
pub struct Exporter {
    settings: Settings,
    clock: Clock,
    listener: TcpListener,
    address: SocketAddr,
    intake: Shared,
}

impl Exporter {
    /// Takes the address, so that a caller knows of a failure before anything else has begun.
    pub async fn bind(settings: Settings, clock: Clock) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let intake = Arc::new(Mutex::new(Intake::new(&settings.source)?));
        Ok(Self { settings, clock, listener, address, intake })
    }

    /// The address that it serves on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until `stop` resolves.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let (told, stopped) = watch::channel(false);
        let router = http_server::router(page(self.intake.clone(), self.clock, self.settings.timestamps));
        tracing::info!(address = %self.address, broker = self.settings.source.broker.authority(), "serving /metrics");
        let served = http_server::serve(self.listener, router, wait(stopped.clone()));
        let (intake, clock) = (self.intake, self.clock);
        let sink = |event: Event<'_>, now| lock(&intake).take(event, now);
        let subscribed = subscribe(&self.settings.source, clock, wait(stopped), sink);
        let both = async { tokio::join!(served, subscribed).0 };
        tokio::pin!(both);
        tokio::select! {
            // Serving ends early only by an error.
            result = &mut both => return result.map_err(Error::Serve),
            () = stop => {}
        }
        tracing::info!("stopping");
        let _ = told.send(true);
        match timeout(STOP_WAIT, both).await {
            Ok(result) => result.map_err(Error::Serve),
            Err(_) => Ok(()),
        }
    }
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn page(intake: Shared, clock: Clock, timestamps: bool) -> impl Fn() -> String + Clone + Send + Sync {
    move || render(&mut lock(&intake), clock.now(), timestamps)
}

/// A panic elsewhere must not turn every further scrape into one.
fn lock(intake: &Mutex<Intake>) -> MutexGuard<'_, Intake> {
    intake.lock().unwrap_or_else(PoisonError::into_inner)
}
