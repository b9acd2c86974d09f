//! Label and field selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    object::{label, list, text},
    refusal::Refusal,
    resource::Resource,
};

#[derive(Clone, Debug)]
enum Test {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// What a list or a watch asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Test>,
    /// JSON pointer, wanted value, equal or not.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// From the two query parameters; 400 on what a server would not read.
    pub(super) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Refusal> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(resource, fields)? })
    }

    /// Whether the object is asked for.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|test| test.holds(object))
            && self.fields.iter().all(|(pointer, value, equal)| (text(object, pointer) == value) == *equal)
    }
}

impl Test {
    fn holds(&self, object: &Value) -> bool {
        match self {
            Self::In(key, values) => label(object, key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => !label(object, key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::Exists(key) => label(object, key).is_some(),
            Self::Absent(key) => label(object, key).is_none(),
        }
    }
}

/// `spec.selector` of a Service: plain equality, and an empty one selects nothing.
pub(super) fn map_matches(selector: Option<&Value>, object: &Value) -> bool {
    let Some(selector) = selector.and_then(Value::as_object) else { return false };
    !selector.is_empty() && selector.iter().all(|(key, value)| label(object, key) == value.as_str())
}

/// `metav1.LabelSelector` of a StatefulSet.
pub(super) fn label_selector_matches(selector: &Value, object: &Value) -> bool {
    tests_of(selector).iter().all(|test| test.holds(object))
}

/// A `metav1.LabelSelector` as the text that the `scale` subresource shows.
pub(super) fn label_selector_text(selector: &Value) -> String {
    let parts = tests_of(selector).into_iter().map(|test| match test {
        Test::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
        Test::In(key, values) => format!("{key} in ({})", values.join(",")),
        Test::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
        Test::Exists(key) => key,
        Test::Absent(key) => format!("!{key}"),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn tests_of(selector: &Value) -> Vec<Test> {
    let mut tests = Vec::new();
    let plain: BTreeMap<&String, &Value> =
        selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten().collect();
    for (key, value) in plain {
        tests.push(Test::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
    }
    for expression in list(selector, "/matchExpressions") {
        let key = text(expression, "/key").to_owned();
        let values =
            list(expression, "/values").iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        tests.push(match text(expression, "/operator") {
            "In" => Test::In(key, values),
            "NotIn" => Test::NotIn(key, values),
            "Exists" => Test::Exists(key),
            _ => Test::Absent(key),
        });
    }
    tests
}

/// Splits at commas that are not inside parentheses.
fn parts(selector: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_u32, 0, Vec::new());
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&selector[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn parse_labels(selector: &str) -> Result<Vec<Test>, Refusal> {
    let one = |part: &str| {
        if let Some((key, values)) = part.split_once(" notin ") {
            return Ok(Test::NotIn(key.trim().to_owned(), parse_values(values)?));
        }
        if let Some((key, values)) = part.split_once(" in ") {
            return Ok(Test::In(key.trim().to_owned(), parse_values(values)?));
        }
        if let Some((key, value)) = part.split_once("!=") {
            return Ok(Test::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
        }
        if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            return Ok(Test::In(key.trim().to_owned(), vec![value.trim().to_owned()]));
        }
        Ok(match part.strip_prefix('!') {
            Some(key) => Test::Absent(key.trim().to_owned()),
            None => Test::Exists(part.to_owned()),
        })
    };
    parts(selector).into_iter().map(one).collect()
}

fn parse_values(values: &str) -> Result<Vec<String>, Refusal> {
    let inner = values.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.ok_or_else(|| {
        Refusal::bad_request(format!("unable to parse requirement: found '{values}', expected: '('"))
    })?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

fn parse_fields(resource: &Resource, selector: &str) -> Result<Vec<(String, String, bool)>, Refusal> {
    let one = |part: &str| {
        let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
            (field, value, false)
        } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (field, value, true)
        } else {
            return Err(Refusal::bad_request(format!(
                "invalid selector: '{selector}'; can't understand '{part}'"
            )));
        };
        let known = match field {
            "metadata.name" | "metadata.namespace" => true,
            "spec.nodeName" | "status.phase" | "status.podIP" => resource.id == "pods",
            "type" => resource.kind == "Secret" || resource.kind == "Event",
            _ => resource.kind == "Event",
        };
        if !known {
            return Err(Refusal::bad_request(format!("field label not supported: {field}")));
        }
        Ok((format!("/{}", field.replace('.', "/")), value.to_owned(), equal))
    };
    parts(selector).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::resource, *};

    fn picks(labels: &str, object: &Value) -> bool {
        let pods = resource::by_id("pods").unwrap();
        Selector::parse(pods, labels, "").unwrap().matches(object)
    }

    #[test]
    fn reads_every_form_of_label_selector() {
        let pod = json!({"metadata": {"labels": {"app": "vmq", "tier": "a"}}});
        for yes in ["", "app=vmq", "app==vmq,tier in (a, b)", "tier!=b", "tier notin (x,y)", "app", "!gone"] {
            assert!(picks(yes, &pod), "{yes}");
        }
        for no in ["app=x", "tier in (b,c)", "tier!=a", "app notin (vmq)", "gone", "!app", "app=vmq,tier=b"] {
            assert!(!picks(no, &pod), "{no}");
        }
    }

    #[test]
    fn refuses_field_labels_that_the_kind_does_not_have() {
        let pods = resource::by_id("pods").unwrap();
        let ours = resource::by_id("vernemqautoscalers.vernescale.dev").unwrap();
        assert!(Selector::parse(pods, "", "spec.nodeName=a").is_ok());
        assert_eq!(Selector::parse(ours, "", "spec.nodeName=a").unwrap_err().code, 400);
    }
}
