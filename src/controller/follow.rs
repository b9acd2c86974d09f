//! What follows the `Done` of a leave: the members are asked at once, all together and again and again, until the
//! machine has its second witness, and the size is lowered. Nothing else is read in between: the leaver's process ends
//! 1.1 to 1.7 s after `Done`, and then its container runs again; what a whole reconcile reads may take as long as the
//! slowest of it. The leaver itself is asked too: nobody listens there within 10 ms of `Done`, while survivors list it
//! until its process has ended (`leaver_after_done.txt`).

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lifecycle::{Calls, Facts, Intent, Limits, NodeName, Observed, Ordinal, Output, Reach, Step, Time, step};

use super::brokers::{Ask, last_word, members};
use super::observation::Observation;
use net::Clock;

/// Between two questions to one member. One costs the broker 0.5 to 5 ms
/// (docs/broker/http-api.md, "Paths and answers").
const AGAIN: Duration = Duration::from_millis(50);

/// Deadline of a question. A busy survivor answered within 0.41 s (docs/broker/drain.md, "Paced or at once");
/// the others are not kept by it.
const SURVIVOR_WITHIN: Duration = Duration::from_secs(1);

/// The leaver may contradict, so its word is waited for; it refuses at once, or answers as quickly.
const LEAVER_WITHIN: Duration = Duration::from_millis(200);

/// So long after `Done` nobody is asked any more but by reconciles: once it took 6 s
/// (docs/broker/leave.md, "After Done").
pub(super) const IN_ALL: Duration = Duration::from_secs(10);

/// Before a reconcile that goes on beside the questions: they are the quicker ones.
pub(super) const LOOK_AFTER: Duration = Duration::from_millis(200);

/// A leave that was asked for, as the last whole reconcile has left it.
pub(super) struct Leaving {
    pub(super) observed: Observation,
    facts: Facts,
    limits: Limits,
}

impl Leaving {
    /// None where this reconcile has not left a leave to be verified.
    pub(super) fn of(observed: Observation, facts: Facts, limits: Limits, out: &Output) -> Option<Self> {
        let waits = |intent: &&Intent| intent.asked && matches!(intent.step, Step::Leave | Step::Verify);
        out.intent.as_ref().filter(waits)?;
        Some(Self { observed, facts, limits })
    }

    /// The change that it is about.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.observed.held.intent().map(|intent| intent.epoch)
    }

    /// Asks until the leave is verified; what the machine says then. Never where that does not come. `calls` are
    /// those of this moment.
    pub(super) async fn verified(&mut self, calls: Calls, clock: Clock) -> Output {
        match tokio::time::timeout(IN_ALL, self.asks(calls, clock)).await {
            Ok(Some(out)) => out,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    async fn asks(&mut self, calls: Calls, clock: Clock) -> Option<Output> {
        let leaver = self.observed.held.intent()?.ordinal;
        self.facts.calls = calls;
        // What was heard before `Done` says nothing of what came of it.
        for node in self.facts.nodes.values_mut() {
            node.members = Observed::Unknown("not asked since the leave was answered".into());
        }
        let asks = self.observed.asks.values().filter(|ask| ask.ordinal <= leaver);
        let mut heard: FuturesUnordered<_> = asks.map(|one| ask(one, leaver, Duration::ZERO)).collect();
        let mut leaver_heard = !self.observed.asks.contains_key(&leaver);
        while let Some((ordinal, reach, view)) = heard.next().await {
            leaver_heard |= ordinal == leaver;
            if let Some(node) = self.facts.nodes.get_mut(&ordinal) {
                node.members = view;
                node.reach = reach.unwrap_or(node.reach);
            }
            if leaver_heard && let Some(out) = self.lowers(clock.now()) {
                return Some(out);
            }
            heard.extend(self.observed.asks.get(&ordinal).map(|one| ask(one, leaver, AGAIN)));
        }
        None
    }

    /// The machine's next step, where that is to lower the size.
    fn lowers(&self, now: Time) -> Option<Output> {
        let out = step(self.observed.held.intent(), &self.facts, &self.limits, now);
        let verified = |intent: &Intent| intent.verified && intent.step == Step::Shrink;
        out.intent.as_ref().is_some_and(verified).then_some(out)
    }
}

/// Whether anybody listens, where that was asked, and the members as it sees them.
type Heard = (Ordinal, Option<Reach>, Observed<BTreeMap<NodeName, bool>>);

async fn ask(ask: &Ask, leaver: Ordinal, pause: Duration) -> Heard {
    tokio::time::sleep(pause).await;
    if ask.ordinal != leaver {
        return (ask.ordinal, None, members(ask, SURVIVOR_WITHIN).await);
    }
    let (reach, view) = last_word(ask, LEAVER_WITHIN).await;
    (ask.ordinal, Some(reach), view)
}
