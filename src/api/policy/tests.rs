use rstest::rstest;
use serde_json::json;

use super::*;

/// 60m messages a second per node, 1 to 10 nodes, Active.
fn spec() -> serde_json::Value {
    json!({
        "targetRef": {"name": "vmq"}, "minReplicas": 1, "maxReplicas": 10, "mode": "Active",
        "metrics": [{"type": "Pods", "pods": {
            "metric": {"name": "mqtt_publish_received"},
            "target": {"type": "AverageValue", "averageValue": "60m"},
        }}],
    })
}

/// [`spec`] with fields of it replaced.
fn with(fields: &serde_json::Value) -> VerneMQAutoscalerSpec {
    let mut spec = spec();
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn policy(fields: &serde_json::Value) -> Policy {
    Policy::try_from(&with(fields)).unwrap()
}

fn refused(fields: &serde_json::Value) -> String {
    Policy::try_from(&with(fields)).unwrap_err().to_string()
}

fn pods(name: &str, value: &str) -> serde_json::Value {
    json!({"metrics": [{"type": "Pods", "pods": {
        "metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": value}}}]})
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let policy = policy(&json!({}));
    assert_eq!(policy.window, Span::OneMinute);
    assert_eq!((policy.up.stabilization.as_secs(), policy.down.stabilization.as_secs()), (0, 600));
    assert!((policy.up.tolerance - 0.1).abs() < 1e-9 && (policy.down.tolerance - 0.1).abs() < 1e-9);
    assert_eq!(policy.panic, PanicRules { ratio: 2.0, samples: 3, hold: Duration::from_mins(5) });
    let budget = |leaves, hours_half: u64| Budget { leaves, per: Duration::from_mins(30 * hours_half) };
    assert_eq!(policy.churn, [budget(1, 1), budget(4, 48)]);
    assert_eq!(policy.settle, Duration::from_secs(30));
    assert_eq!(policy.outside_wish, None);
}

#[rstest]
#[case("99ms", false)]
#[case("100ms", true)]
#[case("60s", true)]
#[case("61s", false)]
fn the_fences_wait_is_bounded(#[case] wait: &str, #[case] fine: bool) {
    let fields = json!({"fenceWait": wait});
    if fine {
        policy(&fields);
    } else {
        let told = refused(&fields);
        assert!(told.starts_with("spec.fenceWait: is ") && told.contains("from 100ms to 60s"), "{told}");
    }
}

#[test]
fn a_metric_is_read_with_its_target_and_without_the_prefix() {
    let policy = policy(&json!({"metrics": [
        {"type": "Pods", "pods": {"metric": {"name": "vernemq_mqtt_publish_received"},
            "target": {"type": "AverageValue", "averageValue": "60m"}}},
        {"type": "External", "external": {"metric": {"name": "queue_processes"},
            "target": {"type": "Value", "value": "2k"}}},
    ]}));
    let targets: Vec<_> = policy.metrics.iter().map(|m| (m.name.as_str(), m.target, m.kind)).collect();
    assert_eq!(
        targets,
        [("mqtt_publish_received", 0.06, TargetKind::Node), ("queue_processes", 2_000.0, TargetKind::Total)]
    );
}

#[test]
fn rules_that_name_only_policies_keep_the_window_of_lowering() {
    let policy = policy(&json!({"behavior": {"scaleDown": {
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}}));
    assert_eq!(policy.down.stabilization, Duration::from_mins(10));
    assert_eq!(policy.down.limits.len(), 1);
}

#[rstest]
#[case(json!({"minReplicas": 0}), "spec.minReplicas", "write 1 or more")]
#[case(json!({"minReplicas": 11}), "spec.minReplicas: 11 is larger", "swap")]
#[case(json!({"metrics": []}), "spec.metrics: is empty", "mqtt_publish_received")]
#[case(json!({"wishFrom": "Scale"}), "spec.replicas", "size of today")]
#[case(json!({"wishFrom": "Scale", "replicas": 0}), "spec.replicas", "size of today")]
#[case(json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}), "spec.metrics[0]", "mqtt_publish_received")]
#[case(json!({"metrics": [{"type": "Object", "object": {}}]}), "spec.metrics[0]", "External")]
#[case(json!({"metrics": [{"type": "Pods"}]}), "spec.metrics[0]", "add the field pods")]
#[case(json!({"metrics": [{"type": "Pods", "pods": {"metric": {"name": "x", "selector": {"matchLabels": {"a": "b"}}},
    "target": {"type": "AverageValue", "averageValue": "1"}}}]}), "spec.metrics[0]: metric.selector", "leave it out")]
#[case(pods("vm_memory_total", "1"), "spec.metrics[0]", "active_mqtt_connections")]
#[case(pods("x", "0"), "spec.metrics[0].target.averageValue: is 0", "60m")]
#[case(pods("x", "sixty"), "spec.metrics[0].target.averageValue: `sixty`", "60m")]
#[case(json!({"panic": {"ratio": "1"}}), "spec.panic.ratio", "twice")]
#[case(json!({"churn": [{"leaves": 1, "per": "0s"}]}), "spec.churn.per", "168h")]
#[case(json!({"churn": [{"leaves": 1, "per": "200h"}]}), "spec.churn.per", "168h")]
#[case(json!({"behavior": {"scaleUp": {"tolerance": "1"}}}), "spec.behavior.scaleUp.tolerance", "100m")]
fn a_bad_spec_is_refused_with_place_and_remedy(
    #[case] fields: serde_json::Value,
    #[case] place: &str,
    #[case] remedy: &str,
) {
    let text = refused(&fields);
    assert!(text.starts_with(place) && text.contains(remedy), "{text}");
}
