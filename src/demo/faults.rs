//! What the demo breaks on purpose, when, and proof that it struck.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::cluster::Cluster;
use super::cluster::{NAME, NAMESPACE};
use simulator::kubernetes::{Fault as ApiFault, Rule, Verb};
use simulator::model::Signal;

/// A fault to live through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The controller dies in the middle of every leave, and another starts.
    KillController,
    /// A broker is killed just after it joined, another while it leaves, when they hold no client (VerneMQ loses what a
    /// killed node had acknowledged and not passed on, whoever scales it); with --naive one with clients.
    KillNode,
    /// Every leave takes six seconds longer.
    SlowLeave,
    /// The reply to every leave is lost on the way.
    LostReply,
    /// The Kubernetes API answers 409, 429 and 500 to one write in three, and cuts watches.
    ApiErrors,
    /// The shrink is held up after each leave, so that the container runs again on the data of a node that has left.
    ContainerRestart,
}

impl Fault {
    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it makes sense without our controller.
    pub(super) fn fits_naive(self) -> bool {
        matches!(self, Self::KillNode | Self::SlowLeave | Self::ContainerRestart)
    }
}

/// Looks at the cluster every now and then, and strikes when its moment has come.
pub(super) struct Injector {
    fault: Fault,
    /// Today's practice is played: there is no step to strike at.
    naive: bool,
    struck: u32,
    /// What it was done to already.
    done: Vec<String>,
}

impl Injector {
    pub(super) fn new(fault: Fault, naive: bool, cluster: &Cluster) -> Self {
        match fault {
            Fault::LostReply => cluster.fleet.lose_leave_replies(u32::MAX),
            Fault::ApiErrors => {
                let faults = cluster.kubernetes.faults();
                for (skip, error) in [ApiFault::Conflict, ApiFault::TooManyRequests(1), ApiFault::ServerError]
                    .into_iter()
                    .enumerate()
                {
                    let skip = u32::try_from(skip).unwrap_or(0);
                    for round in 0..20 {
                        faults.add(Rule::new(error).writes().after(9 * round + 3 * skip).times(1));
                    }
                }
            }
            Fault::KillController | Fault::KillNode | Fault::SlowLeave | Fault::ContainerRestart => {}
        }
        Self { fault, naive, struck: 0, done: Vec::new() }
    }

    /// One look. True: the controller is to be killed now.
    pub(super) fn look(&mut self, cluster: &Cluster, phase: &str, step: Option<&str>) -> bool {
        match self.fault {
            Fault::KillController => {
                let Some(step) = step.filter(|step| step.starts_with("Leave") || step.starts_with("Verify"))
                else {
                    return false;
                };
                let ordinal = step.rsplit(' ').next().unwrap_or(step).to_owned();
                self.once(ordinal)
            }
            Fault::KillNode => {
                if let Some(pod) = self.victim(cluster, phase, step)
                    && let Some(node) = cluster.pods.node_of(&pod)
                    && self.once(pod)
                {
                    cluster.fleet.signal(&node, Signal::Kill);
                }
                false
            }
            Fault::ContainerRestart => {
                // Held up for longer than the 2.5 s after which a container runs again (baseline, 2.6).
                if step.is_some_and(|step| step.starts_with("Leave")) && self.once(format!("{step:?}")) {
                    let slow = ApiFault::Slow(Duration::from_millis(4_500));
                    cluster
                        .kubernetes
                        .faults()
                        .add(Rule::new(slow).resource("statefulsets/scale").verb(Verb::Patch).times(1));
                }
                false
            }
            Fault::ApiErrors => {
                if step.is_some() && self.once(format!("{step:?}")) {
                    cluster.kubernetes.faults().drop_watches();
                }
                false
            }
            Fault::LostReply | Fault::SlowLeave => {
                self.struck = 1;
                false
            }
        }
    }

    /// For today's practice: one pod is deleted, as an eviction or a node drain would.
    pub(super) fn restart_a_pod(&mut self, cluster: &Cluster, phase: &str) -> Option<String> {
        let pod =
            under_load(cluster, phase).filter(|_| self.naive && self.fault == Fault::ContainerRestart)?;
        self.once("restart".to_owned()).then_some(pod)
    }

    /// The pod whose node is to be killed now.
    fn victim(&self, cluster: &Cluster, phase: &str, step: Option<&str>) -> Option<String> {
        match step {
            Some("RoutingProbe 2") => Some(format!("{NAME}-2")),
            Some("Leave 3") => Some(format!("{NAME}-3")),
            _ => under_load(cluster, phase).filter(|_| self.naive),
        }
    }

    /// What is to be said when it never struck.
    pub(super) fn complaint(&self) -> Option<String> {
        (self.struck == 0)
            .then(|| format!("the fault {} never struck in namespace {NAMESPACE}", self.fault.name()))
    }

    fn once(&mut self, what: String) -> bool {
        let first = !self.done.contains(&what);
        if first {
            self.done.push(what);
            self.struck += 1;
        }
        first
    }
}

/// A pod with clients, once there are enough of them.
fn under_load(cluster: &Cluster, phase: &str) -> Option<String> {
    (phase == "flood" && cluster.serving() >= 3).then(|| format!("{NAME}-1"))
}
