//! What must never be, looked at all the time.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{NodeName, Time};
use serde_json::Value;
use simulator::model::Process;

use super::{Moment, NAME, NAMESPACE};

/// Remembers the size and the members.
#[derive(Default)]
pub(super) struct Invariants {
    replicas: Option<u64>,
    /// What each node listed at the last look.
    views: BTreeMap<NodeName, BTreeSet<NodeName>>,
    /// Dropped by a node already; another one may do so seconds later.
    left: BTreeSet<NodeName>,
    leaves: Vec<Time>,
}

impl Invariants {
    /// When a member was first dropped by another: refusals by code 3 end about there.
    pub(super) fn leaves(&self) -> &[Time] {
        &self.leaves
    }

    /// One look; what is broken, if anything.
    pub(super) fn look(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Moment { kubernetes, .. } = *moment;
        let set = kubernetes.object("statefulsets", NAMESPACE, NAME);
        let replicas = set.as_ref().and_then(|set| set.pointer("/spec/replicas")?.as_u64());
        if let (Some(before), Some(replicas)) = (self.replicas, replicas)
            && replicas < before
        {
            if before - replicas > 1 {
                return Err(format!("the size fell from {before} to {replicas} at once"));
            }
            still_a_member(moment, replicas)?;
        }
        self.replicas = replicas.or(self.replicas);
        let views = views(moment);
        self.note_leaves(moment, &views);
        no_twin_served(moment, &views)
    }

    /// A node that has just restarted lists fewer for a while as well: those that it misses run.
    fn note_leaves(&mut self, moment: &Moment<'_>, views: &Views) {
        let runs = |node: &NodeName| moment.fleet.process(node) == Process::Running;
        self.left.retain(|node| !runs(node));
        for (node, view) in views {
            let view: BTreeSet<NodeName> = view.keys().cloned().collect();
            let before = self.views.insert(node.clone(), view.clone()).unwrap_or_default();
            for gone in before.difference(&view).filter(|gone| !runs(gone)) {
                if self.left.insert(gone.clone()) {
                    self.leaves.push(moment.at);
                }
            }
        }
    }
}

/// The nodes that run in a pod, and what each of them lists.
type Views = Vec<(NodeName, BTreeMap<NodeName, bool>)>;

fn views(moment: &Moment<'_>) -> Views {
    let Moment { kubernetes, fleet, pods, .. } = *moment;
    let objects = kubernetes.objects("pods", NAMESPACE);
    let names = objects.iter().filter_map(|pod| pod.pointer("/metadata/name")?.as_str());
    let nodes = names.filter_map(|pod| pods.node_of(pod));
    let running = nodes.filter(|node| fleet.process(node) == Process::Running);
    running.map(|node| (node.clone(), fleet.with_model(|model, _| model.members_seen_by(&node)))).collect()
}

/// I1: the ordinal that the size no longer holds has left, even where it is listed until its process has ended.
fn still_a_member(moment: &Moment<'_>, ordinal: u64) -> Result<(), String> {
    let Moment { kubernetes, fleet, pods, .. } = *moment;
    let Some(leaver) = pods.node_of(&format!("{NAME}-{ordinal}")) else { return Ok(()) };
    if fleet.with_model(|model, _| model.has_left(&leaver)) {
        return Ok(());
    }
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
/// restarted sees only itself for a while (docs/broker/netsplit.md, "The coordinator restarts"), and a
/// newcomer that has not joined yet, too: an isolated node is one that shares no view, in either direction, with any
/// node that is served or in a cluster.
fn no_twin_served(moment: &Moment<'_>, views: &Views) -> Result<(), String> {
    let Moment { kubernetes, pods, .. } = *moment;
    let endpoints = kubernetes.endpoints(NAMESPACE, NAME);
    let served = endpoints.iter().filter(|endpoint| endpoint.ready).map(|endpoint| endpoint.pod.as_str());
    let served: Vec<_> = served.filter_map(|pod| pods.node_of(pod)).collect();
    for (node, view) in views.iter().filter(|(node, _)| served.contains(node)) {
        let mut others = views
            .iter()
            .filter(|(other, theirs)| other != node && (served.contains(other) || theirs.len() > 1))
            .peekable();
        let alone = others.peek().is_some()
            && others.all(|(other, theirs)| !theirs.contains_key(node) && !view.contains_key(other));
        if alone {
            return Err(format!("clients are sent to {node}, which is no member: {views:?}"));
        }
    }
    Ok(())
}
