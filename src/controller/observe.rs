//! Gather: one look at the API server and at every broker.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::ResourceExt as _;
use kube::api::Api;
use lifecycle::{Kind, Ordinal, Pod, Step, Time};

use super::brokers::{Answered, Ask, ask_all};
use super::memory::State;
use super::observation::Observation;
use crate::api::{Scheme, VerneMQAutoscaler, Via};
use crate::kubernetes::intent_record::Held;
use crate::kubernetes::{facts, snapshot::Objects};
use crate::vernemq::admin::{AdminClient, ExecTransport};
use crate::vernemq::http::{Endpoint, Tls};
use net::Clock;
use net::Secret;

/// `/metrics` of every node is read this often: a steady interval is what rates are made of.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// A reconcile comes a little early or late; a sample is not put off by a whole reconcile for that.
const SAMPLE_SLACK: Duration = Duration::from_millis(150);

/// A gauge is still used when it is this old.
const GAUGES_FOR: Duration = Duration::from_secs(5);

/// Deadline of `vmq-admin` through exec: on a busy machine it took 3 s
/// (docs/broker/http-api.md, "vmq-admin"). Only a fenced newcomer is asked so.
const ASK_BY_EXEC: Duration = Duration::from_secs(5);

/// Deadline of one question to a broker: idle, and while the 1.7 s after a leave may be running
/// (docs/broker/kubernetes.md, "Restarts by kubelet"). The slowest scrape under a drain took 0.41 s
/// (docs/broker/drain.md, "Paced or at once").
const ASK_IDLE: Duration = Duration::from_secs(2);
const ASK_ACTIVE: Duration = Duration::from_secs(1);

/// Looks at the pods and the brokers of a StatefulSet that was just read.
pub(super) async fn gather(
    state: &mut State,
    resource: &VerneMQAutoscaler,
    statefulset: &StatefulSet,
    objects: &Objects,
    held: Held,
    pods: &Api<PodObject>,
    clock: Clock,
) -> Observation {
    let found = facts::pods(statefulset, &objects.pods, &objects.slices, &resource.spec.leave.container);
    let active = held.intent().filter(|intent| intent.active());
    // Before the nodes are asked: a call that had ended here was over when they answered.
    let now = clock.now();
    let calls = state.calls.outcomes_at(active.map(|intent| intent.epoch), now);
    let due = state.sampled.is_none_or(|at| now.since(at) + SAMPLE_SLACK >= SAMPLE_EVERY);
    let leaver = active.filter(|intent| intent.kind == Kind::Shrink).map(|intent| intent.ordinal);
    let newcomer = active.filter(|intent| intent.step == Step::Join).map(|intent| intent.ordinal);
    let limit = if active.is_some() { ASK_ACTIVE } else { ASK_IDLE };
    state.names.retain(|ordinal| found.contains_key(&ordinal));
    state.gauges.retain(|ordinal, _| found.contains_key(ordinal));

    let (mut management, mut routing_probe_tls) = (BTreeMap::new(), BTreeMap::new());
    let mut asks = Vec::new();
    for (&ordinal, (object, pod)) in &found {
        let api = state.endpoint(resource, object, resource.spec.management.port);
        let pages = state.endpoint(resource, object, resource.spec.management.metrics_port);
        if let Some(tls) = state.routing_probe_tls(resource, object) {
            routing_probe_tls.insert(ordinal, tls);
        }
        let within = if resource.spec.leave.via == Via::Exec { ASK_BY_EXEC } else { limit };
        let groups =
            (newcomer == Some(ordinal)).then(|| (client(resource, &api, pods, object.name_any()), within));
        asks.push(Ask {
            ordinal,
            pages,
            management: (resource.spec.leave.via == Via::ManagementApi).then(|| api.clone()),
            name: state.names.of(ordinal, &pod.uid).cloned(),
            // A newcomer is compared with everybody in each reconcile.
            sample: due || leaver == Some(ordinal) || newcomer.is_some(),
            gauges: state.gauges.get(&ordinal).filter(|one| now.since(one.at) < GAUGES_FOR).copied(),
            groups,
        });
        management.insert(ordinal, api);
    }
    let answered = ask_all(asks.clone(), limit, clock).await;
    let pods: BTreeMap<_, _> = found.into_iter().map(|(ordinal, (_, pod))| (ordinal, pod)).collect();
    state.note(&pods, &answered, due, clock.now());
    let target = facts::target(statefulset);
    let missing = (0..target.replicas).map(Ordinal).find(|ordinal| !pods.contains_key(ordinal));
    let before = state.missing.filter(|(ordinal, _)| Some(*ordinal) == missing);
    state.missing = before.or(missing.map(|ordinal| (ordinal, clock.now())));
    Observation {
        target,
        missing: state.missing,
        claims: facts::claims(statefulset, &objects.claims),
        resource: resource.clone(),
        statefulset: statefulset.clone(),
        pods,
        held,
        calls,
        answered,
        management,
        asks: asks.into_iter().map(|ask| (ask.ordinal, ask)).collect(),
        routing_probe_tls,
    }
}

/// The command layer of a pod's broker, by the way that the spec asks for.
pub(super) fn client(
    resource: &VerneMQAutoscaler,
    management: &Endpoint,
    pods: &Api<PodObject>,
    pod: String,
) -> AdminClient {
    let leave = &resource.spec.leave;
    match leave.via {
        Via::ManagementApi => AdminClient::Http(Box::new(management.clone())),
        Via::Exec => {
            let container = leave.container.clone();
            AdminClient::Exec(Box::new(ExecTransport { pods: pods.clone(), pod, container }))
        }
    }
}

/// The pod's name in the cluster, as Kubernetes itself says it: what a certificate bears.
fn name_in_cluster(pod: &PodObject) -> String {
    let spec = pod.spec.as_ref();
    let host = spec.and_then(|spec| spec.hostname.clone()).unwrap_or_else(|| pod.name_any());
    let subdomain = spec.and_then(|spec| spec.subdomain.clone()).unwrap_or_default();
    format!("{host}.{subdomain}.{}.svc", pod.namespace().unwrap_or_default())
}

impl State {
    /// The key goes to every page: a broker that asks for none anywhere does not look at it.
    fn endpoint(&mut self, resource: &VerneMQAutoscaler, pod: &PodObject, port: u16) -> Endpoint {
        let host = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let host = host.map(|ip| self.reach.as_ref().map_or(ip.clone(), |reach| reach(&ip)));
        let host = host.and_then(|ip| ip.parse().ok());
        let tls = match resource.spec.management.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(self.tls(pod)),
        };
        Endpoint { host, port, tls, key: self.key() }
    }

    fn key(&self) -> Option<Secret> {
        self.cached.key.as_ref()?.as_ref().ok().cloned()
    }

    /// None where no certificates are named.
    fn routing_probe_tls(
        &mut self,
        resource: &VerneMQAutoscaler,
        pod: &PodObject,
    ) -> Option<Result<Tls, String>> {
        let probe = &resource.spec.routing_probe;
        probe.ca_secret_ref.as_ref()?;
        let name = probe.server_name.clone().unwrap_or_else(|| name_in_cluster(pod));
        if let Some(tls) = self.routing_probe_tls.get(&name) {
            return Some(Ok(tls.clone()));
        }
        let pem = match &self.cached.routing_probe_authorities {
            None => return Some(Err("the Secret of spec.routingProbe.caSecretRef was not read yet".into())),
            Some(Err(why)) => return Some(Err(why.clone())),
            Some(Ok(pem)) => pem,
        };
        let tls = Tls::new(&name, Some(pem)).map_err(|error| error.to_string());
        if let Ok(tls) = &tls {
            // At most the names of one StatefulSet's pods, and those that the spec has had meanwhile.
            self.routing_probe_tls.insert(name, tls.clone());
        }
        Some(tls)
    }

    fn tls(&mut self, pod: &PodObject) -> Result<Tls, String> {
        let name = name_in_cluster(pod);
        if let Some(tls) = self.tls.get(&name) {
            return Ok(tls.clone());
        }
        let authorities = self.cached.authorities.as_ref().map(Result::as_ref).transpose();
        let authorities = authorities.map_err(Clone::clone)?.map(Vec::as_slice);
        let tls = Tls::new(&name, authorities).map_err(|error| error.to_string())?;
        // At most the names of one StatefulSet's pods.
        self.tls.insert(name, tls.clone());
        Ok(tls)
    }

    /// Remembers names, samples and counts.
    fn note(
        &mut self,
        pods: &BTreeMap<Ordinal, Pod>,
        answered: &BTreeMap<Ordinal, Answered>,
        due: bool,
        now: Time,
    ) {
        if due {
            self.sampled = Some(now);
        }
        for (&ordinal, one) in answered {
            let (Some(pod), Some(name)) = (pods.get(&ordinal), &one.node.name) else { continue };
            self.names.hear(ordinal, &pod.uid, name.clone());
            if let (Some((series, at)), true) = (&one.sample, due)
                && let Err(refused) = self.fleet.ingest_metrics(name, series, *at)
            {
                tracing::warn!(%refused, node = %name, "its samples are not taken");
            }
            if let Some(gauges) = one.gauges {
                self.gauges.insert(ordinal, gauges);
            }
        }
        self.fleet.forget(now);
    }
}
