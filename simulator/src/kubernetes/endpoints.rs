//! The EndpointSlice controller: which pods a Service sends clients to.

use std::{net::Ipv4Addr, sync::Arc};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Shared,
    object::{self, hash, label, list, number, ready, text},
    selector,
    store::{Key, Store},
};

const KIND: &str = "endpointslices.discovery.k8s.io";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// One pod behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the pod.
    pub pod: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The Service sends new connections to it.
    pub ready: bool,
    /// It passes its probe, whether it is being deleted or not.
    pub serving: bool,
    /// It is being deleted.
    pub terminating: bool,
}

/// Runs the controller.
pub(super) fn spawn(tasks: &mut JoinSet<()>, shared: &Arc<Shared>) {
    let delay = shared.settings.timing.endpoints;
    tasks.spawn(shared.clone().follow(delay, sync));
}

/// The endpoints of a Service as its slice has them.
pub(super) fn of(store: &Store, namespace: &str, service: &str) -> Vec<Endpoint> {
    let slices = store.list(KIND, Some(namespace));
    let of_service = slices.iter().filter(|slice| label(slice, SERVICE_NAME) == Some(service));
    of_service.flat_map(|slice| list(slice, "/endpoints").to_vec()).filter_map(|e| read(&e)).collect()
}

fn read(endpoint: &Value) -> Option<Endpoint> {
    let holds = |name: &str| endpoint["conditions"][name].as_bool().unwrap_or(false);
    Some(Endpoint {
        pod: text(endpoint, "/targetRef/name").to_owned(),
        address: text(endpoint, "/addresses/0").parse().ok()?,
        ready: holds("ready"),
        serving: holds("serving"),
        terminating: holds("terminating"),
    })
}

/// One slice a Service: a hundred endpoints fit into one.
fn sync(store: &mut Store) {
    for service in store.list("services", None) {
        if service.pointer("/spec/selector").is_none() || object::deleting(&service) {
            continue;
        }
        let wanted = slice(store, &service);
        let name = object::name(&wanted);
        match store.find(KIND, object::namespace(&service), name) {
            None => drop(store.create(wanted)),
            Some(found) => {
                if let Some(key) = Key::of(&found) {
                    store.change(&key, |slice| {
                        slice["endpoints"] = wanted["endpoints"].clone();
                        slice["ports"] = wanted["ports"].clone();
                    });
                }
            }
        }
    }
}

fn slice(store: &Store, service: &Value) -> Value {
    let name = object::name(service);
    let pods: Vec<Arc<Value>> = store
        .list("pods", Some(object::namespace(service)))
        .into_iter()
        .filter(|pod| selector::map_matches(service.pointer("/spec/selector"), pod))
        .filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .filter(|pod| !text(pod, "/status/podIP").is_empty())
        .collect();
    let endpoints: Vec<Value> = pods.iter().map(|pod| endpoint(service, pod)).collect();
    let suffix = &hash(service.pointer("/metadata/uid").unwrap_or(&Value::Null))[..5];
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{name}-{suffix}"), "namespace": object::namespace(service),
            "labels": {SERVICE_NAME: name,
                       "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name,
                "uid": object::uid(service), "controller": true, "blockOwnerDeletion": true}],
        },
        "endpoints": endpoints,
        "ports": ports(service, pods.first().map(Arc::as_ref)),
    })
}

/// `ready` is what proxies go by: never true of a pod that is being deleted,
/// but where the Service publishes addresses whatever their state.
fn endpoint(service: &Value, pod: &Value) -> Value {
    let publish = service.pointer("/spec/publishNotReadyAddresses") == Some(&json!(true));
    let (serving, terminating) = (ready(pod), object::deleting(pod));
    let mut endpoint = json!({
        "addresses": [text(pod, "/status/podIP")],
        "conditions": {"ready": publish || (serving && !terminating),
                       "serving": serving, "terminating": terminating},
        "nodeName": text(pod, "/spec/nodeName"),
        "targetRef": {"kind": "Pod", "name": object::name(pod), "namespace": object::namespace(pod),
                      "uid": object::uid(pod)},
    });
    if text(pod, "/spec/subdomain") == object::name(service) {
        endpoint["hostname"] = json!(text(pod, "/spec/hostname"));
    }
    endpoint
}

/// The Service's ports as the pods have them; a named target is looked up in a pod.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let named = |name: &str| {
        let containers = list(pod.unwrap_or(&Value::Null), "/spec/containers");
        let mut ports = containers.iter().flat_map(|container| list(container, "/ports"));
        ports.find(|port| text(port, "/name") == name).and_then(|port| number(port, "/containerPort"))
    };
    let one = |port: &Value| {
        let target = match &port["targetPort"] {
            Value::String(name) => named(name)?,
            Value::Number(target) => target.as_i64()?,
            _ => number(port, "/port")?,
        };
        let protocol = port.get("protocol").cloned().unwrap_or(json!("TCP"));
        Some(json!({"name": text(port, "/name"), "port": target, "protocol": protocol}))
    };
    list(service, "/spec/ports").iter().filter_map(one).collect()
}
