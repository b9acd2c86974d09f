//! The policy that a spec asks for: numbers instead of texts, and nothing that cannot be.

use std::time::Duration;

use autoscaler::decide::{Budget, CHURN_PERIOD_MAX, Limit, Metric, PanicRules, Policy, Rules, TargetKind};
use autoscaler::metrics::Span;

use super::{
    MetricSpec, MetricTarget, MetricType, MetricsWindow, Period, Quantity, QuantityError, ScalingRules,
    TargetType, VerneMQAutoscalerSpec, WishFrom,
};

/// Stabilization of lowering where the object names other rules only.
const DOWN_SECONDS: u32 = 600;

/// Shorter than any proxy hears, longer than a fence may hold a shrink.
const FENCE_WAIT: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);

/// A spec that nothing can be decided by. The API server refuses most of them;
/// an object may be older than the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.{field}: {cause}; {remedy}")]
pub struct PolicyError {
    /// Path below `spec`.
    pub field: String,
    /// What is wrong.
    pub cause: String,
    /// What to write instead.
    pub remedy: &'static str,
}

fn refuse<T>(
    field: impl Into<String>,
    cause: impl Into<String>,
    remedy: &'static str,
) -> Result<T, PolicyError> {
    Err(PolicyError { field: field.into(), cause: cause.into(), remedy })
}

impl TryFrom<&VerneMQAutoscalerSpec> for Policy {
    type Error = PolicyError;

    fn try_from(spec: &VerneMQAutoscalerSpec) -> Result<Self, Self::Error> {
        let (min, max) = (spec.min_replicas, spec.max_replicas);
        if min == 0 {
            return refuse(
                "minReplicas",
                "is 0",
                "write 1 or more: a broker at zero has lost its offline queues",
            );
        }
        if min > max {
            return refuse("minReplicas", format!("{min} is larger than maxReplicas {max}"), "swap them");
        }
        if !FENCE_WAIT.contains(&spec.fence_wait.0) {
            let cause = format!("is {}", spec.fence_wait);
            return refuse("fenceWait", cause, "write a span from 100ms to 60s, such as 1500ms");
        }
        let metrics =
            spec.metrics.iter().enumerate().map(|(i, m)| metric(i, m)).collect::<Result<Vec<_>, _>>()?;
        let outside_wish = match (spec.wish_from, spec.replicas) {
            (WishFrom::Metrics, _) if metrics.is_empty() => {
                return refuse("metrics", "is empty", "name at least one, such as mqtt_publish_received");
            }
            (WishFrom::Metrics, _) => None,
            (WishFrom::Scale, wish) if wish > 0 => Some(wish),
            (WishFrom::Scale, _) => {
                return refuse(
                    "replicas",
                    "is missing or 0",
                    "set it to the size of today: wishFrom is Scale",
                );
            }
        };
        Ok(Self {
            min,
            max,
            mode: spec.mode,
            outside_wish,
            metrics,
            window: span(spec.window),
            up: rules("behavior.scaleUp", &spec.behavior.scale_up, 0)?,
            down: rules("behavior.scaleDown", &spec.behavior.scale_down, DOWN_SECONDS)?,
            panic: panic_rules(spec)?,
            churn: spec.churn.iter().map(|b| budget(b.leaves, b.per)).collect::<Result<_, _>>()?,
            settle: spec.settle.0,
        })
    }
}

fn span(window: MetricsWindow) -> Span {
    match window {
        MetricsWindow::TenSeconds => Span::TenSeconds,
        MetricsWindow::OneMinute => Span::OneMinute,
        MetricsWindow::FiveMinutes => Span::FiveMinutes,
    }
}

fn metric(index: usize, spec: &MetricSpec) -> Result<Metric, PolicyError> {
    let field = format!("metrics[{index}]");
    let (metric, target) = match (spec.type_, &spec.pods, &spec.external) {
        (MetricType::Pods, Some(pods), _) => (&pods.metric, &pods.target),
        (MetricType::External, _, Some(external)) => (&external.metric, &external.target),
        (MetricType::Pods, None, _) => return refuse(field, "type Pods without pods", "add the field pods"),
        (MetricType::External, _, None) => {
            return refuse(field, "type External without external", "add the field external");
        }
        (MetricType::Resource | MetricType::ContainerResource, ..) => {
            return refuse(field, "type Resource is not read", "use type Pods with mqtt_publish_received");
        }
        (MetricType::Object, ..) => {
            return refuse(field, "type Object is not read", "use type External with mqtt_publish_received");
        }
    };
    if metric.selector.is_some() {
        return refuse(
            field,
            "metric.selector is not read",
            "leave it out: the metric is that of every node",
        );
    }
    let name = metric.name.strip_prefix("vernemq_").unwrap_or(&metric.name);
    if name.starts_with("vm_memory_") {
        return refuse(
            field,
            format!("{name} counts memory that nobody uses"),
            "use active_mqtt_connections",
        );
    }
    let kind = match (spec.type_, target.type_) {
        (MetricType::Pods, TargetType::Value) => {
            return refuse(field, "a Pods metric with target.type Value", "use averageValue");
        }
        (MetricType::Pods, TargetType::AverageValue) => TargetKind::Node,
        (_, TargetType::AverageValue) => TargetKind::Share,
        (_, TargetType::Value) => TargetKind::Total,
    };
    Ok(Metric { name: name.to_owned(), target: target_value(&field, target, kind)?, kind })
}

fn target_value(field: &str, target: &MetricTarget, kind: TargetKind) -> Result<f64, PolicyError> {
    let (name, quantity) = match kind {
        TargetKind::Node | TargetKind::Share => ("averageValue", &target.average_value),
        TargetKind::Total => ("value", &target.value),
    };
    let field = format!("{field}.target.{name}");
    match quantity {
        None => refuse(field, "is missing", "write the value that is aimed at, such as 60m"),
        Some(quantity) => match number(&field, quantity)? {
            value if value > 0.0 => Ok(value),
            _ => refuse(field, "is 0", "write the value that is aimed at, larger than 0, such as 60m"),
        },
    }
}

fn number(field: &str, quantity: &Quantity) -> Result<f64, PolicyError> {
    quantity.value().map_err(|error: QuantityError| PolicyError {
        field: field.into(),
        cause: error.to_string(),
        remedy: "the notation is that of Kubernetes",
    })
}

fn rules(field: &str, spec: &ScalingRules, stabilization_default: u32) -> Result<Rules, PolicyError> {
    let tolerance = number(&format!("{field}.tolerance"), &spec.tolerance)?;
    if tolerance >= 1.0 {
        return refuse(format!("{field}.tolerance"), "is 1 or more", "write a share such as 0.1 or 100m");
    }
    let seconds = spec.stabilization_window_seconds.unwrap_or(stabilization_default).min(3_600);
    let limits = spec.policies.iter().map(|policy| Limit {
        kind: policy.type_,
        value: policy.value,
        period: Duration::from_secs(u64::from(policy.period_seconds.clamp(1, 1_800))),
    });
    Ok(Rules {
        stabilization: Duration::from_secs(u64::from(seconds)),
        tolerance,
        select: spec.select_policy,
        limits: limits.collect(),
    })
}

fn panic_rules(spec: &VerneMQAutoscalerSpec) -> Result<PanicRules, PolicyError> {
    let ratio = number("panic.ratio", &spec.panic.ratio)?;
    if ratio <= 1.0 {
        return refuse("panic.ratio", "is not larger than 1", "write 2 for twice the target");
    }
    Ok(PanicRules { ratio, samples: spec.panic.min_samples.max(1), hold: spec.panic.hold.0 })
}

fn budget(leaves: u32, per: Period) -> Result<Budget, PolicyError> {
    if per.0.is_zero() || per.0 > CHURN_PERIOD_MAX {
        return refuse("churn.per", format!("is {per}"), "write a span of more than 0s and at most 168h");
    }
    Ok(Budget { leaves, per: per.0 })
}

#[cfg(test)]
mod tests;
