//! The source of a crate, and which of its files name which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemUse, UseTree, Visibility};

/// A module by its path from the root of the crate; each is a file.
pub(crate) type Module = Vec<String>;

/// A crate: each file names these others, and by which path.
pub(crate) type Edges = BTreeMap<Module, BTreeMap<Module, String>>;

/// A `use`, or a path in the code.
struct Named {
    path: Vec<String>,
    /// Only passed on: `pub use`.
    passed_on: bool,
}

/// Reads every file of `src`, tests apart, and says which file names which.
pub(crate) fn edges(src: &Path) -> Edges {
    let mut named = BTreeMap::new();
    for path in sources(src) {
        let text = std::fs::read_to_string(&path).unwrap();
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        named.insert(module(src, &path), collect(&file));
    }
    let crate_ = Crate { named };
    let of = |(module, all): (&Module, &Vec<Named>)| {
        let used = all.iter().filter(|one| !one.passed_on);
        let found = used.filter_map(|one| Some((crate_.resolve(module, &one.path, 0)?, one.path.join("::"))));
        (module.clone(), found.filter(|(other, _)| other != module).collect())
    };
    crate_.named.iter().map(of).collect()
}

/// The files of a folder that are not tests of others.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| {
        let test =
            ["tests.rs", "fixture.rs", "properties.rs", "main.rs"].iter().any(|end| path.ends_with(end));
        path.extension().is_some_and(|extension| extension == "rs") && !test
    };
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(is_source)
        .collect()
}

fn module(src: &Path, path: &Path) -> Module {
    let inside = path.strip_prefix(src).unwrap().with_extension("");
    let parts: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts == ["lib"] { Vec::new() } else { parts }
}

struct Crate {
    named: BTreeMap<Module, Vec<Named>>,
}

impl Crate {
    /// The file in which a path of `module` ends, through what others pass on; none outside of the crate.
    fn resolve(&self, module: &Module, path: &[String], depth: usize) -> Option<Module> {
        let full = self.absolute(module, path)?;
        let inside = (0..=full.len()).rev().find(|length| self.named.contains_key(&full[..*length]))?;
        let (file, rest) = (full[..inside].to_vec(), &full[inside..]);
        let next = rest.first().filter(|_| depth < 8).and_then(|name| {
            let passed = self.named[&file].iter().find(|one| one.passed_on && one.path.last() == Some(name));
            passed.and_then(|one| self.resolve(&file, &one.path, depth + 1))
        });
        next.or(Some(file))
    }

    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let mut full = module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (full, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    full.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                full.push(child.to_owned());
                if !self.named.contains_key(&full) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        full.extend(rest.iter().cloned());
        Some(full)
    }
}

fn collect(file: &File) -> Vec<Named> {
    let mut collector = Collector::default();
    collector.visit_file(file);
    collector.0
}

#[derive(Default)]
struct Collector(Vec<Named>);

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Use(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            _ => &[],
        };
        if !for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut all = Vec::new();
        flatten(&item.tree, Vec::new(), &mut all);
        let passed_on = !matches!(item.vis, Visibility::Inherited);
        self.0.extend(all.into_iter().map(|path| Named { path, passed_on }));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.0.push(Named { path: parts, passed_on: false });
        }
        visit::visit_path(self, path);
    }
}

fn for_tests(attributes: &[Attribute]) -> bool {
    let is = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(is)
}

fn flatten(tree: &UseTree, mut path: Vec<String>, all: &mut Vec<Vec<String>>) {
    match tree {
        UseTree::Path(one) => {
            path.push(one.ident.to_string());
            flatten(&one.tree, path, all);
        }
        UseTree::Name(one) if one.ident == "self" => all.push(path),
        UseTree::Name(one) => {
            path.push(one.ident.to_string());
            all.push(path);
        }
        UseTree::Rename(one) => {
            path.push(one.ident.to_string());
            all.push(path);
        }
        UseTree::Glob(_) => all.push(path),
        UseTree::Group(group) => group.items.iter().for_each(|one| flatten(one, path.clone(), all)),
    }
}

/// Groups of files that name one another, directly or through others.
pub(crate) fn cycles(edges: &Edges) -> Vec<BTreeSet<Module>> {
    let reach = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(one) = open.pop() {
            for next in edges.get(&one).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> = edges.keys().map(|one| (one, reach(one))).collect();
    let mut groups = BTreeSet::new();
    for (one, others) in &reached {
        if others.contains(*one) {
            let both =
                others.iter().filter(|other| reached.get(other).is_some_and(|back| back.contains(*one)));
            groups.insert(both.cloned().collect::<BTreeSet<_>>());
        }
    }
    groups.into_iter().collect()
}
