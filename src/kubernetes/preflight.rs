//! What people have set that we cannot work with, or that works against us.
//! Pure; looked at in every reconcile, so that a correction is seen without a restart.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use kube::ResourceExt;
use lifecycle::Severity;

use crate::kubernetes::cached::{Cached, ClientService};
use crate::kubernetes::ownership::Ownership;
use crate::kubernetes::snapshot::Objects;

/// Something found before anything is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// CamelCase name of the condition.
    pub reason: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Cause, place and remedy.
    pub message: String,
    /// The size is not changed while this stands.
    pub blocks: bool,
}

fn blocking(reason: &'static str, message: String) -> Finding {
    Finding { reason, severity: Severity::Warning, message, blocks: true }
}

fn telling(reason: &'static str, message: String) -> Finding {
    Finding { reason, severity: Severity::Warning, message, blocks: false }
}

/// Everything that is found in one reconcile.
pub fn preflight(objects: &Objects, cached: &Cached) -> Vec<Finding> {
    let Some(resource) = &objects.resource else { return Vec::new() };
    let target = &resource.spec.target_ref.name;
    let Some(statefulset) = &objects.statefulset else {
        return vec![blocking(
            "TargetMissing",
            format!(
                "there is no StatefulSet `{target}` in this namespace: create it, or delete this resource and make one with another spec.targetRef.name"
            ),
        )];
    };
    let mut found = Vec::new();
    if let Some(Ownership::Taken(other)) = objects.ownership() {
        found.push(blocking(
            "TargetTaken",
            format!("StatefulSet `{target}` already belongs to VerneMQAutoscaler `{other}`: delete one of the two, or aim it elsewhere"),
        ));
    }
    found.extend(shape(statefulset));
    found.extend(template(statefulset));
    found.extend(surroundings(statefulset, cached));
    found.extend(client_service(resource.spec.client_service.as_deref().unwrap_or_default(), cached));
    found.extend(secrets(cached));
    found
}

/// The Service that a pod is to be taken out of before its leave.
fn client_service(name: &str, cached: &Cached) -> Option<Finding> {
    match cached.client_service? {
        ClientService::Fences => None,
        ClientService::Missing => Some(blocking(
            "ClientServiceMissing",
            format!(
                "there is no Service `{name}` in this namespace, so that clients cannot be kept from a node that leaves or joins: correct spec.clientService, or create it. Without the field nodes come and go unfenced"
            ),
        )),
        ClientService::SelectsAll => Some(telling(
            "ClientServiceSelectsAll",
            format!(
                "Service `{name}` does not select on the label vernescale.dev/serving: a node cannot be taken out of it, so that no leave will be asked. Add vernescale.dev/serving: \"true\" to the labels of the pod template first (a rollout of the brokers, which loses messages like any other: in a quiet hour), then to the selector of the Service"
            ),
        )),
    }
}

/// Secrets that our resource speaks of.
fn secrets(cached: &Cached) -> Vec<Finding> {
    let each = [
        (
            "ManagementKeyMissing",
            "management.secretRef",
            cached.key.as_ref().and_then(|read| read.as_ref().err()),
        ),
        (
            "ManagementCaMissing",
            "management.caSecretRef",
            cached.authorities.as_ref().and_then(|read| read.as_ref().err()),
        ),
        (
            "RoutingProbeLoginMissing",
            "routingProbeSecretRef",
            cached.login.as_ref().and_then(|read| read.as_ref().err()),
        ),
        (
            "RoutingProbeCaMissing",
            "routingProbe.caSecretRef",
            cached.routing_probe_authorities.as_ref().and_then(|read| read.as_ref().err()),
        ),
    ];
    let missing = each.into_iter().filter_map(|(name, field, why)| Some((name, field, why?)));
    missing
        .map(|(name, field, why)| telling(name, format!("{why}: create it, or correct spec.{field}")))
        .collect()
}

/// The parts of the StatefulSet's own spec that the order of our steps rests on.
fn shape(statefulset: &StatefulSet) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(spec) = &statefulset.spec else { return found };
    let name = statefulset.name_any();
    if spec.pod_management_policy.as_deref().unwrap_or("OrderedReady") != "OrderedReady" {
        found.push(blocking(
            "PodManagementPolicy",
            format!("StatefulSet `{name}` has podManagementPolicy {}: nodes must come and go one at a time. Recreate it with OrderedReady (kubectl delete --cascade=orphan keeps the pods)", spec.pod_management_policy.as_deref().unwrap_or_default()),
        ));
    }
    if spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0) != 0 {
        found.push(blocking(
            "OrdinalsStart",
            format!("StatefulSet `{name}` has spec.ordinals.start: the highest ordinal is then not replicas - 1, and the wrong node would leave. Remove it"),
        ));
    }
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        found.push(blocking(
            "UpdateOnDelete",
            format!("StatefulSet `{name}` updates OnDelete: pods of two builds may run side by side, and a leave fails between two builds. Set updateStrategy.type to RollingUpdate"),
        ));
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    if rolling.and_then(|rolling| rolling.partition).unwrap_or(0) != 0 {
        found.push(blocking(
            "UpdatePartition",
            format!("StatefulSet `{name}` has a rolling update with a partition: pods of two builds may run side by side, and a leave fails between two builds. Set the partition to 0"),
        ));
    }
    found
}

/// The pod template.
fn template(statefulset: &StatefulSet) -> Vec<Finding> {
    let mut found = Vec::new();
    let pod = statefulset.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let Some(pod) = pod else { return found };
    for container in &pod.containers {
        if leaves_before_stop(container) {
            found.push(telling(
                "PreStopLeaves",
                format!("container `{}` of the pod template has a preStop hook that leaves the cluster: every restart and rollout becomes a leave, and with volume claims each pod comes back as a cluster of one that loses messages. Remove the hook; the leave before a shrink is asked by vernescale", container.name),
            ));
        }
        if refuses_in_netsplit(container) {
            found.push(telling(
                "RestartsRefuseClients",
                format!("container `{}` does not set DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT=on: while any node restarts, all nodes refuse every new client. Set the four ALLOW_…_DURING_NETSPLIT to on, as the official chart does", container.name),
            ));
        }
    }
    found
}

fn leaves_before_stop(container: &Container) -> bool {
    let hook = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let Some(LifecycleHandler { exec: Some(exec), .. }) = hook else { return false };
    let words = exec.command.as_deref().unwrap_or_default().join(" ");
    // Our own hook leaves only where the ordinal is no longer wanted.
    (words.contains("cluster leave") || words.contains("cluster/leave")) && !words.contains("vernescale hook")
}

/// The image's way of setting it; a configuration file is not visible from here,
/// so that a template without any such variable says nothing. Nor does one that takes some from a
/// `ConfigMap` or a Secret: what those hold is not read, and not seen is not "not so".
fn refuses_in_netsplit(container: &Container) -> bool {
    let variables = container.env.as_deref().unwrap_or_default();
    let configured = variables.iter().any(|variable| variable.name.starts_with("DOCKER_VERNEMQ_"));
    let set = variables
        .iter()
        .rev()
        .find(|variable| variable.name.eq_ignore_ascii_case("DOCKER_VERNEMQ_ALLOW_REGISTER_DURING_NETSPLIT"));
    match set {
        // What is set in the template goes before `envFrom`; a value from elsewhere is not seen.
        Some(variable) => variable.value_from.is_none() && variable.value.as_deref() != Some("on"),
        None => configured && container.env_from.as_ref().is_none_or(Vec::is_empty),
    }
}

/// Other objects that touch the StatefulSet.
fn surroundings(statefulset: &StatefulSet, cached: &Cached) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = statefulset.name_any();
    for autoscaler in cached.autoscalers.iter().flatten() {
        let aims = autoscaler.spec.as_ref().map(|spec| &spec.scale_target_ref);
        if aims.is_some_and(|target| target.kind == "StatefulSet" && target.name == name) {
            found.push(blocking(
                "ForeignScaler",
                format!("HorizontalPodAutoscaler `{}` sets the size of StatefulSet `{name}` without any leave: aim it at our resource instead (kind VerneMQAutoscaler, with spec.wishFrom Scale), or delete it", autoscaler.name_any()),
            ));
        }
    }
    if cached.governing_service == Some(false) {
        let service =
            statefulset.spec.as_ref().and_then(|spec| spec.service_name.clone()).unwrap_or_default();
        found.push(telling(
            "HeadlessServiceMissing",
            format!("StatefulSet `{name}` names the headless Service `{service}`, which does not exist: new pods get no name in DNS and cannot join. Create it, or recreate the StatefulSet with the right spec.serviceName"),
        ));
    }
    found
}

#[cfg(test)]
mod tests;
