use rstest::rstest;
use serde_json::{Value, json};

use autoscaler::decide::Mode;

use super::*;

const CHECKED_IN: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/charts/vernescale/crds/vernemqautoscalers.yaml");

fn at(path: &str) -> Value {
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties";
    definition().unwrap().pointer(&format!("{schema}{path}")).unwrap_or_else(|| panic!("no {path}")).clone()
}

fn rules(path: &str) -> Vec<(String, String)> {
    let field = |rule: &Value, name: &str| rule[name].as_str().unwrap_or_default().to_owned();
    let validations = at(&format!("{path}/x-kubernetes-validations"));
    validations.as_array().unwrap().iter().map(|r| (field(r, "rule"), field(r, "message"))).collect()
}

#[test]
fn the_chart_holds_what_the_program_prints() {
    let checked_in = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
    assert!(checked_in == yaml().unwrap(), "run: cargo run -- crd > {CHECKED_IN}");
}

#[test]
fn the_yaml_is_the_definition() {
    let read: Value = serde_saphyr::from_str(&yaml().unwrap()).unwrap();
    assert_eq!(read, definition().unwrap());
}

#[rstest]
#[case("/spec", "self.minReplicas <= self.maxReplicas", "minReplicas")]
#[case("/spec/properties/targetRef", "self == oldSelf", "delete this resource")]
#[case("/spec", "self.wishFrom != 'Metrics' || size(self.metrics) > 0", "mqtt_publish_received")]
#[case("/spec", "self.wishFrom != 'Scale' || self.replicas > 0", "size of today")]
#[case("/spec", "self.wishFrom != 'Metrics' || self.replicas == 0", "set wishFrom to Scale")]
#[case(
    "/spec/properties/metrics/items",
    "self.type != 'Resource' && self.type != 'ContainerResource'",
    "mqtt_publish_received"
)]
#[case(
    "/spec/properties/metrics/items",
    "self.type != 'Object'",
    "External with the metric mqtt_publish_received"
)]
#[case(
    "/spec/properties/metrics/items/properties/pods/properties/metric",
    "!has(self.selector)",
    "Leave it out"
)]
fn the_api_server_refuses_and_says_the_remedy(#[case] path: &str, #[case] rule: &str, #[case] remedy: &str) {
    let all = rules(path);
    let found = all.iter().find(|(have, _)| have == rule).unwrap_or_else(|| panic!("{rule} not in {all:?}"));
    assert!(found.1.contains(remedy), "{}", found.1);
}

#[test]
fn no_rule_is_without_a_message() {
    fn walk(value: &Value, seen: &mut usize) {
        if let Some(rules) = value["x-kubernetes-validations"].as_array() {
            for rule in rules {
                *seen += 1;
                assert!(rule["message"].as_str().is_some_and(|m| m.len() > 20), "{rule}");
            }
        }
        match value {
            Value::Object(map) => map.values().for_each(|v| walk(v, seen)),
            Value::Array(items) => items.iter().for_each(|v| walk(v, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    walk(&definition().unwrap(), &mut seen);
    assert_eq!(seen, 14, "a rule came or went: is it tested?");
}

/// Every list and text that a rule runs over is bounded, else the API server
/// refuses the definition for the rule's estimated cost.
#[test]
fn lists_of_the_spec_are_bounded() {
    for list in ["metrics", "churn", "behavior/properties/scaleUp/properties/policies"] {
        assert!(at(&format!("/spec/properties/{list}"))["maxItems"].is_u64(), "{list}");
    }
}

#[rstest]
#[case("/spec/properties/mode", json!("Shadow"))]
#[case("/spec/properties/minReplicas", json!(2))]
#[case("/spec/properties/wishFrom", json!("Metrics"))]
#[case("/spec/properties/window", json!("1m"))]
#[case("/spec/properties/settle", json!("30s"))]
#[case("/spec/properties/panic", json!({"ratio": "2", "minSamples": 3, "hold": "5m"}))]
#[case("/spec/properties/churn", json!([{"leaves": 1, "per": "30m"}, {"leaves": 4, "per": "24h"}]))]
#[case("/spec/properties/drain", json!({"percentPerSecond": 1, "maxPerSecond": 500, "batch": 10, "budget": "15m"}))]
#[case("/spec/properties/behavior/properties/scaleUp/properties/tolerance", json!("100m"))]
#[case("/spec/properties/behavior/properties/scaleDown/default/stabilizationWindowSeconds", Value::Null)]
#[case("/spec/properties/fenceWait", json!("1s500ms"))]
#[case("/spec/properties/deadAfter", json!("10m"))]
fn the_schema_states_the_defaults(#[case] path: &str, #[case] default: Value) {
    if default.is_null() {
        assert_eq!(at(path), json!(600));
    } else {
        assert_eq!(at(path)["default"], default);
    }
}

#[test]
fn zero_nodes_are_refused_everywhere() {
    for field in ["minReplicas", "maxReplicas"] {
        assert_eq!(at(&format!("/spec/properties/{field}"))["minimum"], json!(1), "{field}");
    }
    // No wish, and then there must be none: see the rules.
    assert_eq!(at("/spec/properties/replicas")["default"], json!(0));
}

/// What passes the API server and not our types would make the whole object unreadable.
#[test]
fn no_integer_is_larger_than_its_type() {
    fn walk(value: &Value, path: &str, seen: &mut usize) {
        let number = value["type"] == "integer" && value.get("jsonPath").is_none();
        if number && value["format"] != "int64" {
            *seen += 1;
            assert!(value["maximum"].is_u64() && value["minimum"].is_u64(), "{path}: {value}");
        }
        if value.get("pattern").is_some() && value["x-kubernetes-preserve-unknown-fields"] == true {
            assert_eq!((&value["minimum"], &value["maximum"]), (&json!(0), &json!(10_u64.pow(18))), "{path}");
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, v)| walk(v, &format!("{path}.{key}"), seen)),
            Value::Array(items) => items.iter().for_each(|v| walk(v, path, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    walk(&definition().unwrap(), "", &mut seen);
    assert!(seen > 15, "only {seen} integers");
    assert_eq!(at("/spec/properties/leave/properties/maxOnlineAtKill")["maximum"], json!(u32::MAX));
}

/// As an HPA's block is pasted: numbers as they are, and each target with the value of its type.
#[test]
fn a_target_takes_what_hpa_takes() {
    for (path, field) in [("pods", "averageValue"), ("external", "averageValue"), ("external", "value")] {
        let target = at(&format!("/spec/properties/metrics/items/properties/{path}/properties/target"));
        let value = &target["properties"][field];
        assert!(value.get("type").is_none() && value["exclusiveMinimum"] == true, "{path}: {value}");
        assert!(
            value["pattern"].as_str().is_some_and(|pattern| pattern.contains("[1-9]")),
            "{path}: {value}"
        );
        assert_eq!(target["anyOf"].as_array().map(Vec::len), Some(2), "{path}: {target}");
    }
    let tolerance = at("/spec/properties/behavior/properties/scaleUp/properties/tolerance");
    assert_eq!(tolerance["exclusiveMinimum"], false, "0 is a tolerance");
    let pasted = json!({
        "targetRef": {"name": "vmq"}, "maxReplicas": 3, "behavior": {"scaleDown": {"tolerance": 0.05}},
        "metrics": [
            {"type": "Pods", "pods": {"metric": {"name": "a"}, "target": {"type": "AverageValue", "averageValue": 0.85}}},
            {"type": "Pods", "pods": {"metric": {"name": "b"}, "target": {"type": "AverageValue", "averageValue": 100.5}}},
            {"type": "External", "external": {"metric": {"name": "c"}, "target": {"type": "Value", "value": "+5"}}},
        ],
    });
    let spec: VerneMQAutoscalerSpec = serde_json::from_value(pasted).unwrap();
    let policy = autoscaler::decide::Policy::try_from(&spec).unwrap();
    let targets: Vec<f64> = policy.metrics.iter().map(|metric| metric.target).collect();
    assert_eq!(targets, [0.85, 100.5, 5.0]);
    assert!((policy.down.tolerance - 0.05).abs() < 1e-12);
}

#[test]
fn what_a_later_version_has_remembered_is_unread() {
    let status = json!({
        "wanted": 3, "conditions": [],
        "intent": { "step": "Teleport" }, "history": { "leaves": "none" },
    });
    let read: VerneMQAutoscalerStatus = serde_json::from_value(status).unwrap();
    assert_eq!((read.wanted, read.intent, read.history), (Some(3), None, None));
}

#[test]
fn scale_and_columns_are_where_hpa_and_kubectl_look() {
    let version = definition().unwrap().pointer("/spec/versions/0").unwrap().clone();
    assert_eq!(
        version["subresources"],
        json!({"status": {}, "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }})
    );
    let columns = version["additionalPrinterColumns"].as_array().unwrap().clone();
    let names: Vec<_> = columns.iter().map(|c| c["name"].as_str().unwrap().to_lowercase()).collect();
    assert_eq!(names, ["target", "min", "max", "replicas", "wanted", "step", "mode", "age"]);
}

#[test]
fn the_resource_that_readme_shows_is_one() {
    let readme = include_str!("../../README.md");
    let yaml = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: VerneMQAutoscaler = serde_saphyr::from_str(yaml).unwrap();
    assert!(
        matches!(autoscaler::decide::Policy::try_from(&shown.spec), Ok(policy) if policy.metrics.len() == 1)
    );
}

#[test]
fn a_short_object_reads_with_all_defaults_and_back() {
    let spec: VerneMQAutoscalerSpec = serde_json::from_value(json!({
        "targetRef": {"name": "vmq"},
        "maxReplicas": 10,
        "metrics": [{"type": "Pods", "pods": {
            "metric": {"name": "mqtt_publish_received"},
            "target": {"type": "AverageValue", "averageValue": "60m"},
        }}],
    }))
    .unwrap();
    assert_eq!((spec.min_replicas, spec.mode, spec.wish_from), (2, Mode::Shadow, WishFrom::Metrics));
    assert_eq!(spec.behavior.scale_down.stabilization_window_seconds, Some(600));
    let again: VerneMQAutoscalerSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
    assert_eq!(again, spec);
}

#[test]
fn an_empty_status_is_an_empty_object_but_for_conditions() {
    let status = serde_json::to_value(VerneMQAutoscalerStatus::default()).unwrap();
    assert_eq!(status, json!({"conditions": []}));
}
