//! The calls of one intent that run beside the looks, and their outcomes.

use std::sync::{Arc, Mutex, PoisonError};

use lifecycle::{Call, Calls, Effect, Time};
use tokio::sync::Notify;

use super::task::Task;
use crate::act::sessions::Kicked;

/// Which outcome a call is noted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Suspend,
    Leave,
    Reopen,
    Drain,
    Canary,
}

impl Slot {
    /// The slot of an effect that is a call to a broker; none for writes to Kubernetes.
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Suspend { .. } => Some(Self::Suspend),
            Effect::Leave { .. } => Some(Self::Leave),
            Effect::Reopen { .. } => Some(Self::Reopen),
            Effect::DrainBatch { .. } => Some(Self::Drain),
            Effect::Canary { .. } => Some(Self::Canary),
            Effect::RevokeLeave
            | Effect::LabelServing { .. }
            | Effect::SetReplicas { .. }
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
            Self::Canary => &mut calls.canary,
        }
    }
}

/// The calls of the intent with this epoch.
#[derive(Default)]
pub(super) struct InFlight {
    epoch: Option<u64>,
    outcomes: Arc<Mutex<Calls>>,
    /// One task a slot at most; a finished one stays until the next of its kind.
    tasks: Vec<(Slot, Task)>,
    kicked: Arc<Mutex<Kicked>>,
}

impl InFlight {
    /// What has become of the calls of the intent with this epoch. Those of an older one are
    /// dropped: their connections close.
    pub(super) fn outcomes(&mut self, epoch: Option<u64>) -> Calls {
        if epoch != self.epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whom the drain has kicked.
    pub(super) fn kicked(&self) -> Arc<Mutex<Kicked>> {
        Arc::clone(&self.kicked)
    }

    /// A call of this kind is under way.
    pub(super) fn busy(&self, slot: Slot) -> bool {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *slot.call(&mut outcomes) == Call::InFlight
    }

    /// Starts a call beside the looks; `wake` is told when it was answered. One that has failed waits
    /// for the next look: asked again at once, it would be asked as fast as it fails.
    pub(super) fn start(
        &mut self,
        epoch: u64,
        slot: Slot,
        now: Time,
        wake: Arc<Notify>,
        call: impl Future<Output = Call> + Send + 'static,
    ) {
        self.outcomes(Some(epoch));
        {
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            *slot.call(&mut outcomes) = Call::InFlight;
            if slot == Slot::Drain {
                outcomes.drain_sent = Some(now);
            }
        }
        let outcomes = Arc::clone(&self.outcomes);
        let task = Task::spawn(async move {
            let outcome = call.await;
            let answered = matches!(outcome, Call::Answered(_));
            *slot.call(&mut outcomes.lock().unwrap_or_else(PoisonError::into_inner)) = outcome;
            if answered {
                wake.notify_one();
            }
        });
        self.tasks.retain(|(kind, _)| *kind != slot);
        self.tasks.push((slot, task));
    }

    /// Closes the connection of the leave. Whether it had begun is for the next look to see.
    pub(super) fn revoke_leave(&mut self) {
        self.tasks.retain(|(kind, _)| *kind != Slot::Leave);
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if outcomes.leave == Call::InFlight {
            outcomes.leave = Call::Unknown("revoked: the connection was closed".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outcome_belongs_to_its_epoch_and_wakes() {
        let mut calls = InFlight::default();
        let wake = Arc::new(Notify::new());
        calls.start(3, Slot::Leave, Time(5), Arc::clone(&wake), async { Call::Answered("Done".into()) });
        assert!(calls.busy(Slot::Leave));
        wake.notified().await;
        assert_eq!(calls.outcomes(Some(3)).leave, Call::Answered("Done".into()));
        assert_eq!(calls.outcomes(Some(4)), Calls::default(), "another intent begins with nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_waits_for_the_next_look() {
        let mut calls = InFlight::default();
        let wake = Arc::new(Notify::new());
        calls.start(1, Slot::Canary, Time(0), Arc::clone(&wake), async { Call::Refused("no".into()) });
        let woken = tokio::time::timeout(std::time::Duration::from_secs(5), wake.notified()).await;
        assert!(woken.is_err(), "it would be asked again as fast as it is refused");
        assert_eq!(calls.outcomes(Some(1)).canary, Call::Refused("no".into()));
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
