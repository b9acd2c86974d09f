//! `VerneMQAutoscaler`, the one resource that people write: what it says
//! (`spec`), what it reports (`status`), and the rules that the API server
//! itself enforces, so that a mistake is refused where it is made.

mod behavior;
mod lifecycle_settings;
#[expect(unreachable_pub, reason = "KubeSchema derives `pub` helpers inside its own function")]
mod metrics;
mod period;
mod policy;
mod quantity;
#[expect(unreachable_pub, reason = "KubeSchema derives `pub` helpers inside its own function")]
mod spec;
mod status;

use kube::CustomResourceExt;
use serde_json::Value;

pub use behavior::{Behavior, ScalingPolicy, ScalingRules};
pub use lifecycle_settings::{
    CaSecretRef, Drain, Leave, Management, RoutingProbe, Scheme, SecretKeyRef, Via,
};
pub use metrics::{ExternalMetric, MetricName, MetricSpec, MetricTarget, MetricType, PodsMetric, TargetType};
pub use period::{Period, PeriodError};
pub use policy::PolicyError;
pub use quantity::{Quantity, QuantityError};
pub use spec::{
    ChurnBudget, LoginSecretRef, MetricsWindow, Panic, TargetRef, VerneMQAutoscaler, VerneMQAutoscalerSpec,
    WishFrom,
};
pub use status::{NodeSeen, VerneMQAutoscalerStatus};

/// Group of the resource; also the prefix of our labels and annotations.
pub const GROUP: &str = "vernescale.dev";

/// The `CustomResourceDefinition` as YAML, ready for `kubectl apply -f -`.
///
/// # Errors
/// Where the definition cannot be written as YAML, which is a mistake in this
/// program and not in its input.
pub fn yaml() -> anyhow::Result<String> {
    let definition = definition()?;
    Ok(format!(
        "# Printed by `vernescale crd`; a test compares the two.\n{}",
        serde_saphyr::to_string(&definition)?
    ))
}

/// The `CustomResourceDefinition` as JSON.
///
/// # Errors
/// As [`yaml`].
pub fn definition() -> anyhow::Result<Value> {
    let mut definition = serde_json::to_value(VerneMQAutoscaler::crd())?;
    tidy(&mut definition);
    targets(&mut definition);
    Ok(definition)
}

/// Takes out what the API server warns about (formats that it does not know:
/// `uint32`), with the largest number of such a format as limit in its place: one
/// that our types do not take would make the whole object unreadable. Writes whole
/// limits as integers.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(bits) = map.get("format").and_then(Value::as_str).and_then(|f| f.strip_prefix("uint"))
            {
                let most = bits.parse().ok().and_then(|bits: u32| 2_u64.checked_pow(bits));
                if let Some(most) = most.map(|most| most - 1) {
                    map.entry("maximum").or_insert(most.into());
                }
                map.remove("format");
            }
            for key in ["minimum", "maximum"] {
                if let Some(limit) = map.get_mut(key)
                    && let Some(whole) = limit.as_f64().filter(|f| f.fract() == 0.0)
                {
                    *limit = serde_json::from_str(&format!("{whole:.0}")).unwrap_or(Value::Null);
                }
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// Gives every target the choice between its two values, which the derived schema cannot state.
fn targets(value: &mut Value) {
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => {
            let is_target = map
                .get("properties")
                .is_some_and(|fields| fields.get("averageValue").is_some() && fields.get("value").is_some());
            if is_target {
                map.insert("anyOf".into(), metrics::values_by_type());
                return;
            }
            map.values_mut().collect()
        }
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    children.into_iter().for_each(targets);
}

#[cfg(test)]
mod tests;
