//! Between the files of a crate, and between the modules of the product.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::source::{Edges, Module, cycles, edges};

/// Crates whose files must not call back. The simulator's sockets and its model belong together more closely.
const CRATES: &[&str] = &["", "autoscaler", "lifecycle", "loadgen", "net"];

/// Modules of the product that do not name each other, and the one path between them that is needed.
const APART: &[(&str, &str, &str)] = &[
    ("kubernetes", "vernemq", ""),
    // A command in a pod is one of the two ways to reach `vmq-admin`.
    ("vernemq", "kubernetes", "vernemq/admin -> kubernetes/exec, kubernetes/call"),
    ("mqtt", "kubernetes", ""),
    ("mqtt", "vernemq", ""),
    ("exporter", "kubernetes", ""),
    ("exporter", "vernemq", ""),
    ("exporter", "controller", ""),
    ("api", "kubernetes", ""),
    ("conditions", "controller", ""),
];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("src")
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "lib".into() } else { module.join("/") }
}

#[test]
fn no_file_calls_back_the_file_that_calls_it() {
    for name in CRATES {
        let edges = edges(&source(name));
        assert!(edges.len() > 2, "{name}: the source is not read");
        let inside = |group: &BTreeSet<Module>| {
            let pairs =
                group.iter().flat_map(|from| edges[from].iter().map(move |(to, path)| (from, to, path)));
            let within = pairs.filter(|(_, to, _)| group.contains(*to));
            within
                .map(|(from, to, path)| format!("{} -> {} by {path}", shown(from), shown(to)))
                .collect::<Vec<_>>()
        };
        let found: Vec<_> = cycles(&edges).iter().map(inside).collect();
        assert!(found.is_empty(), "files of {name:?} name one another: {found:#?}");
    }
}

/// The graph of the product's modules, each with all of its files.
fn modules(edges: &Edges) -> Edges {
    let top = |module: &Module| module.iter().take(1).cloned().collect::<Module>();
    let mut all: Edges = BTreeMap::new();
    for (from, tos) in edges {
        for (to, path) in tos {
            let (from, to) = (top(from), top(to));
            if from != to && !from.is_empty() && !to.is_empty() {
                all.entry(from).or_default().insert(to, path.clone());
            }
        }
    }
    all
}

#[test]
fn no_module_of_the_product_names_one_that_names_it() {
    let modules = modules(&edges(&source("")));
    assert!(modules.len() > 5, "{modules:?}");
    assert_eq!(cycles(&modules), [], "{modules:?}");
}

#[test]
fn what_is_said_to_one_system_knows_nothing_of_the_other() {
    let edges = edges(&source(""));
    for (from, to, but) in APART {
        for (file, tos) in edges.iter().filter(|(file, _)| file.first().is_some_and(|top| top == from)) {
            for other in tos.keys().filter(|other| other.first().is_some_and(|top| top == to)) {
                let allowed = but.split_once(" -> ").is_some_and(|(of, ends)| {
                    shown(file) == of && ends.split(", ").any(|end| end == shown(other))
                });
                assert!(allowed, "{} must not name {}", shown(file), shown(other));
            }
        }
    }
}
