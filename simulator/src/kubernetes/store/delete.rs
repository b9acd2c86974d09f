//! Deleting: preconditions, grace, finalizers, and what becomes of dependents.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Change, ChangeKind, Key, Store};
use crate::kubernetes::{
    object::{self, list, map, number, text},
    refusal::Refusal,
};

/// What becomes of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// Deleted afterwards.
    #[default]
    Background,
    /// Deleted first; the owner stays until they are gone.
    Foreground,
    /// Kept, without the owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    /// Precondition.
    pub(crate) uid: Option<String>,
    /// Precondition.
    pub(crate) resource_version: Option<String>,
    /// Seconds; the object's own where absent. Only pods have one.
    pub(crate) grace: Option<i64>,
    pub(crate) propagation: Propagation,
}

impl Store {
    /// Marks an object as deleted, or removes it where nothing holds it.
    /// Answers the object, and whether it is gone.
    pub(crate) fn delete(&mut self, key: &Key, how: &Deletion) -> Result<(Arc<Value>, bool), Refusal> {
        let kind = key.kind();
        let old = self.get(key).ok_or_else(|| Refusal::not_found(kind, &key.name))?;
        for (asked, what, pointer) in [
            (&how.uid, "UID", "/metadata/uid"),
            (&how.resource_version, "ResourceVersion", "/metadata/resourceVersion"),
        ] {
            let found = text(&old, pointer);
            if let Some(asked) = asked.as_deref().filter(|asked| *asked != found) {
                return Err(Refusal::precondition(kind, &key.name, what, asked, found));
            }
        }
        if how.propagation == Propagation::Orphan {
            self.orphan(object::uid(&old));
        }
        let mut object = Value::clone(&old);
        if how.propagation == Propagation::Foreground && !object::deleting(&old) {
            let mut finalizers = list(&object, "/metadata/finalizers").to_vec();
            finalizers.push(json!("foregroundDeletion"));
            map(&mut object, "metadata").insert("finalizers".into(), json!(finalizers));
        }
        self.mark(&mut object, grace_of(key, &old, how));
        let last = self.put_or_finish(key, object);
        Ok((last, self.get(key).is_none()))
    }

    /// A namespace stays until nothing is in it.
    fn inhabited(&self, key: &Key) -> bool {
        key.resource == "namespaces" && self.objects.keys().any(|other| other.namespace == key.name)
    }

    /// Sets the deletion mark; a second deletion can only make the grace shorter.
    fn mark(&self, object: &mut Value, grace: i64) {
        if number(object, "/metadata/deletionGracePeriodSeconds").is_some_and(|left| left <= grace) {
            return;
        }
        let due = self.now() + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
        let metadata = map(object, "metadata");
        metadata.insert("deletionTimestamp".into(), json!(object::rfc3339(due)));
        metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
    }

    /// Writes an object, or removes it where it is deleted and nothing holds it.
    pub(super) fn put_or_finish(&mut self, key: &Key, object: Value) -> Arc<Value> {
        let held = !object::deleting(&object)
            || !list(&object, "/metadata/finalizers").is_empty()
            || number(&object, "/metadata/deletionGracePeriodSeconds").is_some_and(|grace| grace > 0)
            || self.inhabited(key);
        if !held {
            return self.remove(key, object);
        }
        if self.get(key).is_some_and(|old| *old == object) {
            return Arc::new(object);
        }
        self.put(key.clone(), object)
    }

    fn remove(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        let before = self.objects.remove(key);
        self.revision += 1;
        map(&mut object, "metadata").insert("resourceVersion".into(), json!(self.revision.to_string()));
        let object = Arc::new(object);
        self.history.push(Change {
            revision: self.revision,
            key: key.clone(),
            kind: ChangeKind::Deleted,
            object: object.clone(),
            before,
        });
        self.changed.send_replace(self.revision);
        object
    }

    /// Takes the owner out of everything that names it.
    fn orphan(&mut self, owner: &str) {
        let dependents: Vec<Key> = self.dependents(owner);
        for key in dependents {
            self.change(&key, |object| {
                if let Some(owners) = map(object, "metadata").get_mut("ownerReferences") {
                    let left: Vec<Value> =
                        list(owners, "").iter().filter(|o| text(o, "/uid") != owner).cloned().collect();
                    *owners = json!(left);
                }
            });
        }
    }

    /// What names `owner` among its owners.
    pub(crate) fn dependents(&self, owner: &str) -> Vec<Key> {
        let names_it = |object: &Value| {
            list(object, "/metadata/ownerReferences").iter().any(|o| text(o, "/uid") == owner)
        };
        self.objects.iter().filter(|(_, object)| names_it(object)).map(|(key, _)| key.clone()).collect()
    }

    /// Every object with an owner, for the garbage collector.
    pub(crate) fn owned(&self) -> Vec<(Key, Arc<Value>)> {
        let owned = |object: &Value| !list(object, "/metadata/ownerReferences").is_empty();
        let all = self.objects.iter().filter(|(_, object)| owned(object));
        all.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Every object of a namespace.
    pub(crate) fn within(&self, namespace: &str) -> Vec<(Key, Arc<Value>)> {
        let all = self.objects.iter().filter(|(key, _)| key.namespace == namespace);
        all.map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Whether some object has this uid.
    pub(crate) fn uid_exists(&self, uid: &str) -> bool {
        self.objects.values().any(|object| object::uid(object) == uid)
    }
}

/// Seconds of grace. Only a pod that a kubelet has taken and that has not ended
/// gets any: the kubelet removes it then.
fn grace_of(key: &Key, object: &Value, how: &Deletion) -> i64 {
    let ended = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if key.resource != "pods" || ended || text(object, "/spec/nodeName").is_empty() {
        return 0;
    }
    let own = number(object, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    how.grace.unwrap_or(own).max(0)
}
