//! `behavior`, with the fields and the meaning of `autoscaling/v2`.

use autoscaler::decide::{ScalingPolicyType, SelectPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quantity;

/// How fast the wish may move in each direction. The change itself is always
/// one ordinal at a time, whatever stands here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// Raising; at once by default.
    #[serde(default = "ScalingRules::up")]
    pub scale_up: ScalingRules,
    /// Lowering; by default only to the highest wish of the last ten minutes.
    #[serde(default = "ScalingRules::down")]
    pub scale_down: ScalingRules,
}

impl Default for Behavior {
    fn default() -> Self {
        Self { scale_up: ScalingRules::up(), scale_down: ScalingRules::down() }
    }
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// The wish is the most careful one of this many seconds. None: 0 for
    /// raising, 600 for lowering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<u32>,
    /// Which of several policies counts.
    #[serde(default)]
    pub select_policy: SelectPolicy,
    /// Limits of change over time; none means no limit.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub policies: Vec<ScalingPolicy>,
    /// A ratio between value and target that is no further from 1 changes nothing.
    #[serde(default = "tolerance")]
    pub tolerance: Quantity,
}

impl ScalingRules {
    fn up() -> Self {
        Self::with_window(0)
    }

    fn down() -> Self {
        Self::with_window(600)
    }

    fn with_window(seconds: u32) -> Self {
        Self {
            stabilization_window_seconds: Some(seconds),
            select_policy: SelectPolicy::default(),
            policies: Vec::new(),
            tolerance: tolerance(),
        }
    }
}

fn tolerance() -> Quantity {
    Quantity("100m".into())
}

/// One limit of change over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What `value` counts.
    #[serde(rename = "type")]
    pub type_: ScalingPolicyType,
    /// Nodes, or percent of the nodes at the beginning of the period.
    #[schemars(range(min = 1, max = 1000))]
    pub value: u32,
    /// Length of the period.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: u32,
}
