//! The part of the spec that says how a node comes and goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;

/// By which way a leave is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Via {
    /// HTTP management API: can be revoked while it has not begun.
    #[default]
    ManagementApi,
    /// `vmq-admin` through `pods/exec`: cannot be revoked.
    Exec,
}

/// How a leave is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Leave {
    /// `ManagementApi` or Exec.
    pub via: Via,
    /// Container of the broker in its pod, for Exec.
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
    /// The kill of the leave waits while more sessions than this are online:
    /// a plain kill with thousands of sessions loses acknowledged messages.
    pub max_online_at_kill: u32,
    /// Versions of the broker that may be asked to leave, as its status page names them. Leaves were
    /// measured with these two; add another once you have tried one.
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub versions: Vec<String>,
}

impl Default for Leave {
    fn default() -> Self {
        // One batch of disconnects is what the paced drain cuts at once anyway.
        Self {
            via: Via::default(),
            container: "vernemq".into(),
            max_online_at_kill: 50,
            versions: vec!["2.1.2".into(), "2.2.0".into()],
        }
    }
}

/// How the sessions of a leaving node are moved before its leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Drain {
    /// Share of the node's sessions that is disconnected a second; ten sessions at least, unless `maxPerSecond` is less.
    #[schemars(range(min = 1, max = 100))]
    pub percent_per_second: u32,
    /// Sessions a second at most, whatever the share says.
    #[schemars(range(min = 1, max = 500))]
    pub max_per_second: u32,
    /// Sessions that a round of disconnects is a multiple of; one call takes 50 ids at most.
    #[schemars(range(min = 10, max = 50))]
    pub batch: u32,
    /// After this long the drain is cancelled and undone.
    pub budget: Period,
}

impl Default for Drain {
    fn default() -> Self {
        Self { percent_per_second: 1, max_per_second: 500, batch: 10, budget: Period::minutes(15) }
    }
}

/// How the HTTP listeners of the brokers are reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Management {
    /// Port of `/api/v1`.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// Port of `/metrics`, `/status.json` and `/health`.
    #[schemars(range(min = 1, max = 65_535))]
    pub metrics_port: u16,
    /// Http or Https, for both ports. With Https the certificate must bear the pod's name
    /// POD.SERVICE.NAMESPACE.svc (`*.SERVICE.NAMESPACE.svc` will do).
    pub scheme: Scheme,
    /// The Secret, in our own namespace, that holds the API key. Without one
    /// the management API is asked without a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// The Secret, in our own namespace, with the certificates (PEM) that a listener's is proven by.
    /// Without one it is proven by the roots of the controller's own image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecretRef>,
}

impl Default for Management {
    fn default() -> Self {
        // 8888 is the HTTP listener of VerneMQ's own configuration and of its chart.
        Self { port: 8888, metrics_port: 8888, scheme: Scheme::Http, secret_ref: None, ca_secret_ref: None }
    }
}

/// How the routing probe, three messages that prove that a newcomer routes, reaches the brokers' MQTT listeners. By itself it
/// takes the plain one with the lowest port that the pod's address reaches, and such with a mountpoint last. Its client
/// ids are always the two of `status.routingProbeClients`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RoutingProbe {
    /// Port of the listener that it uses instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
    /// The listener has `proxy_protocol` on: a PROXY header goes before everything else.
    pub proxy_protocol: bool,
    /// The Secret, in our own namespace, with the certificates (PEM) that a TLS listener's is proven by.
    /// Without one TLS listeners are not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaSecretRef>,
    /// The name that the TLS listeners' certificate bears; without one the pod's name
    /// POD.SERVICE.NAMESPACE.svc.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

/// Scheme of the management API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Scheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

/// One key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside it.
    #[serde(default = "SecretKeyRef::default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl SecretKeyRef {
    fn default_key() -> String {
        "api-key".into()
    }
}

/// The certificates in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside it.
    #[serde(default = "CaSecretRef::default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl CaSecretRef {
    fn default_key() -> String {
        // As cert-manager and the Secrets of ServiceAccounts have it.
        "ca.crt".into()
    }
}
