//! Objects → facts. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, PersistentVolumeClaim, Pod as PodObject};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use lifecycle::{Claim, Ordinal, Pod, Target, Time};

use crate::kubernetes::names::{ordinal_of_claim, ordinal_of_pod};
use crate::kubernetes::serving_label::SERVING;
use crate::kubernetes::touch::touched;

/// The StatefulSet as the lifecycle sees it.
pub fn target(statefulset: &StatefulSet) -> Target {
    let replicas = statefulset.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    Target {
        uid: statefulset.uid().unwrap_or_default(),
        replicas: u32::try_from(replicas).unwrap_or(0),
        rollout: rollout(statefulset),
        deleting: statefulset.metadata.deletion_timestamp.is_some(),
        touched: touched(statefulset),
    }
}

/// A rollout is under way, or one may be: the status is behind the spec.
pub fn rollout(statefulset: &StatefulSet) -> bool {
    let Some(status) = &statefulset.status else { return true };
    let behind = status.observed_generation < statefulset.metadata.generation;
    let revisions_differ = match (&status.current_revision, &status.update_revision) {
        (Some(current), Some(update)) => !update.is_empty() && current != update,
        _ => false,
    };
    behind || revisions_differ
}

/// The StatefulSet's own selector as the API takes it, for pods and for our scale subresource.
pub fn selector(statefulset: &StatefulSet) -> String {
    let Some(spec) = &statefulset.spec else { return String::new() };
    let labels = spec.selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = spec.selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.as_deref().unwrap_or_default().join(",");
        match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "DoesNotExist" => format!("!{}", expression.key),
            _ => expression.key.clone(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

/// Its pods by ordinal. Pods of another owner are left out, whatever they are called.
pub fn pods<'a>(
    statefulset: &StatefulSet,
    all: &'a [PodObject],
    slices: &[EndpointSlice],
    container: &str,
) -> BTreeMap<Ordinal, (&'a PodObject, Pod)> {
    let name = statefulset.name_any();
    all.iter()
        .filter(|pod| {
            pod.owner_references().iter().any(|owner| Some(&owner.uid) == statefulset.uid().as_ref())
        })
        .filter_map(|object| {
            let ordinal = ordinal_of_pod(&name, &object.name_any())?;
            Some((ordinal, (object, pod(object, slices, container))))
        })
        .collect()
}

fn pod(object: &PodObject, slices: &[EndpointSlice], container: &str) -> Pod {
    let status = object.status.as_ref();
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|condition| condition.type_ == "Ready"));
    let statuses = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let broker = broker(statuses, container);
    let spec_image = object.spec.as_ref().and_then(|spec| {
        let named = spec.containers.iter().find(|candidate| candidate.name == container);
        named.or(spec.containers.first())?.image.clone()
    });
    // The id tells two builds behind one tag apart.
    let image_id = broker.map(|status| status.image_id.clone()).filter(|id| !id.is_empty());
    Pod {
        uid: object.uid().unwrap_or_default(),
        ready: ready.is_some_and(|condition| condition.status == "True"),
        ready_changed: ready
            .and_then(|condition| condition.last_transition_time.as_ref())
            .and_then(|time| u64::try_from(time.0.as_millisecond()).ok())
            .map(Time),
        deleting: object.metadata.deletion_timestamp.is_some(),
        serving: object.labels().get(SERVING).map(|value| value == "true"),
        routed: routed(object, slices),
        restarts: broker.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or(0)),
        running: broker.and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some()),
        image: image_id.or(spec_image).unwrap_or_default(),
    }
}

/// The broker's container by its name, or the first one where no container is called so.
fn broker<'a>(statuses: &'a [ContainerStatus], container: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == container).or(statuses.first())
}

/// Some slice lists the pod as ready, or as serving while it ends.
fn routed(pod: &PodObject, slices: &[EndpointSlice]) -> bool {
    let uid = pod.uid();
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    endpoints
        .filter(|endpoint| {
            endpoint.target_ref.as_ref().is_some_and(|target| match &target.uid {
                Some(target_uid) => Some(target_uid) == uid.as_ref(),
                None => target.name.as_deref() == Some(&pod.name_any()),
            })
        })
        .any(|endpoint| match &endpoint.conditions {
            // Absent means ready, says the API.
            None => true,
            Some(conditions) => conditions.ready.unwrap_or(true) || conditions.serving.unwrap_or(false),
        })
}

/// The claims of its templates by ordinal.
pub fn claims(statefulset: &StatefulSet, all: &[PersistentVolumeClaim]) -> BTreeMap<Ordinal, Vec<Claim>> {
    let name = statefulset.name_any();
    let templates: Vec<_> = statefulset
        .spec
        .iter()
        .flat_map(|spec| spec.volume_claim_templates.iter().flatten())
        .map(ResourceExt::name_any)
        .collect();
    let mut claims: BTreeMap<Ordinal, Vec<Claim>> = BTreeMap::new();
    for object in all {
        let Some(ordinal) = ordinal_of_claim(&templates, &name, &object.name_any()) else { continue };
        claims.entry(ordinal).or_default().push(Claim {
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            deleting: object.metadata.deletion_timestamp.is_some(),
        });
    }
    claims
}

#[cfg(test)]
mod tests;
