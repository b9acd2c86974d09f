//! VerneMQ as the tests and the demo install it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    object::{self, map},
    patch::PatchKind,
    refusal::Refusal,
    resource, rules, schema,
    store::{Key, Part, Store},
};

/// Applies an object as `kubectl apply` would.
pub(super) fn apply(store: &mut Store, object: &Value) -> Result<Arc<Value>, Refusal> {
    let mut object = object.clone();
    let kind = resource::of(&object).ok_or_else(|| Refusal::bad_request("no such kind of object"))?;
    if kind.namespaced && object::namespace(&object).is_empty() {
        map(&mut object, "metadata").insert("namespace".into(), json!("default"));
    }
    let namespace = object::namespace(&object).to_owned();
    if kind.namespaced && store.find("namespaces", "", &namespace).is_none() {
        let labels = json!({"kubernetes.io/metadata.name": namespace});
        store.create(json!({"apiVersion": "v1", "kind": "Namespace",
                            "metadata": {"name": namespace, "labels": labels}}))?;
    }
    let key = Key::new(kind, &namespace, object::name(&object));
    let Some(old) = store.get(&key) else {
        rules::default(kind, &mut object);
        schema::conform(store, kind, &mut object)?;
        kind.check(&object).map_err(Refusal::bad_request)?;
        rules::admit(kind, None, &object)?;
        return store.create(object);
    };
    let mut merged = PatchKind::Apply.apply(&old, object.to_string().as_bytes())?;
    schema::conform(store, kind, &mut merged)?;
    kind.check(&merged).map_err(Refusal::bad_request)?;
    rules::admit(kind, Some(&old), &merged)?;
    store.replace(&key, merged, Part::Spec)
}

/// Where the brokers keep their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Gone with the pod.
    EmptyDir,
    /// Claims of a template `data`: they outlive the pod and are used again by
    /// the same ordinal.
    Claims,
}

/// A StatefulSet of VerneMQ with the Services of the official chart, and the
/// serving label on the pods and in the client Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VernemqInstall {
    /// Name of the StatefulSet and of the client Service; the headless Service
    /// is `<name>-headless`.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// First size.
    pub replicas: u32,
    /// Data.
    pub storage: Storage,
    /// `minReadySeconds`.
    pub min_ready: Duration,
    /// Initial delay of the readiness probe: 90 s in the official chart, 5 s in
    /// docs/broker/practice.md, "Set-up".
    pub probe_delay: Duration,
    /// Period of the readiness probe.
    pub probe_period: Duration,
    /// `terminationGracePeriodSeconds`.
    pub grace: Duration,
    /// MQTT listener.
    pub mqtt_port: u16,
    /// HTTP listener that Prometheus scrapes and the probes ask.
    pub http_port: u16,
    /// A management listener of its own, where there is one.
    pub management_port: Option<u16>,
    /// Command of a preStop hook.
    pub pre_stop: Option<Vec<String>>,
    /// Image; changing it is a rollout.
    pub image: String,
}

impl Default for VernemqInstall {
    fn default() -> Self {
        Self {
            name: "vmq".to_owned(),
            namespace: "mqtt".to_owned(),
            replicas: 1,
            storage: Storage::EmptyDir,
            min_ready: Duration::ZERO,
            probe_delay: Duration::from_secs(5),
            probe_period: Duration::from_secs(10),
            grace: Duration::from_mins(1),
            mqtt_port: 1883,
            http_port: 8888,
            management_port: None,
            pre_stop: None,
            image: "vernemq/vernemq:2.1.2".to_owned(),
        }
    }
}

impl VernemqInstall {
    /// Name of the headless Service.
    pub fn headless(&self) -> String {
        format!("{}-headless", self.name)
    }

    /// The objects, to be applied in this order.
    pub fn objects(&self) -> Vec<Value> {
        vec![self.headless_service(), self.client_service(), self.stateful_set()]
    }

    fn labels(&self) -> Value {
        json!({"app.kubernetes.io/name": "vernemq", "app.kubernetes.io/instance": self.name})
    }

    fn headless_service(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.headless(), "namespace": self.namespace},
            "spec": {"clusterIP": "None", "publishNotReadyAddresses": true, "selector": self.labels(),
                     "ports": [{"name": "mqtt", "port": self.mqtt_port}, {"name": "epmd", "port": 4369}]},
        })
    }

    fn client_service(&self) -> Value {
        let mut selector = self.labels();
        selector["vernescale.dev/serving"] = json!("true");
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {"selector": selector,
                     "ports": [{"name": "mqtt", "port": 1883, "targetPort": "mqtt"},
                               {"name": "metrics", "port": self.http_port, "targetPort": "metrics"}]},
        })
    }

    fn stateful_set(&self) -> Value {
        let mut labels = self.labels();
        labels["vernescale.dev/serving"] = json!("true");
        let mut spec = json!({
            "replicas": self.replicas, "serviceName": self.headless(),
            "podManagementPolicy": "OrderedReady", "minReadySeconds": self.min_ready.as_secs(),
            "selector": {"matchLabels": self.labels()},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [self.container()],
                         "terminationGracePeriodSeconds": self.grace.as_secs()},
            },
        });
        match self.storage {
            Storage::EmptyDir => {
                spec["template"]["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
            }
            Storage::Claims => {
                let request = json!({"accessModes": ["ReadWriteOnce"],
                                     "resources": {"requests": {"storage": "1Gi"}}});
                spec["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": request}]);
            }
        }
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
               "metadata": {"name": self.name, "namespace": self.namespace, "labels": self.labels()},
               "spec": spec})
    }

    fn container(&self) -> Value {
        let mut ports = vec![
            json!({"name": "mqtt", "containerPort": self.mqtt_port}),
            json!({"name": "metrics", "containerPort": self.http_port}),
        ];
        if let Some(port) = self.management_port {
            ports.push(json!({"name": "mgmt", "containerPort": port}));
        }
        let mut container = json!({
            "name": "vernemq", "image": self.image, "ports": ports,
            "env": [{"name": "DOCKER_VERNEMQ_DISCOVERY_KUBERNETES", "value": "1"}],
            "readinessProbe": {"httpGet": {"path": "/health/ping", "port": "metrics"},
                "initialDelaySeconds": self.probe_delay.as_secs(),
                "periodSeconds": self.probe_period.as_secs().max(1)},
            "volumeMounts": [{"name": "data", "mountPath": "/vernemq/data"}],
        });
        if let Some(argv) = &self.pre_stop {
            container["lifecycle"] = json!({"preStop": {"exec": {"command": argv}}});
        }
        container
    }
}
