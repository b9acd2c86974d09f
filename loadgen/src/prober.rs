//! A stranger who tries the whole service again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::{Broken, ConnectError, Event};
use crate::plan::ProbePlan;
use crate::shared::{Role, Shared};

/// Starts a probe every interval until the run is closing, each with a client id
/// and a topic of its own. At most deadline / interval of them run at once, since
/// each ends by its deadline.
pub(crate) async fn probe(shared: Arc<Shared>, plan: ProbePlan) {
    let Some(begun) = shared.begun().await else { return };
    let mut probes = JoinSet::new();
    for turn in 0_u32.. {
        let at = plan.interval.saturating_mul(turn);
        tokio::select! {
            () = shared.clock.sleep_until(begun + at) => {}
            () = shared.closing.stopped() => break,
        }
        if shared.closing.is_stopped() {
            break;
        }
        // Their results are in the books already.
        while probes.try_join_next().is_some() {}
        probes.spawn(one(Arc::clone(&shared), plan.clone(), turn, at));
    }
    // Those under way have no result: a run that ends is no failure of the broker.
    probes.shutdown().await;
}

async fn one(shared: Arc<Shared>, plan: ProbePlan, turn: u32, at: Duration) {
    let mut step = Step::Connecting;
    let result = tokio::time::timeout(plan.deadline, cycle(&shared, &plan, turn, &mut step)).await;
    let result = result.unwrap_or_else(|_| Err(step.silence().to_owned()));
    shared.books(|books| books.probes.record(at, result));
}

/// How far a probe has come.
enum Step {
    Connecting,
    Subscribing,
    Waiting,
}

impl Step {
    fn silence(&self) -> &'static str {
        match self {
            Self::Connecting => "no CONNACK",
            Self::Subscribing => "no SUBACK",
            Self::Waiting => "own message did not come back",
        }
    }
}

async fn cycle(shared: &Shared, plan: &ProbePlan, turn: u32, step: &mut Step) -> Result<(), String> {
    // Lanes above those of the publishers; a clean session of its own.
    let mut who = shared.identity(Role::Publisher, usize::try_from(turn).unwrap_or(0) + (1 << 24));
    who.client_id = format!("{}-c{turn}", shared.plan.name);
    let mut connection = shared.connect_quietly(&mut who).await.map_err(|error| connect_kind(&error))?;
    let lost = |broken: Broken| broken.kind();
    let topic = format!("{}/{turn}", plan.topic);
    *step = Step::Subscribing;
    connection.outbox.subscribe(&topic, 1);
    loop {
        match connection.inbox.next().await.map_err(lost)? {
            Event::Subscribed(Ok(_)) => break,
            Event::Subscribed(Err(code)) => return Err(format!("SUBACK {code}")),
            _ => {}
        }
    }
    tokio::time::sleep(plan.pause).await;
    *step = Step::Waiting;
    let payload = bytes::Bytes::from(turn.to_string());
    connection.outbox.publish(&topic, 1, &payload);
    loop {
        match connection.inbox.next().await.map_err(lost)? {
            Event::Message { payload: received, .. } if received == payload => break,
            Event::Finished { refused: Some(code), .. } => return Err(format!("PUBACK {code}")),
            _ => {}
        }
    }
    connection.leave().await;
    Ok(())
}

fn connect_kind(error: &ConnectError) -> String {
    match error {
        ConnectError::TcpRefused => "TCP refused".to_owned(),
        ConnectError::TimedOut(_) => Step::Connecting.silence().to_owned(),
        ConnectError::Closed(_) => "closed before CONNACK".to_owned(),
        ConnectError::Refused(code) => format!("CONNACK {code}"),
        ConnectError::NoAddress => "no address".to_owned(),
        ConnectError::Other(_) => "other".to_owned(),
    }
}
