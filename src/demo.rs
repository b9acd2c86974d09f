//! `vernescale demo`: the real exporter, controller and loadgen on simulators for
//! VerneMQ and Kubernetes, in one process and on loopback only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use lifecycle::Time;
use loadgen::{Audience, Handle, Load, Plan, ProbePlan};
use tokio::task::{AbortHandle, JoinSet};

mod account;
mod cluster;
mod exposition;
mod faults;
mod naive;
mod practice;
mod profile;
mod roam;
mod screen;
mod verdict;

pub use faults::Fault;
pub use practice::Practice;
pub use profile::{Profile, ProfileError};
pub use screen::{Gist, Snapshot, erase};
pub use verdict::Verdict;

use account::{fill_in, left_behind};
use cluster::Cluster;
use exposition::{Exposition, pod_of};
use faults::Injector;
use naive::Naive;
use roam::Roam;

use crate::controller;

/// What is not as in life, said at the start.
const SHORTENED: [&str; 2] = [
    "shortened: joins to a tenth, after a join 10 to 1 s, after a leave 5 to 1 s,",
    "window 60 to 10 s, stabilization 600 to 2 s, $SYS 20 to 1 s, other waits likewise",
];
/// Time between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(100);
/// A killed controller comes back after this: a restart of its container.
const CONTROLLER_RESTART: Duration = Duration::from_millis(1_500);
/// After the last shrink: for the survivors to agree and for the broker's pause to pass.
const SETTLE: Duration = Duration::from_secs(4);
/// Deadline of the eviction that a fault asks for.
const EVICTION: Duration = Duration::from_secs(5);
/// Clients of the load.
const PUBLISHERS: usize = 20;
const SUBSCRIBERS: usize = 10;

/// What to play.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The load.
    pub profile: Profile,
    /// Who changes the size.
    pub practice: Practice,
    /// What to break.
    pub fault: Option<Fault>,
    /// Where the exporter serves; where that is taken, on a free port.
    pub listen: SocketAddr,
}

impl Settings {
    /// Says what cannot be played, and what to do about it.
    pub fn check(&self) -> Result<(), String> {
        match self.fault {
            Some(fault) if self.practice != Practice::Vernescale && !fault.fits_naive() => Err(format!(
                "--fault {} breaks our controller, which --naive does not run; with --naive take kill-node, slow-leave or container-restart",
                fault.name()
            )),
            _ => Ok(()),
        }
    }
}

/// Plays the demo. `show` gets every reconcile; `until` ends it early.
pub async fn play(
    settings: &Settings,
    mut show: impl FnMut(&Snapshot),
    mut say: impl FnMut(&str),
    until: impl Future<Output = ()>,
) -> anyhow::Result<Verdict> {
    let slow_leave = settings.fault == Some(Fault::SlowLeave);
    let cluster = Cluster::start(&settings.profile, settings.practice, slow_leave).await?;
    let exposition = Exposition::start(&cluster, settings.listen).await?;
    for line in SHORTENED {
        say(line);
    }
    say(&format!("/metrics on http://{}/metrics", exposition.address));
    let load = start_load(&cluster, &settings.profile)?;
    let mut run = Run::new(settings, cluster, exposition, load);
    tokio::pin!(until);
    let stopped = tokio::select! {
        () = run.phases(&mut show, &mut say) => false,
        () = &mut until => true,
    };
    run.finish(stopped).await
}

fn start_load(cluster: &Cluster, profile: &Profile) -> anyhow::Result<Handle> {
    let rate = profile.phases.first().map_or(1.0, |phase| phase.rate);
    let mut plan = Plan::new("demo/ecg", Load::Rate(rate), "demo");
    plan.connections = PUBLISHERS;
    plan.subscribers = SUBSCRIBERS;
    plan.audience = Audience::Share;
    plan.probe = Some(ProbePlan::new("demo/probe"));
    // The brokers go with the demo, and after today's practice they may refuse for ever.
    plan.limits.cleanup = Duration::from_secs(5);
    Ok(loadgen::run(plan, cluster.service(), loadgen::Clock::start(), loadgen::Stop::new())?)
}

struct Run<'a> {
    settings: &'a Settings,
    cluster: Cluster,
    exposition: Exposition,
    load: Handle,
    roam: Roam,
    injector: Option<Injector>,
    naive: Option<Naive>,
    tasks: JoinSet<()>,
    controller: Option<AbortHandle>,
    restart_at: Option<Time>,
    generation: u32,
    started: Time,
    phase: (String, f64),
    wanted: Option<u32>,
    sizes: Vec<u32>,
    /// Epochs of the intents whose record went past the verification.
    verified: BTreeSet<u64>,
    incomplete: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(settings: &'a Settings, cluster: Cluster, exposition: Exposition, load: Handle) -> Self {
        let naive =
            (settings.practice != Practice::Vernescale).then(|| Naive::new(&cluster, &settings.profile));
        let mut run = Self {
            injector: settings.fault.map(|fault| Injector::new(fault, naive.is_some(), &cluster)),
            roam: Roam::new("demo", PUBLISHERS, SUBSCRIBERS),
            started: cluster.clock.now(),
            sizes: vec![cluster.size()],
            naive,
            settings,
            cluster,
            exposition,
            load,
            tasks: JoinSet::new(),
            controller: None,
            restart_at: None,
            generation: 0,
            phase: (String::new(), 0.0),
            wanted: None,
            verified: BTreeSet::new(),
            incomplete: Vec::new(),
        };
        if run.naive.is_none() {
            run.start_controller();
        }
        run
    }

    fn start_controller(&mut self) {
        self.generation += 1;
        let identity = format!("demo-{}", self.generation);
        let mut settings = controller::Settings::new(cluster::NAMESPACE, identity);
        settings.idle = Duration::from_millis(500);
        settings.limits = limits();
        // A dead leader's lease runs out within the run, not after it.
        settings.timing = crate::kubernetes::leader_election::Timing {
            lease: Duration::from_secs(6),
            act: Duration::from_secs(4),
            retry: Duration::from_millis(800),
        };
        let controller =
            controller::Controller::new(self.cluster.kubernetes.client(), self.cluster.clock, settings);
        self.controller = Some(self.tasks.spawn(controller.run()));
    }

    /// Plays all phases; ends when the last one is over.
    async fn phases(&mut self, show: &mut impl FnMut(&Snapshot), say: &mut impl FnMut(&str)) {
        let settings = self.settings;
        for (index, phase) in settings.profile.phases.iter().enumerate() {
            self.phase = (phase.name.clone(), phase.rate);
            self.load.set_rate(phase.rate);
            let begun = self.cluster.clock.now();
            loop {
                tokio::time::sleep(LOOK).await;
                self.look(show, say).await;
                let now = self.cluster.clock.now();
                let reached = phase.until_nodes.is_some_and(|nodes| {
                    self.cluster.size() == nodes && self.cluster.serving() == nodes as usize && self.at_rest()
                });
                // A shrink or two may be under way although the size is right already: at the end wait for rest.
                if reached || now.since(begun) >= Duration::from_secs(phase.seconds) {
                    if !reached && let Some(nodes) = phase.until_nodes {
                        let (size, serving, name) =
                            (self.cluster.size(), self.cluster.serving(), &phase.name);
                        let step = step_of(&self.cluster.status()).unwrap_or_else(|| "none".to_owned());
                        self.incomplete.push(format!(
                            "phase {name} ended after {} s at size {size} with {serving} serving, step {step}; \
                             {nodes} were to serve with nothing under way",
                            phase.seconds
                        ));
                    }
                    break;
                }
            }
            if index + 1 == settings.profile.phases.len() {
                tokio::time::sleep(SETTLE).await;
                self.look(show, say).await;
            }
        }
    }

    /// Nothing is under way in our controller.
    fn at_rest(&self) -> bool {
        self.naive.is_some() || step_of(&self.cluster.status()).is_none()
    }

    async fn look(&mut self, show: &mut impl FnMut(&Snapshot), say: &mut impl FnMut(&str)) {
        let size = self.cluster.size();
        if self.sizes.last() != Some(&size) {
            self.sizes.push(size);
        }
        self.verified.extend(self.cluster.verified_epoch());
        self.roam.look(&self.cluster);
        let status = self.cluster.status();
        if let Some(naive) = &mut self.naive {
            if let Some(wanted) = naive.look(&self.cluster).await {
                self.wanted = Some(wanted);
            }
        } else {
            self.wanted = status["wanted"].as_u64().and_then(|wanted| u32::try_from(wanted).ok());
        }
        let step = step_of(&status);
        self.strike(step.as_deref(), say);
        let now = self.cluster.clock.now();
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            self.start_controller();
            say("the controller starts again");
        }
        self.exposition.look(&self.cluster).await;
        show(&self.snapshot(step));
    }

    fn strike(&mut self, step: Option<&str>, say: &mut impl FnMut(&str)) {
        let Some(injector) = &mut self.injector else { return };
        if let Some(pod) = injector.restart_a_pod(&self.cluster, &self.phase.0) {
            say(&format!("{pod} is evicted"));
            let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
                self.cluster.kubernetes.client(),
                cluster::NAMESPACE,
            );
            self.tasks.spawn(async move {
                let deleted =
                    tokio::time::timeout(EVICTION, pods.delete(&pod, &kube::api::DeleteParams::default()))
                        .await;
                if !matches!(deleted, Ok(Ok(_))) {
                    tracing::warn!(?deleted, %pod, "the pod could not be evicted");
                }
            });
        }
        if injector.look(&self.cluster, &self.phase.0, step)
            && let Some(controller) = self.controller.take()
        {
            controller.abort();
            say("the controller is killed");
            self.restart_at = Some(self.cluster.clock.now() + CONTROLLER_RESTART);
        }
    }

    fn snapshot(&self, step: Option<String>) -> Snapshot {
        let live = self.load.live();
        let members: BTreeMap<String, String> = self
            .cluster
            .views()
            .into_iter()
            .map(|(pod, view)| {
                let words: Vec<String> = view
                    .iter()
                    .map(|(node, up)| format!("{}{}", pod_of(&node.0), if *up { "" } else { "(down)" }))
                    .collect();
                (pod, words.join(" "))
            })
            .collect();
        let rates = members.keys().map(|pod| (pod.clone(), self.exposition.rate(pod))).collect();
        Snapshot {
            seconds: self.cluster.clock.now().since(self.started).as_secs_f64(),
            phase: self.phase.clone(),
            size: self.cluster.size(),
            wanted: self.wanted,
            step,
            rates,
            members,
            open: live.missing,
            acknowledged: live.acknowledged,
            connects_failed: live.connects_failed,
        }
    }

    async fn finish(mut self, stopped: bool) -> anyhow::Result<Verdict> {
        if stopped {
            self.incomplete.push("it was stopped before its end".to_owned());
        }
        if let Some(complaint) = self.injector.as_ref().and_then(Injector::complaint) {
            self.incomplete.push(complaint);
        }
        let seconds = self.cluster.clock.now().since(self.started).as_secs_f64();
        self.load.stop();
        let report = self.load.finish().await?;
        let (dead_members, isolated) = left_behind(&self.cluster);
        let profile = &self.settings.profile;
        let wish = |rate: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate of at most 5,000"
            )]
            let nodes = (rate / f64::from(profile.target_per_node)).ceil() as u32;
            nodes.clamp(profile.min_replicas, profile.max_replicas)
        };
        let peak = profile.phases.iter().map(|phase| wish(phase.rate)).max().unwrap_or(0);
        let last = profile.phases.last().map_or(0, |phase| wish(phase.rate));
        let mut verdict = Verdict {
            practice: self.settings.practice.name().to_owned(),
            fault: self.settings.fault.map(Fault::name),
            seconds,
            shrinks: self.sizes.windows(2).map(|pair| pair[0].saturating_sub(pair[1])).sum(),
            sizes: self.sizes,
            size_expected: last,
            size_peak_expected: peak,
            leaves_verified: u32::try_from(self.verified.len()).unwrap_or(u32::MAX),
            dead_members,
            isolated,
            incomplete: self.incomplete,
            ..Verdict::default()
        };
        fill_in(&mut verdict, &report);
        Ok(verdict)
    }
}

/// What the controller says it is doing; none while nothing is under way.
fn step_of(status: &serde_json::Value) -> Option<String> {
    status["step"].as_str().map(str::to_owned)
}

/// The lifecycle's waits, shortened like the simulator's times of a join.
fn limits() -> lifecycle::Limits {
    lifecycle::Limits {
        joined: Duration::from_secs(1),
        quiet: Duration::from_secs(1),
        drained: Duration::from_secs(1),
        unrouted: Duration::from_millis(500),
        requeue: Duration::from_millis(300),
        drain_rate_min: 50,
        ..lifecycle::Limits::default()
    }
}
