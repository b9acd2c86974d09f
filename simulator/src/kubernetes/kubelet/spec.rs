//! What the kubelet reads in a pod's spec.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use serde_json::Value;

use crate::kubernetes::{
    containers::Container,
    object::{self, list, number, ordinal, text},
    store::Store,
};

/// The disk of a claim: a claim that is made again has another one.
pub(super) fn claim_volume(claim: &Value) -> String {
    format!("pvc-{}", object::uid(claim))
}

/// The data disk of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// Of a claim: outlives the pod.
    Claim(String),
    /// Of the pod: goes with it.
    Own(String),
}

impl Disk {
    /// Its identity.
    pub(super) fn volume(&self) -> &str {
        match self {
            Self::Claim(volume) | Self::Own(volume) => volume,
        }
    }

    /// The disk of a pod: its first claim's where it has one. None while a
    /// claim of the pod is missing or not bound.
    pub(super) fn of(store: &Store, pod: &Value) -> Option<Self> {
        let names = list(pod, "/spec/volumes").iter().map(|v| text(v, "/persistentVolumeClaim/claimName"));
        let mut disk = None;
        for name in names.filter(|name| !name.is_empty()) {
            let claim = store.find("persistentvolumeclaims", object::namespace(pod), name)?;
            if text(&claim, "/status/phase") != "Bound" {
                return None;
            }
            disk.get_or_insert_with(|| Self::Claim(claim_volume(&claim)));
        }
        Some(disk.unwrap_or_else(|| Self::Own(format!("emptydir-{}", object::uid(pod)))))
    }
}

/// The one container of a pod.
pub(super) fn container(pod: &Value, address: Ipv4Addr, disk: &Disk) -> Container {
    let first = pod.pointer("/spec/containers/0").cloned().unwrap_or_default();
    let plain = list(&first, "/env").iter().filter(|variable| variable.get("value").is_some());
    let env: BTreeMap<String, String> =
        plain.map(|v| (text(v, "/name").to_owned(), text(v, "/value").to_owned())).collect();
    Container {
        pod: object::name(pod).to_owned(),
        namespace: object::namespace(pod).to_owned(),
        uid: object::uid(pod).to_owned(),
        ordinal: ordinal(object::name(pod)).unwrap_or(0),
        address,
        volume: disk.volume().to_owned(),
        hostname: text(pod, "/spec/hostname").to_owned(),
        subdomain: text(pod, "/spec/subdomain").to_owned(),
        image: text(&first, "/image").to_owned(),
        env,
    }
}

/// The command of the preStop hook.
pub(super) fn pre_stop(pod: &Value) -> Option<Vec<String>> {
    let command = pod.pointer("/spec/containers/0/lifecycle/preStop/exec/command")?.as_array()?;
    Some(command.iter().filter_map(|part| part.as_str().map(str::to_owned)).collect())
}

/// The readiness probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) failures: i64,
    pub(super) successes: i64,
}

/// The probe of the pod's container; without one it is ready as it runs.
pub(super) fn probe(pod: &Value) -> Option<Probe> {
    let probe = pod.pointer("/spec/containers/0/readinessProbe")?;
    let read = |pointer, otherwise| number(probe, pointer).unwrap_or(otherwise);
    let seconds =
        |pointer, otherwise| Duration::from_secs(u64::try_from(read(pointer, otherwise)).unwrap_or_default());
    Some(Probe {
        delay: seconds("/initialDelaySeconds", 0),
        period: seconds("/periodSeconds", 10).max(Duration::from_secs(1)),
        timeout: seconds("/timeoutSeconds", 1).max(Duration::from_secs(1)),
        failures: read("/failureThreshold", 3),
        successes: read("/successThreshold", 1),
    })
}
