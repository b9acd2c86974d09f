//! Between the crates of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate may use of the others; of nobody else in the workspace. With the demo the product uses the last two.
const ALLOWED: &[(&str, &[&str])] = &[
    ("lifecycle", &[]),
    ("autoscaler", &["lifecycle"]),
    ("net", &["lifecycle"]),
    ("simulator", &["lifecycle", "net"]),
    ("loadgen", &["net"]),
    ("vernescale", &["autoscaler", "lifecycle", "net", "simulator", "loadgen"]),
];

/// What a pure crate may use from outside: values, their texts and their errors.
const PURE: &[(&str, &[&str])] =
    &[("lifecycle", &["serde"]), ("autoscaler", &["schemars", "serde", "thiserror"])];

/// Dependencies of each crate of the workspace, less those of its tests: name, and whether it can be switched off.
fn dependencies() -> BTreeMap<String, BTreeMap<String, bool>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let used = all.filter(|one| one["kind"] != "dev");
        used.map(|one| (text(&one["name"]), one["optional"] == true)).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (text(&package["name"]), of(package))).collect()
}

#[test]
fn a_crate_uses_those_below_it_only() {
    let found = dependencies();
    let ours: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, listed, "every crate of the workspace has a row");
    for (name, allowed) in ALLOWED {
        for used in found[*name].keys().filter(|used| ours.contains(used.as_str())) {
            assert!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
}

#[test]
fn a_pure_crate_uses_nothing_that_touches_the_world() {
    let found = dependencies();
    for (name, allowed) in PURE {
        let outside = found[*name].keys().filter(|used| !found.contains_key(*used));
        let odd: Vec<_> = outside.filter(|used| !allowed.contains(&used.as_str())).collect();
        assert!(odd.is_empty(), "{name} is pure, and uses {odd:?}");
    }
}

/// An image is built without the demo, and without what only the demo needs.
#[test]
fn the_product_can_do_without_the_simulator() {
    let product = &dependencies()["vernescale"];
    for name in ["simulator", "loadgen"] {
        assert_eq!(product.get(name), Some(&true), "{name} is for the demo only: make it optional");
    }
}
