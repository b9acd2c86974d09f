//! The files of this repository, without what a build or a tool has put there.

use std::fs::read_dir;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap()
}

/// A path for people: from the root on.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// What stands in a folder, in order.
pub(crate) fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// All files below a folder whose names end with `.extension`; not those in `target` and in hidden folders.
pub(crate) fn below(folder: &Path, extension: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in listed(&folder) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if entry.is_symlink() || name.starts_with('.') || name == "target" {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|its| its == extension) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found.into_iter()
}
