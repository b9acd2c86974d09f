//! The status of a pod, as the kubelet writes it.

use std::net::Ipv4Addr;

use lifecycle::Time;
use serde_json::{Value, json};

use crate::kubernetes::object::{list, map, rfc3339, text};

/// A process that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) started: Time,
    pub(super) finished: Time,
}

impl Ended {
    fn state(self) -> Value {
        json!({"terminated": {
            "exitCode": self.code, "reason": if self.code == 0 { "Completed" } else { "Error" },
            "startedAt": rfc3339(self.started), "finishedAt": rfc3339(self.finished),
        }})
    }
}

/// Sets a condition; its time moves only when its status does.
fn set_condition(pod: &mut Value, kind: &str, holds: bool, now: Time) {
    let status = if holds { "True" } else { "False" };
    let mut conditions = list(pod, "/status/conditions").to_vec();
    let fresh = json!({"type": kind, "status": status, "lastTransitionTime": rfc3339(now),
                       "lastProbeTime": null});
    match conditions.iter_mut().find(|condition| text(condition, "/type") == kind) {
        Some(old) if text(old, "/status") == status => return,
        Some(old) => *old = fresh,
        None => conditions.push(fresh),
    }
    map(pod, "status").insert("conditions".into(), json!(conditions));
}

/// The pod has a node and waits for its container.
pub(super) fn scheduled(pod: &mut Value, now: Time) {
    pod["spec"]["nodeName"] = json!("simulator");
    map(pod, "status").insert("phase".into(), json!("Pending"));
    pod["status"]["startTime"] = json!(rfc3339(now));
    set_condition(pod, "PodScheduled", true, now);
    set_condition(pod, "Initialized", true, now);
    container(pod, &json!({"waiting": {"reason": "ContainerCreating"}}), None, 0, now);
}

/// The container runs, not ready yet; for the `restarts`th time again.
pub(super) fn running(pod: &mut Value, address: Ipv4Addr, restarts: u32, last: Option<Ended>, now: Time) {
    map(pod, "status").insert("phase".into(), json!("Running"));
    pod["status"]["podIP"] = json!(address.to_string());
    pod["status"]["podIPs"] = json!([{"ip": address.to_string()}]);
    pod["status"]["hostIP"] = json!("127.0.0.1");
    container(pod, &json!({"running": {"startedAt": rfc3339(now)}}), last, restarts, now);
}

/// The container waits for its back-off to pass.
pub(super) fn backing_off(pod: &mut Value, restarts: u32, last: Ended, now: Time) {
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    container(pod, &waiting, Some(last), restarts, now);
}

/// The container of a deleted pod has ended.
pub(super) fn ended(pod: &mut Value, restarts: u32, ended: Ended, now: Time) {
    container(pod, &ended.state(), None, restarts, now);
}

/// The readiness probe's verdict.
pub(super) fn ready(pod: &mut Value, ready: bool, now: Time) {
    if let Some(status) = pod.pointer_mut("/status/containerStatuses/0") {
        status["ready"] = json!(ready);
    }
    set_condition(pod, "ContainersReady", ready, now);
    set_condition(pod, "Ready", ready, now);
}

/// Writes the container's status; it is not ready in any new state. Each run
/// of the container has an id of its own.
fn container(pod: &mut Value, state: &Value, last: Option<Ended>, restarts: u32, now: Time) {
    let uid = text(pod, "/metadata/uid").to_owned();
    let image = text(pod, "/spec/containers/0/image").to_owned();
    let started = state.get("running").is_some();
    let created = state.get("waiting").is_none() || last.is_some();
    let mut status = json!({
        "name": text(pod, "/spec/containers/0/name"), "image": image, "imageID": format!("simulator://{image}"),
        "restartCount": restarts, "ready": false, "started": started, "state": state,
        "lastState": last.map_or(json!({}), Ended::state),
    });
    if created {
        status["containerID"] = json!(format!("simulator://{uid}/{restarts}"));
    }
    map(pod, "status").insert("containerStatuses".into(), json!([status]));
    ready(pod, false, now);
}
