//! The calls of one intent that run beside the reconciles, and their outcomes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifecycle::{Call, Calls, Effect, Time, said_done};
use tokio::sync::{Notify, watch};

use super::task::Task;
use crate::vernemq::sessions::Kicked;

/// Between two calls that are the same.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Which outcome a call is noted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Suspend,
    Leave,
    Reopen,
    Drain,
    RoutingProbe,
}

impl Slot {
    /// The slot of an effect that is a call to a broker; none for writes to Kubernetes.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Suspend { .. } => Some(Self::Suspend),
            Effect::Leave { .. } => Some(Self::Leave),
            Effect::Reopen { .. } => Some(Self::Reopen),
            Effect::DrainBatch { .. } => Some(Self::Drain),
            Effect::RoutingProbe { .. } => Some(Self::RoutingProbe),
            Effect::RevokeLeave
            | Effect::LabelServing { .. }
            | Effect::SetReplicas { .. }
            | Effect::Touch { .. }
            | Effect::DeletePod { .. }
            | Effect::DeleteClaim { .. } => None,
        }
    }

    fn call(self, calls: &mut Calls) -> &mut Call {
        match self {
            Self::Suspend => &mut calls.suspend,
            Self::Leave => &mut calls.leave,
            Self::Reopen => &mut calls.reopen,
            Self::Drain => &mut calls.drain,
            Self::RoutingProbe => &mut calls.routing_probe,
        }
    }
}

/// The calls of the intent with this epoch.
#[derive(Default)]
pub(super) struct InFlight {
    epoch: Option<u64>,
    outcomes: watch::Sender<Calls>,
    /// One task a slot at most; a finished one stays until the next of its kind.
    tasks: Vec<(Slot, Task)>,
    kicked: Arc<Mutex<Kicked>>,
    /// The last of each kind.
    asked: Vec<(Slot, Effect, Time)>,
}

impl InFlight {
    /// What has become of the calls of the intent with this epoch. Those of an older one are
    /// dropped: their connections close.
    pub(super) fn outcomes(&mut self, epoch: Option<u64>) -> Calls {
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.outcomes.borrow().clone()
    }

    /// The same with the pace that the drain has reached by now.
    pub(super) fn outcomes_at(&mut self, epoch: Option<u64>, now: Time) -> Calls {
        let outcomes = self.outcomes(epoch);
        let kicked = self.kicked.lock().unwrap_or_else(PoisonError::into_inner);
        let (rate, average) = (kicked.rate(now), kicked.average());
        let stay = kicked.stay();
        Calls {
            drained: kicked.all(),
            drain_rate: rate,
            drain_average: average,
            drain_stay: stay,
            ..outcomes
        }
    }

    /// Whom the drain has kicked.
    pub(super) fn kicked(&self) -> Arc<Mutex<Kicked>> {
        Arc::clone(&self.kicked)
    }

    /// No call of this kind is under way, nor was the very same made a moment ago: one that is refused,
    /// or answered without effect, would be made again as fast as it ends. A drain has its own pace.
    pub(super) fn may_ask(&self, slot: Slot, effect: &Effect, now: Time) -> bool {
        let just_asked = |(kind, last, at): &(Slot, Effect, Time)| {
            *kind == slot && last == effect && now.since(*at) < ASK_EVERY
        };
        let too_soon = slot != Slot::Drain && self.asked.iter().any(just_asked);
        *slot.call(&mut self.outcomes.borrow().clone()) != Call::InFlight && !too_soon
    }

    /// Notes what was asked last.
    pub(super) fn asked(&mut self, slot: Slot, effect: &Effect, now: Time) {
        self.asked.retain(|(kind, ..)| *kind != slot);
        self.asked.push((slot, effect.clone(), now));
        if let Effect::DrainBatch { paid, .. } = effect {
            self.outcomes.send_modify(|outcomes| outcomes.drain_paid = Some(*paid));
        }
    }

    /// Starts a call beside the reconciles; `wake` is told when it has ended.
    pub(super) fn start(
        &mut self,
        epoch: u64,
        slot: Slot,
        now: Time,
        wake: Arc<Notify>,
        call: impl Future<Output = Call> + Send + 'static,
    ) {
        self.outcomes(Some(epoch));
        self.outcomes.send_modify(|outcomes| {
            *slot.call(outcomes) = Call::InFlight;
            match slot {
                Slot::RoutingProbe => outcomes.routing_probe_sent = Some(now),
                Slot::Suspend | Slot::Leave | Slot::Reopen | Slot::Drain => {}
            }
        });
        let outcomes = self.outcomes.clone();
        let task = Task::spawn(async move {
            let outcome = call.await;
            outcomes.send_modify(|outcomes| *slot.call(outcomes) = outcome);
            wake.notify_one();
        });
        self.tasks.retain(|(kind, _)| *kind != slot);
        self.tasks.push((slot, task));
    }

    /// Closes the connection of the leave. Whether it had begun is for the next reconcile to see.
    pub(super) fn revoke_leave(&mut self) {
        self.tasks.retain(|(kind, _)| *kind != Slot::Leave);
        self.outcomes.send_if_modified(|outcomes| {
            let under_way = outcomes.leave == Call::InFlight;
            if under_way {
                outcomes.leave = Call::Unknown("revoked: the connection was closed".into());
            }
            under_way
        });
    }

    /// The leave has been answered by `Done`.
    pub(super) fn leave_said_done(&self) -> bool {
        said_done(&self.outcomes.borrow().leave)
    }

    /// Resolves as soon as it has; never where that does not come.
    pub(super) fn leave_done(&self) -> impl Future<Output = Calls> + use<> {
        let mut outcomes = self.outcomes.subscribe();
        async move {
            let done =
                outcomes.wait_for(|outcomes| said_done(&outcomes.leave)).await.map(|done| done.clone());
            match done {
                Ok(done) => done,
                Err(_) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{NodeName, Ordinal};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outcome_belongs_to_its_epoch_and_wakes() {
        let mut calls = InFlight::default();
        let wake = Arc::new(Notify::new());
        calls.start(3, Slot::Leave, Time(5), Arc::clone(&wake), async { Call::Answered("Done".into()) });
        let leave =
            Effect::Leave { coordinator: Ordinal(0), target: NodeName("n".into()), deadline: ASK_EVERY };
        assert!(!calls.may_ask(Slot::Leave, &leave, Time(9_000)), "one is under way");
        wake.notified().await;
        assert_eq!(calls.outcomes(Some(3)).leave, Call::Answered("Done".into()));
        assert_eq!(calls.outcomes(Some(4)), Calls::default(), "another intent begins with nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_not_asked_again_at_once() {
        let mut calls = InFlight::default();
        let probe = |peer| Effect::RoutingProbe { newcomer: Ordinal(2), peer: Ordinal(peer) };
        assert!(calls.may_ask(Slot::RoutingProbe, &probe(0), Time(5)));
        calls.asked(Slot::RoutingProbe, &probe(0), Time(5));
        assert!(!calls.may_ask(Slot::RoutingProbe, &probe(0), Time(1_004)));
        assert!(
            calls.may_ask(Slot::RoutingProbe, &probe(1), Time(5))
                && calls.may_ask(Slot::RoutingProbe, &probe(0), Time(1_005))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn revoking_drops_the_call_and_says_unknown() {
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let mut calls = InFlight::default();
        calls.start(1, Slot::Leave, Time(0), Arc::default(), async move {
            let _alive = alive;
            std::future::pending().await
        });
        tokio::task::yield_now().await;
        calls.revoke_leave();
        assert!(dropped.await.is_err(), "the future is gone, and its connection with it");
        assert!(matches!(calls.outcomes(Some(1)).leave, Call::Unknown(_)));
    }
}
