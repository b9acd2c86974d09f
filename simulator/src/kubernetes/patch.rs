//! The four kinds of patch, as far as the kinds here need them.

use serde_json::{Map, Value, json};

use super::{refusal::Refusal, resource::Resource};

/// How a patch is to be read, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply. Field ownership is not kept: what an earlier apply
    /// named and this one does not stays, and nobody conflicts.
    Apply,
}

impl PatchKind {
    /// From `Content-Type`; 415 on anything else, and on a strategic patch of a custom kind.
    pub(super) fn of(resource: &Resource, content_type: &str) -> Result<Self, Refusal> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if !resource.custom() => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            other => Err(Refusal::new(
                415,
                "UnsupportedMediaType",
                format!("the body of the request was in an unknown format - {other}"),
            )),
        }
    }

    /// The patched object.
    pub(super) fn apply(self, object: &Value, body: &[u8]) -> Result<Value, Refusal> {
        let mut patched = object.clone();
        match self {
            Self::Json => {
                let patch: json_patch::Patch = serde_json::from_slice(body)
                    .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
                json_patch::patch(&mut patched, &patch).map_err(|_| Refusal::unprocessable_patch())?;
            }
            Self::Merge => json_patch::merge(&mut patched, &document(body)?),
            Self::Strategic | Self::Apply => merge(&mut patched, document(body)?, ""),
        }
        Ok(patched)
    }
}

/// A patch document: JSON, or YAML of an apply.
pub(super) fn document(body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |error: String| Refusal::bad_request(format!("error decoding patch: {error}"));
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|error| refuse(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| refuse(error.to_string()))
}

/// The key that the elements of a list are told apart by, as the typed API
/// declares them; none where the whole list is replaced.
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers" | "initContainers" | "env" | "volumes" => Some("name"),
        "conditions" => Some("type"),
        "ownerReferences" => Some("uid"),
        "volumeMounts" => Some("mountPath"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

fn merge(target: &mut Value, patch: Value, field: &str) {
    match patch {
        Value::Object(fields) => {
            if fields.get("$patch").and_then(Value::as_str) == Some("replace") {
                *target = Value::Object(fields.into_iter().filter(|(name, _)| name != "$patch").collect());
                return;
            }
            if !target.is_object() {
                *target = json!({});
            }
            if let Value::Object(into) = target {
                merge_fields(into, fields);
            }
        }
        Value::Array(items) => merge_list(target, items, field),
        other => *target = other,
    }
}

fn merge_fields(into: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (name, value) in fields {
        // Directives about order and deletion from plain lists are not needed here.
        if name.starts_with('$') {
            continue;
        }
        if value.is_null() {
            into.remove(&name);
        } else {
            merge(into.entry(name.clone()).or_insert(Value::Null), value, &name);
        }
    }
}

fn merge_list(target: &mut Value, items: Vec<Value>, field: &str) {
    if field == "finalizers" {
        let mut all = target.as_array().cloned().unwrap_or_default();
        all.extend(items.into_iter().filter(|item| !target.as_array().is_some_and(|old| old.contains(item))));
        *target = Value::Array(all);
        return;
    }
    let key = merge_key(field).filter(|key| items.iter().all(|item| item.get(*key).is_some()));
    let (Some(key), Some(old)) = (key, target.as_array()) else {
        *target = Value::Array(items);
        return;
    };
    let mut all = old.clone();
    for item in items {
        let found = all.iter().position(|old| old.get(key) == item.get(key));
        let delete = item.get("$patch").and_then(Value::as_str) == Some("delete");
        match (found, delete) {
            (Some(at), true) => drop(all.remove(at)),
            (Some(at), false) => merge(&mut all[at], item, ""),
            (None, true) => {}
            (None, false) => all.push(item),
        }
    }
    *target = Value::Array(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_test_changes_nothing_and_is_422() {
        let object = json!({"metadata": {"uid": "a"}, "spec": {"replicas": 3}});
        let patch = |replicas: u32| {
            json!([{"op": "test", "path": "/metadata/uid", "value": "a"},
                   {"op": "test", "path": "/spec/replicas", "value": replicas},
                   {"op": "replace", "path": "/spec/replicas", "value": 2}])
            .to_string()
        };
        let done = PatchKind::Json.apply(&object, patch(3).as_bytes()).unwrap();
        assert_eq!(done["spec"]["replicas"], 2);
        let refused = PatchKind::Json.apply(&object, patch(4).as_bytes()).unwrap_err();
        assert_eq!((refused.code, refused.reason), (422, "Invalid"));
    }

    #[test]
    fn strategic_merges_lists_by_their_key_and_merge_replaces_them() {
        let object = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let patch = json!({"containers": [{"name": "a", "image": "2"}]}).to_string();
        let strategic = PatchKind::Strategic.apply(&object, patch.as_bytes()).unwrap();
        assert_eq!(strategic, json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}));
        let merged = PatchKind::Merge.apply(&object, patch.as_bytes()).unwrap();
        assert_eq!(merged, json!({"containers": [{"name": "a", "image": "2"}]}));
    }

    #[test]
    fn null_removes_a_field() {
        let object = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}});
        let patch = br#"{"metadata": {"annotations": {"a": null}}}"#;
        for kind in [PatchKind::Merge, PatchKind::Strategic] {
            let done = kind.apply(&object, patch).unwrap();
            assert_eq!(done, json!({"metadata": {"annotations": {"b": "2"}}}));
        }
    }
}
