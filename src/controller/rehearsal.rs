//! The routing probe: through which listeners it goes, and its rehearsal on a member before anything is raised. A newcomer that
//! nobody can enter is never served, and once it has joined only an ordered leave takes it away again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lifecycle::{Call, Kind, Ordinal, Step, Time, Veto};
use tokio::sync::Notify;

use super::observation::Observation;
use super::task::Task;
use crate::conditions::Told;
use crate::vernemq::routing_probe::{Broker, CROSSED, Side, Wanted, choose, cross};
use autoscaler::decide::Mode;
use net::Login;

/// The member on which it is tried: the one that every newcomer's routing probe goes to.
const PEER: Ordinal = Ordinal(0);

/// Longest rehearsal: as long as a routing probe's own.
const LIMIT: Duration = Duration::from_secs(9);

/// Two connects every so often cost a broker nothing, and people read in time that a raise would not work.
const AGAIN_CROSSED: Duration = Duration::from_mins(5);
const AGAIN_FAILED: Duration = Duration::from_secs(10);

/// One that has crossed counts for so long where none has been answered since: a member that is too busy to answer must
/// not keep help away.
const HOLDS: Duration = Duration::from_mins(15);

/// No answer for so long is told.
const UNANSWERED_FOR: Duration = Duration::from_secs(30);

/// The routing probe between two pods' brokers, through the listeners that they show now.
pub(super) fn crossing(
    observed: &Observation,
    newcomer: Ordinal,
    peer: Ordinal,
    login: Option<&Result<Login, String>>,
    tag: String,
    limit: Duration,
) -> impl Future<Output = Call> + Send + use<> {
    let (pairs, login) = (pairs(observed, newcomer, peer), login.cloned().transpose());
    async move {
        match (pairs, login) {
            (Ok(pairs), Ok(login)) => cross(&pairs, login.as_ref(), &tag, limit).await,
            (Err(why), _) | (_, Err(why)) => Call::Refused(why),
        }
    }
}

/// Pairs of listeners of two pods' brokers.
fn pairs(observed: &Observation, newcomer: Ordinal, peer: Ordinal) -> Result<Vec<(Side, Side)>, String> {
    let broker = |ordinal: Ordinal| {
        let host = observed.management.get(&ordinal).and_then(|endpoint| endpoint.host);
        let host = host.ok_or_else(|| format!("pod {ordinal} has no address"))?;
        let listeners = observed.answered.get(&ordinal).and_then(|one| one.client_listeners.as_deref());
        let listeners = listeners.ok_or_else(|| format!("the listeners of pod {ordinal} are not known"))?;
        let tls = observed.routing_probe_tls.get(&ordinal).cloned();
        Ok::<_, String>(Broker { ordinal, host, listeners, tls })
    };
    let probe = &observed.resource.spec.routing_probe;
    choose(&broker(newcomer)?, &broker(peer)?, Wanted { port: probe.port, proxy: probe.proxy_protocol })
}

/// On what it was tried: another one is not known yet.
#[derive(Clone, Debug, PartialEq)]
struct Of {
    generation: Option<i64>,
    pod_uid: String,
    restarts: u32,
    login: Option<Result<Login, String>>,
}

/// What is known of the routing probe on a member.
#[derive(Default)]
pub(super) struct Rehearsal {
    of: Option<Of>,
    asked: Option<Time>,
    /// Since when it has not crossed.
    failing: Option<Time>,
    crossed: Option<Time>,
    /// What was answered last; it stands while the next is on its way.
    last: Call,
    outcome: Arc<Mutex<Call>>,
    task: Option<Task>,
}

impl Rehearsal {
    /// Tries it where that is due; `wake` is told when it has an answer.
    pub(super) fn observe(
        &mut self,
        observed: &Observation,
        login: Option<&Result<Login, String>>,
        wake: &Arc<Notify>,
        now: Time,
    ) {
        if !raises(observed) {
            return;
        }
        let Some(of) = subject(observed, login) else { return };
        if self.of.as_ref() != Some(&of) {
            *self = Self { of: Some(of), failing: Some(now), ..Self::default() };
        }
        self.note(now);
        if !self.due(now) {
            return;
        }
        self.asked = Some(now);
        *self.answer() = Call::InFlight;
        let crossing = crossing(observed, PEER, PEER, login, format!("rehearsal-{}", now.0), LIMIT);
        let (outcome, wake) = (Arc::clone(&self.outcome), Arc::clone(wake));
        self.task = Some(Task::spawn(async move {
            let answer = crossing.await;
            tracing::debug!(?answer, "the routing probe was tried on a member");
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = answer;
            wake.notify_one();
        }));
    }

    fn answer(&self) -> std::sync::MutexGuard<'_, Call> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, now: Time) -> bool {
        if *self.answer() == Call::InFlight {
            return false;
        }
        let again = if matches!(self.last, Call::Answered(_)) { AGAIN_CROSSED } else { AGAIN_FAILED };
        self.asked.is_none_or(|at| now.since(at) >= again)
    }

    /// Takes in what has been answered since.
    fn note(&mut self, now: Time) {
        let answer = self.answer().clone();
        if answer == Call::InFlight {
            return;
        }
        self.last = answer;
        match &self.last {
            Call::Answered(text) if text == CROSSED => {
                self.crossed = self.asked;
                self.failing = None;
            }
            Call::Refused(_) => {
                self.crossed = None;
                self.failing.get_or_insert(now);
            }
            Call::Unknown(_) => {
                self.failing.get_or_insert(now);
            }
            Call::None | Call::InFlight | Call::Answered(_) => {}
        }
    }

    /// What forbids to raise: that it was refused, or that nothing is known.
    pub(super) fn veto(&self, observed: &Observation, now: Time) -> Option<Veto> {
        if !raises(observed) || self.crossed.is_some_and(|at| now.since(at) < HOLDS) {
            return None;
        }
        let why = |why: &str| {
            format!(
                "no newcomer is made that could not be served: the routing probe was tried on pod {PEER}, a member, and {why}"
            )
        };
        Some(match &self.last {
            Call::Refused(text) => {
                Veto::forbids("RoutingProbeRefused", why(&format!("did not get through: {text}")))
            }
            Call::Unknown(text) => {
                Veto::unknown("RoutingProbeUntried", why(&format!("has no answer: {text}")))
            }
            Call::None | Call::InFlight | Call::Answered(_) => Veto::unknown(
                "RoutingProbeUntried",
                why("has no answer yet; it waits until all members agree"),
            ),
        })
    }

    /// The same for people, whether a raise is wanted or not: at once where it is refused, later where nothing answers.
    pub(super) fn told(&self, observed: &Observation, now: Time) -> Option<Told> {
        let Veto { name, message, unknown } = self.veto(observed, now)?;
        let late = self.failing.is_some_and(|since| now.since(since) >= UNANSWERED_FOR);
        let tells = !unknown || late && matches!(self.last, Call::Unknown(_));
        tells.then_some(Told { name, severity: lifecycle::Severity::Warning, message, blocks: false })
    }
}

/// Where nothing is raised nothing is tried.
fn raises(observed: &Observation) -> bool {
    let spec = &observed.resource.spec;
    matches!(spec.mode, Mode::Active | Mode::GrowOnly)
        && observed.resource.metadata.deletion_timestamp.is_none()
}

/// The member as it is; none where it is not the time: a client that reaches a node before its join makes that
/// impossible (`join_refused_after_client_on_newcomer.txt`), and a change that is under way is let be.
fn subject(observed: &Observation, login: Option<&Result<Login, String>>) -> Option<Of> {
    let active = observed.held.intent().filter(|intent| intent.active());
    let quiet = active.is_none_or(|intent| intent.kind == Kind::Grow && intent.step == Step::Raise);
    let pod = observed.pods.get(&PEER)?;
    let serves = pod.ready && !pod.deleting && pod.serving != Some(false);
    if !quiet || !serves || !joined(observed) {
        return None;
    }
    Some(Of {
        generation: observed.resource.metadata.generation,
        pod_uid: pod.uid.clone(),
        restarts: pod.restarts,
        login: login.cloned(),
    })
}

/// It sees the nodes of all pods that are wanted.
fn joined(observed: &Observation) -> bool {
    let Some(view) = observed.answered.get(&PEER).and_then(|one| one.node.members.seen()) else {
        return false;
    };
    let names = (0..observed.target.replicas.max(1)).map(|ordinal| {
        let answered = observed.answered.get(&Ordinal(ordinal))?;
        answered.node.name.as_ref()
    });
    names.into_iter().all(|name| name.is_some_and(|name| view.get(name) == Some(&true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(rehearsal: &mut Rehearsal, call: Call, now: Time) {
        *rehearsal.answer() = call;
        rehearsal.note(now);
    }

    /// Seldom while it crosses, soon while it does not, never twice at once.
    #[test]
    fn it_is_tried_at_a_bounded_rate() {
        let mut rehearsal = Rehearsal::default();
        assert!(rehearsal.due(Time(0)));
        rehearsal.asked = Some(Time(0));
        *rehearsal.answer() = Call::InFlight;
        assert!(!rehearsal.due(Time(3_600_000)), "one is under way");
        answered(&mut rehearsal, Call::Refused("no".into()), Time(1));
        assert!(!rehearsal.due(Time(9_999)) && rehearsal.due(Time(10_000)));
        answered(&mut rehearsal, Call::Answered(CROSSED.into()), Time(2));
        assert!(!rehearsal.due(Time(299_999)) && rehearsal.due(Time(300_000)));
    }

    /// A member that is too busy to answer keeps no help away, for a while; one that refuses does at once.
    #[test]
    fn what_has_crossed_outlasts_silence_and_no_refusal() {
        let mut rehearsal = Rehearsal { asked: Some(Time(0)), ..Rehearsal::default() };
        answered(&mut rehearsal, Call::Answered(CROSSED.into()), Time(1));
        *rehearsal.answer() = Call::InFlight;
        rehearsal.note(Time(2));
        assert!(matches!(rehearsal.last, Call::Answered(_)), "the last answer stands meanwhile");
        answered(&mut rehearsal, Call::Unknown("silent".into()), Time(3));
        assert_eq!((rehearsal.crossed, rehearsal.failing), (Some(Time(0)), Some(Time(3))));
        answered(&mut rehearsal, Call::Refused("no".into()), Time(4));
        assert_eq!((rehearsal.crossed, rehearsal.failing), (None, Some(Time(3))), "failing since then");
    }
}
