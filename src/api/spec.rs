//! What people ask for.

use autoscaler::decide::Mode;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Behavior, Drain, Leave, Management, MetricSpec, Period, Quantity, RoutingProbe, VerneMQAutoscalerStatus,
};

/// Lets a `StatefulSet` of VerneMQ follow its load, an ordered cluster leave
/// before every shrink.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "vernescale.dev",
    version = "v1alpha1",
    kind = "VerneMQAutoscaler",
    plural = "vernemqautoscalers",
    singular = "vernemqautoscaler",
    shortname = "vmqa",
    namespaced,
    doc = "Lets a StatefulSet of VerneMQ follow its load, an ordered cluster leave before every shrink.",
    status = "VerneMQAutoscalerStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".status.target"}"#,
    printcolumn = r#"{"name":"Min","type":"integer","jsonPath":".spec.minReplicas"}"#,
    printcolumn = r#"{"name":"Max","type":"integer","jsonPath":".spec.maxReplicas"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Wanted","type":"integer","jsonPath":".status.wanted"}"#,
    printcolumn = r#"{"name":"Step","type":"string","jsonPath":".status.step"}"#,
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be larger than maxReplicas"),
    validation = Rule::new("self.wishFrom != 'Metrics' || size(self.metrics) > 0").message(
        "wishFrom Metrics needs at least one metric: Pods with mqtt_publish_received and an averageValue is a good first one"
    ),
    validation = Rule::new("self.wishFrom != 'Scale' || self.replicas > 0").message(
        "with wishFrom Scale set replicas to the size of today, 1 or more; HPA, KEDA and kubectl scale change it from then on"
    ),
    validation = Rule::new("self.wishFrom != 'Metrics' || self.replicas == 0").message(
        "with wishFrom Metrics the size follows spec.metrics, and nobody reads replicas: set wishFrom to Scale for HPA, KEDA and kubectl scale to be heard, or set replicas to 0"
    )
)]
pub struct VerneMQAutoscalerSpec {
    /// The StatefulSet, in our own namespace. Cannot be changed: one that is in the middle of a change would be left there.
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "targetRef cannot be changed: delete this resource, which ends a change that is under way, and create another"
    ))]
    pub target_ref: TargetRef,
    /// Smallest size; zero is refused, for a broker at zero has lost its offline queues.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub min_replicas: u32,
    /// Largest size.
    #[schemars(range(min = 1, max = 100))]
    pub max_replicas: u32,
    /// Shadow only shows, `GrowOnly` never shrinks, Active does both, Paused does nothing.
    #[serde(default)]
    pub mode: Mode,
    /// Whether the size follows the metrics or the scale subresource.
    #[serde(default)]
    pub wish_from: WishFrom,
    /// With wishFrom Scale the wish of the scale subresource (HPA, KEDA, kubectl scale). With wishFrom Metrics 0, where
    /// an HPA that aims here says `ScalingDisabled`.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub replicas: u32,
    /// What the size follows; of several, the largest wish wins.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub metrics: Vec<MetricSpec>,
    /// Over which time a counter becomes a rate.
    #[serde(default)]
    pub window: MetricsWindow,
    /// How fast the wish may move.
    #[serde(default)]
    pub behavior: Behavior,
    /// Raising at once on a sudden load.
    #[serde(default)]
    pub panic: Panic,
    /// How many leaves and cancelled drains there may be. Never blocks a raise.
    #[serde(default = "ChurnBudget::defaults")]
    #[schemars(length(max = 4))]
    pub churn: Vec<ChurnBudget>,
    /// Quiet time after a join.
    #[serde(default = "half_a_minute")]
    pub settle: Period,
    /// How sessions are moved before a leave.
    #[serde(default)]
    pub drain: Drain,
    /// How the leave is asked.
    #[serde(default)]
    pub leave: Leave,
    /// How the brokers' HTTP listeners are reached.
    #[serde(default)]
    pub management: Management,
    /// The Secret with the login of the MQTT user that sends the routing probe, three messages on
    /// `vernescale/probe/#` that prove that a newcomer routes. Without one it is sent anonymously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_probe_secret_ref: Option<LoginSecretRef>,
    /// How the routing probe reaches the brokers.
    #[serde(default)]
    pub routing_probe: RoutingProbe,
    /// The Service that MQTT clients use and that selects on the label
    /// `vernescale.dev/serving`; without one nodes are not fenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub client_service: Option<String>,
    /// How long after the client Service has dropped a leaving node its listeners stay open, until every proxy on the
    /// way has heard of it. Measured with kube-proxy's defaults: new connections still came up to 24 ms later on a quiet
    /// cluster, 61 to 770 ms later where another Service changes all the time. Larger with a longer minSyncPeriod of
    /// kube-proxy, with eBPF proxies and with load balancers outside of the cluster. From 100ms to 60s.
    #[serde(default = "proxies_hear")]
    pub fence_wait: Period,
    /// How long a member must be dead before it is told.
    #[serde(default = "ten_minutes")]
    pub dead_after: Period,
}

fn two() -> u32 {
    2
}

fn proxies_hear() -> Period {
    // Twice the longest that was measured (`disc2_kube_proxy_fence.txt`).
    Period(std::time::Duration::from_millis(1_500))
}

fn half_a_minute() -> Period {
    Period::seconds(30)
}

fn ten_minutes() -> Period {
    Period::minutes(10)
}

/// The StatefulSet whose size is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A Secret of type kubernetes.io/basic-auth: `username` and `password`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginSecretRef {
    /// Its name, in our own namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whose wish the size follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WishFrom {
    /// The metrics of this resource.
    #[default]
    Metrics,
    /// The scale subresource of this resource.
    Scale,
}

/// Over which time a counter becomes a rate. These three are kept per node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MetricsWindow {
    /// Ten seconds.
    #[serde(rename = "10s")]
    TenSeconds,
    /// One minute.
    #[default]
    #[serde(rename = "1m")]
    OneMinute,
    /// Five minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
}

/// Raising at once on a sudden load. Its window is the larger of ten seconds
/// and two sample intervals, which the brokers decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Panic {
    /// Value over target, per node, from which on it is panic.
    pub ratio: Quantity,
    /// So many samples in a row must say so.
    #[schemars(range(min = 1, max = 100))]
    pub min_samples: u32,
    /// Nothing is lowered for this long after the last of them.
    pub hold: Period,
}

impl Default for Panic {
    fn default() -> Self {
        Self { ratio: Quantity("2".into()), min_samples: 3, hold: Period::minutes(5) }
    }
}

/// So many leaves in that time; cancelled drains count as leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChurnBudget {
    /// How many.
    #[schemars(range(min = 1, max = 100))]
    pub leaves: u32,
    /// In how long.
    pub per: Period,
}

impl ChurnBudget {
    /// One in half an hour, four a day.
    pub fn defaults() -> Vec<Self> {
        vec![Self { leaves: 1, per: Period::minutes(30) }, Self { leaves: 4, per: Period::minutes(24 * 60) }]
    }
}
