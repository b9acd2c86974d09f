//! The latest changes: watches are served from them, and older states rebuilt.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;

use super::Key;

/// Changes that are remembered. A watch that falls further behind is answered
/// 410. At about 3 KiB an object this is 12 MiB, and hours of a small cluster.
const KEPT: usize = 4096;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) kind: ChangeKind,
    /// The new state; of a deleted object its last one, with the revision of the deletion.
    pub(crate) object: Arc<Value>,
    /// The state before.
    pub(crate) before: Option<Arc<Value>>,
}

/// The latest changes, oldest first.
#[derive(Default)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    /// The newest revision that is forgotten.
    forgotten: u64,
}

impl History {
    pub(super) fn push(&mut self, change: Change) {
        self.changes.push_back(change);
        if self.changes.len() > KEPT
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.revision;
        }
    }

    pub(super) fn forget(&mut self, revision: u64) {
        self.changes.retain(|change| change.revision > revision);
        self.forgotten = self.forgotten.max(revision);
    }

    /// The changes after `revision`; none where some of them are forgotten.
    pub(crate) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        let start = self.changes.partition_point(|change| change.revision <= revision);
        (revision >= self.forgotten).then(|| self.changes.range(start..))
    }

    /// The newest revision that is forgotten.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Undoes the changes after `revision`.
    pub(super) fn rewind(
        &self,
        mut objects: BTreeMap<Key, Arc<Value>>,
        revision: u64,
    ) -> BTreeMap<Key, Arc<Value>> {
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            match &change.before {
                Some(before) => drop(objects.insert(change.key.clone(), before.clone())),
                None => drop(objects.remove(&change.key)),
            }
        }
        objects
    }
}
