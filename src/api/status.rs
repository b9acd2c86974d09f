//! What the controller reports, and what it needs to resume.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::metrics::anything;
use autoscaler::decide::History;

/// What was seen and decided in the last reconcile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct VerneMQAutoscalerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `spec.replicas` of the StatefulSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Label selector of the StatefulSet, so that HPA finds the broker's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The size that is wanted, inside min and max.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u32>,
    /// Value and target of each metric, as HPA prints them: `12m/60m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The step of the change that is under way; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Copy of the intent in the StatefulSet's annotation, which is the one that counts.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    #[schemars(schema_with = "anything")]
    pub intent: Option<lifecycle::Intent>,
    /// What is known to protect clients now: 0 nothing is asked of a broker (Shadow, Paused, or one that
    /// cannot be read or asked), 1 ordered leaves, 2 the client Service drops a node first, 3 the start
    /// hook as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection_level: Option<u8>,
    /// Members of the broker's cluster, running or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// The nodes that were seen; bounded by the largest size plus what is about to go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub nodes: Vec<NodeSeen>,
    /// The client ids of the routing probe: enter them where the broker's logins are kept by client id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub routing_probe_clients: Vec<String>,
    /// Why this size: the metrics, each clamp, what would change it, and what each node would carry after a leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<String>,
    /// What the decision remembers, so that a restart forgets nothing: recommendations,
    /// leaves, changes of size, panic.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "readable")]
    #[schemars(schema_with = "anything")]
    pub history: Option<History>,
    /// What people should know, by name.
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// One node as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSeen {
    /// The broker's own name.
    pub name: String,
    /// The pod's number; none for a member without a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Every survivor lists it as a running member.
    pub running: bool,
    /// Its numbers are fresh.
    pub fresh: bool,
    /// Value of the pod's label `vernescale.dev/serving`; none where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
}

/// What the API server keeps of any content may be of a later version: what cannot be read is not there, for
/// neither is the one truth about anything.
fn readable<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// The API server's own rules for conditions: a map by type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 316 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": { "type": "string", "minLength": 1, "maxLength": 1024 },
                "message": { "type": "string", "maxLength": 32_768 },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
            },
        },
    })
}
