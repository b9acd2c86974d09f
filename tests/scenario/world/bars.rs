//! What must never be, looked at all the time.

use lifecycle::Time;
use serde_json::Value;
use vernescale::standin::cluster_model::Process;
use vernescale::standin::fleet::Fleet;
use vernescale::standin::kubernetes::Kubernetes;
use vernescale::standin::pods::Pods;

use super::{NAME, NAMESPACE};

/// Remembers the size and the members.
#[derive(Default)]
pub(super) struct Bars {
    replicas: Option<u64>,
    members: usize,
    leaves: Vec<Time>,
}

impl Bars {
    /// When the first node dropped a member: refusals by code 3 end there.
    pub(super) fn leaves(&self) -> &[Time] {
        &self.leaves
    }

    /// One look; what is broken, if anything.
    pub(super) fn look(
        &mut self,
        kubernetes: &Kubernetes,
        fleet: &Fleet,
        pods: &Pods,
        now: Time,
    ) -> Result<(), String> {
        let set = kubernetes.object("statefulsets", NAMESPACE, NAME);
        let replicas = set.as_ref().and_then(|set| set.pointer("/spec/replicas")?.as_u64());
        if let (Some(before), Some(replicas)) = (self.replicas, replicas)
            && replicas < before
        {
            if before - replicas > 1 {
                return Err(format!("the size fell from {before} to {replicas} at once"));
            }
            still_a_member(kubernetes, fleet, pods, replicas)?;
        }
        self.replicas = replicas.or(self.replicas);
        let first = pods.node_of(&format!("{NAME}-0"));
        let view = first.map(|first| fleet.with_model(|model, _| model.members_seen_by(&first)));
        let members = view.map_or(0, |view| view.len());
        if members < self.members && members > 0 {
            self.leaves.push(now);
        }
        self.members = members;
        no_twin_served(kubernetes, fleet, pods)
    }
}

/// I1: the ordinal that the size no longer holds has left.
fn still_a_member(kubernetes: &Kubernetes, fleet: &Fleet, pods: &Pods, ordinal: u64) -> Result<(), String> {
    let Some(leaver) = pods.node_of(&format!("{NAME}-{ordinal}")) else { return Ok(()) };
    for survivor in 0..ordinal {
        let Some(node) = pods.node_of(&format!("{NAME}-{survivor}")) else { continue };
        let view = fleet.with_model(|model, _| model.members_seen_by(&node));
        if !view.contains_key(&leaver) {
            return Ok(());
        }
    }
    let step = kubernetes.object("statefulsets", NAMESPACE, NAME).and_then(|set| {
        set.pointer("/metadata/annotations/vernescale.dev~1intent").and_then(Value::as_str).map(str::to_owned)
    });
    Err(format!(
        "the size fell below ordinal {ordinal}, whose node every survivor still lists; intent {step:?}"
    ))
}

/// I10: clients are never sent to a node that is no member of the others' cluster. One that has just
/// restarted sees only itself for a while (leave.md §3): a twin is one that nobody else lists.
fn no_twin_served(kubernetes: &Kubernetes, fleet: &Fleet, pods: &Pods) -> Result<(), String> {
    let objects = kubernetes.objects("pods", NAMESPACE);
    let names = objects.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str());
    let nodes = names.filter_map(|pod| pods.node_of(pod));
    let running: Vec<_> = nodes.filter(|node| fleet.process(node) == Process::Running).collect();
    let endpoints = kubernetes.endpoints(NAMESPACE, NAME);
    let served = endpoints.iter().filter(|endpoint| endpoint.ready).filter_map(|one| pods.node_of(&one.pod));
    let served: Vec<_> = served.filter(|node| running.contains(node)).collect();
    for endpoint in kubernetes.endpoints(NAMESPACE, NAME).iter().filter(|endpoint| endpoint.ready) {
        let Some(node) = pods.node_of(&endpoint.pod).filter(|node| running.contains(node)) else { continue };
        // A newcomer that nobody is sent to yet says nothing about who is a member.
        let others = served.iter().filter(|other| **other != node);
        let views: Vec<_> =
            others.map(|other| fleet.with_model(|model, _| model.members_seen_by(other))).collect();
        if !views.is_empty() && views.iter().all(|view| !view.contains_key(&node)) {
            return Err(format!("clients are sent to {}, which is no member: {views:?}", endpoint.pod));
        }
    }
    Ok(())
}
