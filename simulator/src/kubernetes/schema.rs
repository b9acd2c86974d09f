//! The schema of a custom resource, where its definition is installed: prunes
//! what it does not know, fills in defaults, refuses what it forbids. CEL
//! rules are left to a real API server.

use serde_json::{Map, Value};

use super::{
    object::{self, list, text},
    refusal::Refusal,
    resource::Resource,
    store::Store,
};

/// Makes an object conform to the schema of its kind, or refuses it.
pub(super) fn conform(store: &Store, kind: &Resource, object: &mut Value) -> Result<(), Refusal> {
    let Some(definition) = store.find("customresourcedefinitions.apiextensions.k8s.io", "", kind.id) else {
        return Ok(());
    };
    let mut versions = list(&definition, "/spec/versions").iter();
    let version = versions.find(|version| text(version, "/name") == kind.version);
    let Some(schema) = version.and_then(|version| version.pointer("/schema/openAPIV3Schema")) else {
        return Ok(());
    };
    let name = object::name(object).to_owned();
    for part in ["spec", "status"] {
        let Some(schema) = schema.pointer(&format!("/properties/{part}")) else {
            object.as_object_mut().map(|fields| fields.remove(part));
            continue;
        };
        if let Some(value) = object.get_mut(part) {
            fill(schema, value);
            check(schema, value, part).map_err(|(field, why)| Refusal::invalid(kind, &name, &field, &why))?;
        } else if required(&definition, kind, part) {
            return Err(Refusal::invalid(kind, &name, part, "Required value"));
        }
    }
    Ok(())
}

fn required(definition: &Value, kind: &Resource, part: &str) -> bool {
    let versions = list(definition, "/spec/versions").iter();
    let mut version = versions.filter(|version| text(version, "/name") == kind.version);
    version.any(|v| list(v, "/schema/openAPIV3Schema/required").iter().any(|name| name == part))
}

/// Prunes and fills in defaults, from the outside to the inside.
fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => fill_fields(schema, fields),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(schema, item);
                }
            }
        }
        _ => {}
    }
}

fn fill_fields(schema: &Value, fields: &mut Map<String, Value>) {
    if let Some(any) = schema.get("additionalProperties").filter(|any| any.is_object()) {
        for value in fields.values_mut() {
            fill(any, value);
        }
        return;
    }
    let Some(known) = schema.get("properties").and_then(Value::as_object) else { return };
    let keeps = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let nullable =
        |name: &str| known.get(name).is_some_and(|s| s.get("nullable") == Some(&Value::Bool(true)));
    fields.retain(|name, value| (keeps || known.contains_key(name)) && (!value.is_null() || nullable(name)));
    for (name, schema) in known {
        if let Some(default) = schema.get("default") {
            fields.entry(name.clone()).or_insert_with(|| default.clone());
        }
        if let Some(value) = fields.get_mut(name) {
            fill(schema, value);
        }
    }
}

/// The first thing that the schema forbids: the field, and why.
fn check(schema: &Value, value: &Value, path: &str) -> Result<(), (String, String)> {
    let refuse = |why: String| Err((path.to_owned(), why));
    if value.is_null() {
        return Ok(());
    }
    if !typed(schema, value) {
        return refuse(format!("Invalid value: must be of type {}", text(schema, "/type")));
    }
    let choices = list(schema, "/enum");
    if !choices.is_empty() && !choices.contains(value) {
        return refuse(format!("Unsupported value: {value}"));
    }
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let size = match value {
        Value::Number(number) => number.as_f64().map(|n| (n, "minimum", "maximum")),
        Value::String(text) => Some((text.chars().count() as f64, "minLength", "maxLength")),
        Value::Array(items) => Some((items.len() as f64, "minItems", "maxItems")),
        _ => None,
    };
    if let Some((size, least, most)) = size {
        if let Some(least) = limit(least).filter(|least| size < *least) {
            return refuse(format!("Invalid value: should be greater than or equal to {least}"));
        }
        let above = schema.get("exclusiveMinimum") == Some(&Value::Bool(true));
        if let Some(least) = limit(least).filter(|least| above && value.is_number() && size <= *least) {
            return refuse(format!("Invalid value: should be greater than {least}"));
        }
        if let Some(most) = limit(most).filter(|most| size > *most) {
            return refuse(format!("Invalid value: should be less than or equal to {most}"));
        }
    }
    let mut required = list(schema, "/required").iter().filter_map(Value::as_str);
    if let Some(name) = required.find(|name| value.is_object() && value.get(*name).is_none()) {
        return Err((format!("{path}.{name}"), "Required value".to_owned()));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(schema, value, &format!("{path}.{name}"))?;
        }
    }
    for (at, item) in list(value, "").iter().enumerate() {
        if let Some(schema) = schema.get("items") {
            check(schema, item, &format!("{path}[{at}]"))?;
        }
    }
    Ok(())
}

fn typed(schema: &Value, value: &Value) -> bool {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match text(schema, "/type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"type": "object", "required": ["max"], "properties": {
            "max": {"type": "integer", "minimum": 1},
            "mode": {"type": "string", "enum": ["Shadow", "Active"], "default": "Shadow"},
            "drain": {"type": "object", "default": {}, "properties": {
                "seconds": {"type": "integer", "default": 900}}},
            "target": {"x-kubernetes-preserve-unknown-fields": true, "minimum": 0, "exclusiveMinimum": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        }})
    }

    #[test]
    fn defaults_are_filled_in_and_unknown_fields_pruned() {
        let mut value = json!({"max": 3, "typo": 1, "mode": null, "labels": {"a": "b"}});
        fill(&schema(), &mut value);
        let filled = json!({"max": 3, "mode": "Shadow", "drain": {"seconds": 900}, "labels": {"a": "b"}});
        assert_eq!(value, filled);
        assert_eq!(check(&schema(), &value, "spec"), Ok(()));
        assert_eq!(check(&schema(), &json!({"max": 3, "target": 0.85}), "spec"), Ok(()));
    }

    #[test]
    fn what_is_forbidden_is_named_by_its_field() {
        for (value, field) in [
            (json!({}), "spec.max"),
            (json!({"max": 0}), "spec.max"),
            (json!({"max": "3"}), "spec.max"),
            (json!({"max": 3, "target": 0}), "spec.target"),
            (json!({"max": 3, "mode": "active"}), "spec.mode"),
            (json!({"max": 3, "drain": {"seconds": 1.5}}), "spec.drain.seconds"),
        ] {
            assert_eq!(check(&schema(), &value, "spec").unwrap_err().0, field, "{value}");
        }
    }
}
