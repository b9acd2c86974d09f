//! Ten CONNECTs a second through the client Service.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifecycle::Time;
use net::Clock;
use simulator::kubernetes::Kubernetes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{NAME, NAMESPACE};

/// Ten a second, as in docs/broker/practice.md, "Set-up".
const EVERY: Duration = Duration::from_millis(100);

/// As long as a patient client waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// A kube-proxy learns of a change of the endpoints this much later: 1.5 s are what the controller
/// gives them all (docs/broker/practice.md, "The recipe").
const PROXY: Duration = Duration::from_millis(1_400);

/// A leave's refusals by code 3 last from the loss of the link to the update of the members, 1.2 s
/// at most (docs/broker/leave.md, "CONNACK 3 in a leave"); another survivor may be a second later than the
/// first one.
const FLOOR_BEFORE: Duration = Duration::from_millis(1_500);
const FLOOR_AFTER: Duration = Duration::from_millis(1_500);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused,
    Code(u8),
    Other(String),
}

#[derive(Default)]
struct Seen {
    count: usize,
    bad: Vec<(Time, String, Outcome)>,
}

/// What the probes met.
pub(crate) struct Prober {
    seen: Arc<Mutex<Seen>>,
    begin: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prober {
    pub(super) fn new(kubernetes: Kubernetes, clock: Clock) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let begin = Arc::new(Notify::new());
        let (told, books) = (Arc::clone(&begin), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            told.notified().await;
            probe(kubernetes, clock, books).await;
        });
        Self { seen, begin, task }
    }

    /// Not before the first nodes have joined: a client that meets a node before its join makes the
    /// join impossible (docs/broker/join.md, "A client before the join"), and without a controller nothing
    /// keeps it away.
    pub(super) fn begin(&self) {
        self.begin.notify_one();
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().expect("not poisoned").count
    }

    /// TCP connects that nobody took: the Service sent a client to a closed listener.
    pub(crate) fn refused_connects(&self) -> Vec<String> {
        self.told(|_, outcome| *outcome == Outcome::Refused)
    }

    /// Anything but an acceptance that no leave explains.
    pub(crate) fn outside(&self, leaves: &[Time]) -> Vec<String> {
        self.told(|at, outcome| match outcome {
            Outcome::Code(3) => !leaves.iter().any(|leave| within_floor(at, *leave)),
            Outcome::Accepted | Outcome::Refused => false,
            Outcome::Code(_) | Outcome::Other(_) => true,
        })
    }

    /// Most probes that one leave had refused.
    pub(crate) fn worst(&self, leaves: &[Time]) -> usize {
        let seen = self.seen.lock().expect("not poisoned");
        let of = |leave: &Time| seen.bad.iter().filter(|(at, ..)| within_floor(*at, *leave)).count();
        leaves.iter().map(of).max().unwrap_or(0)
    }

    pub(super) fn summary(&self) -> String {
        let seen = self.seen.lock().expect("not poisoned");
        let first: Vec<_> = seen.bad.iter().take(5).collect();
        format!("probes: {} of {} not accepted, first {first:?}", seen.bad.len(), seen.count)
    }

    fn told(&self, select: impl Fn(Time, &Outcome) -> bool) -> Vec<String> {
        let seen = self.seen.lock().expect("not poisoned");
        let selected = seen.bad.iter().filter(|(at, _, outcome)| select(*at, outcome));
        selected.map(|(at, pod, outcome)| format!("{at:?} {pod} {outcome:?}")).collect()
    }
}

fn within_floor(at: Time, leave: Time) -> bool {
    at + FLOOR_BEFORE >= leave && at <= leave + FLOOR_AFTER
}

async fn probe(kubernetes: Kubernetes, clock: Clock, seen: Arc<Mutex<Seen>>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut slices = VecDeque::new();
    for round in 0usize.. {
        ticks.tick().await;
        slices.push_back((clock.now(), kubernetes.endpoints(NAMESPACE, NAME)));
        while slices.get(1).is_some_and(|(at, _)| clock.now().since(*at) >= PROXY) {
            slices.pop_front();
        }
        let heard = slices.front().map(|(_, endpoints)| endpoints.clone()).unwrap_or_default();
        let endpoints: Vec<_> = heard.into_iter().filter(|endpoint| endpoint.ready).collect();
        let Some(endpoint) = endpoints.get(round % endpoints.len().max(1)) else { continue };
        let at = clock.now();
        let id = format!("probe-{round}");
        let outcome = timeout(PATIENCE, connect((endpoint.address, 1883).into(), &id))
            .await
            .unwrap_or_else(|_| Outcome::Other("no CONNACK".into()));
        let mut seen = seen.lock().expect("not poisoned");
        seen.count += 1;
        if outcome != Outcome::Accepted {
            seen.bad.push((at, endpoint.pod.clone(), outcome));
        }
    }
}

async fn connect(address: std::net::SocketAddr, id: &str) -> Outcome {
    let mut stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Outcome::Refused,
        Err(error) => return Outcome::Other(error.to_string()),
    };
    let length = u8::try_from(id.len()).expect("short ids");
    // MQTT 3.1.1, clean session, keep-alive 10 s.
    let mut packet = vec![0x10, 12 + length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 10, 0, length];
    packet.extend_from_slice(id.as_bytes());
    let mut answer = [0; 4];
    let exchange = async {
        stream.write_all(&packet).await?;
        stream.read_exact(&mut answer).await?;
        stream.write_all(&[0xe0, 0]).await
    };
    match exchange.await {
        _ if answer[0] == 0x20 && answer[3] != 0 => Outcome::Code(answer[3]),
        Ok(()) if answer[0] == 0x20 => Outcome::Accepted,
        Ok(()) => Outcome::Other(format!("{answer:?}")),
        Err(error) => Outcome::Other(error.to_string()),
    }
}
