//! What kinds there are, for clients that ask (`kubectl`, `kube::discovery`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::resource::{self, Resource};

/// The document at a discovery path, if it is one.
pub(super) fn document(path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": "35", "gitVersion": "v1.35.4", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "simulator",
        })),
        ["readyz" | "livez" | "healthz"] => Some(json!("ok")),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"],
                               "serverAddressByClientCIDRs": []})),
        ["api", "v1"] => Some(resources("", "v1")),
        ["apis"] => Some(groups()),
        ["apis", group, version]
            if resource::all().iter().any(|r| r.group == *group && r.version == *version) =>
        {
            Some(resources(group, version))
        }
        _ => None,
    }
}

fn groups() -> Value {
    let named: BTreeSet<(&str, &str)> =
        resource::all().iter().filter(|r| !r.group.is_empty()).map(|r| (r.group, r.version)).collect();
    let groups: Vec<Value> = named
        .into_iter()
        .map(|(group, version)| {
            let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            json!({"name": group, "versions": [version], "preferredVersion": version})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn resources(group: &str, version: &str) -> Value {
    let here: Vec<&Resource> =
        resource::all().iter().filter(|r| r.group == group && r.version == version).collect();
    let mut entries = Vec::new();
    for r in &here {
        entries.push(json!({
            "name": r.plural, "singularName": r.kind.to_lowercase(), "namespaced": r.namespaced,
            "kind": r.kind, "shortNames": r.short,
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        }));
        let entry = |sub: &str, kind: &str, verbs: &[&str]| {
            json!({"name": format!("{}/{sub}", r.plural), "singularName": "",
                   "namespaced": r.namespaced, "kind": kind, "verbs": verbs})
        };
        if r.status {
            entries.push(entry("status", r.kind, &["get", "patch", "update"]));
        }
        if r.scale {
            let mut scale = entry("scale", "Scale", &["get", "patch", "update"]);
            scale["group"] = json!("autoscaling");
            scale["version"] = json!("v1");
            entries.push(scale);
        }
        if r.id == "pods" {
            entries.push(entry("exec", "PodExecOptions", &["create", "get"]));
        }
    }
    let group_version = here.first().map(|r| r.api_version()).unwrap_or_default();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
           "resources": entries})
}
