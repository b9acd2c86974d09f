//! How soon a change may follow another, and clients a newcomer's join.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Intent, Kind, NodeName, Outcome, Time};
use serde_json::Value;
use simulator::kubernetes::Kubernetes;
use vernescale::api::VerneMQAutoscaler;

use super::{Moment, NAME, NAMESPACE, STEP, seconds};

/// Back-to-back leaves crashed the broker's store in 1 of 8 (docs/broker/leave.md, "Two leaves").
const QUIET: Duration = seconds(5);

/// A node that has just joined acknowledges and loses for 7.5 s (docs/broker/join.md, "Losses after a join").
const PROOF: Duration = seconds(10);

/// What was seen of the changes so far.
#[derive(Default)]
pub(super) struct Pace {
    last: Option<Intent>,
    /// When a pod or a claim that the size does not hold was last there.
    trace: Option<Time>,
    /// When it was looked last. Nobody looks while a scenario sleeps.
    looked: Option<Time>,
    /// Since when, at the earliest, every other node lists the node of the pod with this uid.
    joined: BTreeMap<String, Time>,
    /// Since when the pod with this uid is sent clients.
    served: Option<BTreeMap<String, Time>>,
}

impl Pace {
    /// One look; what was too soon, if anything.
    pub(super) fn look(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Moment { kubernetes, at, .. } = *moment;
        let intent = super::intent(kubernetes);
        let size = super::replicas(kubernetes);
        if ["pods", "persistentvolumeclaims"].iter().any(|plural| beyond(kubernetes, plural, size)) {
            self.trace = Some(at);
        }
        self.newcomer(moment, intent.as_ref())?;
        let told = match (&self.last, &intent) {
            (Some(last), Some(next)) if next.epoch > last.epoch => self.follows(kubernetes, last, next),
            _ => Ok(()),
        };
        self.last = intent.or(self.last.take());
        told
    }

    fn follows(&self, kubernetes: &Kubernetes, last: &Intent, next: &Intent) -> Result<(), String> {
        if last.outcome != Some(Outcome::Completed) {
            return Ok(());
        }
        let (since, span) = match last.kind {
            Kind::Shrink => (self.trace, QUIET),
            Kind::Grow => {
                let uid = last.pod_uid.as_ref();
                let served = self.served.as_ref().zip(uid).and_then(|(served, uid)| served.get(uid));
                (served.copied(), settle(kubernetes))
            }
        };
        let Some(since) = since else { return Ok(()) };
        let pause = next.started.since(since);
        // Both ends are seen up to a look late.
        if pause + STEP * 2 >= span {
            return Ok(());
        }
        Err(format!(
            "{:?} of {} began {pause:?} after {:?} of {}",
            next.kind, next.ordinal, last.kind, last.ordinal
        ))
    }

    /// Only what the controller lets in: whoever else makes a pod has it served by its template.
    fn newcomer(&mut self, moment: &Moment<'_>, intent: Option<&Intent>) -> Result<(), String> {
        let Moment { kubernetes, fleet, pods, at: now } = *moment;
        let endpoints = kubernetes.endpoints(NAMESPACE, NAME);
        let there: Vec<(String, String, NodeName)> = kubernetes
            .objects("pods", NAMESPACE)
            .iter()
            .filter_map(|pod| {
                let text = |path| pod.pointer(path).and_then(Value::as_str).map(str::to_owned);
                let name = text("/metadata/name")?;
                let node = pods.node_of(&name)?;
                Some((text("/metadata/uid")?, name, node))
            })
            .collect();
        let (first, before) = (self.served.is_none(), self.looked.replace(now).unwrap_or(now));
        let served = self.served.get_or_insert_default();
        served.retain(|uid, _| there.iter().any(|(pod, ..)| pod == uid));
        self.joined.retain(|uid, _| there.iter().any(|(pod, ..)| pod == uid));
        for (uid, name, node) in &there {
            let lists = |other: &NodeName| {
                fleet.with_model(|model, _| model.members_seen_by(other)).contains_key(node)
            };
            if there.len() > 1 && there.iter().all(|(_, _, other)| other == node || lists(other)) {
                self.joined.entry(uid.clone()).or_insert(before);
            }
            if served.contains_key(uid) || !endpoints.iter().any(|one| one.ready && one.pod == *name) {
                continue;
            }
            served.insert(uid.clone(), now);
            let ours = intent.is_some_and(|intent| {
                intent.active() && intent.kind == Kind::Grow && intent.pod_uid.as_ref() == Some(uid)
            });
            let since = self.joined.get(uid).map(|joined| now.since(*joined));
            if let Some(since) = since.filter(|since| !first && ours && *since < PROOF) {
                return Err(format!("clients are sent to {name} {since:?} after its join"));
            }
        }
        Ok(())
    }
}

/// Something of an ordinal that the size does not hold.
fn beyond(kubernetes: &Kubernetes, plural: &str, size: u64) -> bool {
    kubernetes.objects(plural, NAMESPACE).iter().any(|object| {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let ordinal = name.rsplit('-').next().and_then(|digits| digits.parse::<u64>().ok());
        ordinal.is_some_and(|ordinal| ordinal >= size)
    })
}

fn settle(kubernetes: &Kubernetes) -> Duration {
    let object = kubernetes.object("vernemqautoscalers", NAMESPACE, NAME);
    let resource =
        object.and_then(|object| serde_json::from_value::<VerneMQAutoscaler>((*object).clone()).ok());
    resource.map_or(Duration::ZERO, |resource| resource.spec.settle.0)
}
