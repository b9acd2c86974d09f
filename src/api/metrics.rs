//! The metrics of the spec, with the field names of `autoscaling/v2`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Quantity;
use super::quantity::positive;

/// Which source a metric has. Only `Pods` and `External` are accepted; the
/// others are listed so that the API server can answer with the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricType {
    /// The mean over the nodes, as they report it themselves.
    Pods,
    /// The sum over all nodes.
    External,
    /// Refused.
    Resource,
    /// Refused.
    ContainerResource,
    /// Refused.
    Object,
}

/// One metric that the size follows. Of several, the largest wish wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'Resource' && self.type != 'ContainerResource'").message(
        "CPU and memory do not tell how loaded a broker is: use type Pods with the metric mqtt_publish_received (messages a second per node) or active_mqtt_connections"
    ),
    validation = Rule::new("self.type != 'Object'").message(
        "no object outside the brokers is read: use type External with the metric mqtt_publish_received (messages a second over all nodes)"
    ),
    validation = Rule::new("self.type == 'Pods' ? has(self.pods) && !has(self.external) : true")
        .message("type Pods takes the field pods, and no other"),
    validation = Rule::new("self.type == 'External' ? has(self.external) && !has(self.pods) : true")
        .message("type External takes the field external, and no other")
)]
pub struct MetricSpec {
    /// Pods or External. Resource, `ContainerResource` and Object are refused.
    #[serde(rename = "type")]
    pub type_: MetricType,
    /// A metric of each node, compared as the mean over the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsMetric>,
    /// A metric of all nodes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalMetric>,
    /// Refused: here so that the answer names the metric to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub resource: Option<BTreeMap<String, Value>>,
    /// Refused: here so that the answer names the metric to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub container_resource: Option<BTreeMap<String, Value>>,
    /// Refused: here so that the answer names the metric to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub object: Option<BTreeMap<String, Value>>,
}

/// A metric of each node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.target.type == 'AverageValue'")
        .message("a Pods metric takes target.type AverageValue and target.averageValue, such as 60m")
)]
pub struct PodsMetric {
    /// Which metric.
    pub metric: MetricName,
    /// The value per node that is aimed at.
    pub target: MetricTarget,
}

/// A metric of all nodes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalMetric {
    /// Which metric.
    pub metric: MetricName,
    /// The value that is aimed at: over all nodes, or per node.
    pub target: MetricTarget,
}

/// Identifies a metric by the name that the broker gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("!self.name.contains('vm_memory_')").message(
        "vm_memory_* counts megabytes per connection that nobody uses: use active_mqtt_connections or queue_processes"
    ),
    validation = Rule::new("!has(self.selector)").message(
        "metric.selector is not read: its labels are those of HPA's metrics adapter, and the brokers are asked themselves. Leave it out: the metric is then that of every node of spec.targetRef"
    )
)]
pub struct MetricName {
    /// Name without the prefix `vernemq_`, such as `mqtt_publish_received`. A
    /// counter counts as its rate a second over `window`, a gauge as its value.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// Refused: here so that the answer says so, instead of dropping it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub selector: Option<BTreeMap<String, Value>>,
}

/// How a target is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TargetType {
    /// Per node.
    AverageValue,
    /// Over all nodes; External only.
    Value,
}

/// The value that is aimed at: the one that `type` names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricTarget {
    /// `AverageValue` (per node) or Value (over all nodes).
    #[serde(rename = "type")]
    pub type_: TargetType,
    /// Per node, such as `60m` for one message in 17 seconds. Larger than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive")]
    pub average_value: Option<Quantity>,
    /// Over all nodes. Larger than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "positive")]
    pub value: Option<Quantity>,
}

/// Which value goes with which type. Not as a rule in CEL, which does not see a field without a type.
pub(super) fn values_by_type() -> Value {
    let goes = |kind: &str, field: &str, other: &str| {
        json!({
            "properties": { "type": { "enum": [kind] } },
            "required": [field],
            "not": { "required": [other] },
        })
    };
    json!([goes("AverageValue", "averageValue", "value"), goes("Value", "value", "averageValue")])
}

/// An object of any content that is kept as it is.
pub(super) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
