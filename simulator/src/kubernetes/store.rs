//! The objects, their versions and the history that watches are served from.
//! No I/O: the verbs of the API and the controllers both work on it, under one lock.

mod delete;
mod history;

use std::{collections::BTreeMap, sync::Arc};

use lifecycle::Time;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::history::History;
pub(super) use self::{
    delete::{Deletion, Propagation},
    history::{Change, ChangeKind},
};
use super::{
    object::{self, map, text},
    refusal::Refusal,
    resource::{self, Resource},
};
use net::Clock;

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Id of its resource.
    pub(super) resource: &'static str,
    /// Empty for a kind without namespaces.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: &Resource, namespace: &str, name: &str) -> Self {
        let namespace = if resource.namespaced { namespace } else { "" };
        Self { resource: resource_id(resource), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of an object of a kind that is served.
    pub(super) fn of(object: &Value) -> Option<Self> {
        Some(Self::new(resource::of(object)?, object::namespace(object), object::name(object)))
    }

    pub(super) fn kind(&self) -> &'static Resource {
        resource::by_id(self.resource).expect("keys are made of resources that exist")
    }
}

fn resource_id(resource: &Resource) -> &'static str {
    resource.id
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status, as the main path.
    Spec,
    /// The status alone, as the `status` subresource; of built-in kinds labels and annotations too.
    Status,
    /// Everything: the controllers of this simulator.
    All,
}

/// All objects. Versions are one counter for everything, as in etcd.
pub(super) struct Store {
    clock: Clock,
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    uids: u64,
    history: History,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            objects: BTreeMap::new(),
            revision: 1,
            uids: 0,
            history: History::default(),
            changed: watch::channel(1).0,
        }
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The version of the latest write.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Forgets what watches could resume from, as etcd's compaction.
    pub(super) fn forget(&mut self) {
        self.history.forget(self.revision);
    }

    /// Told the revision after every write.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// By resource id; shorthand of the controllers.
    pub(super) fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.get(&Key::new(resource::by_id(resource)?, namespace, name))
    }

    /// Every object of a resource, by namespace and name; of one namespace where one is given.
    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        list_of(&self.objects, resource, namespace)
    }

    /// The objects as they were at `revision`, or as far back as is remembered.
    pub(super) fn list_at(&self, revision: u64, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        list_of(&self.history.rewind(self.objects.clone(), revision), resource, namespace)
    }

    /// Creates an object; fills in what a server fills in.
    pub(super) fn create(&mut self, mut object: Value) -> Result<Arc<Value>, Refusal> {
        let key = Key::of(&object).ok_or_else(|| Refusal::bad_request("no such kind of object"))?;
        if self.objects.contains_key(&key) {
            return Err(Refusal::already_exists(key.kind(), &key.name));
        }
        self.uids += 1;
        // Counted, not drawn: a run can be repeated with the same uids.
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.uids);
        let now = object::rfc3339(self.now());
        let metadata = map(&mut object, "metadata");
        metadata.insert("uid".into(), json!(uid));
        metadata.insert("creationTimestamp".into(), json!(now));
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
            metadata.remove(field);
        }
        if key.kind().generation {
            metadata.insert("generation".into(), json!(1));
        }
        Ok(self.put(key, object))
    }

    /// Replaces an object as far as `part` allows. A version in the object's
    /// metadata must be the present one. Nothing is written where nothing changes.
    pub(super) fn replace(
        &mut self,
        key: &Key,
        mut object: Value,
        part: Part,
    ) -> Result<Arc<Value>, Refusal> {
        let old = self.get(key).ok_or_else(|| Refusal::not_found(key.kind(), &key.name))?;
        let version = text(&object, "/metadata/resourceVersion");
        if !version.is_empty() && version != text(&old, "/metadata/resourceVersion") {
            return Err(Refusal::stale(key.kind(), &key.name));
        }
        confine(key.kind(), &old, &mut object, part);
        if object == *old {
            return Ok(old);
        }
        if key.kind().generation && spec_of(&object) != spec_of(&old) {
            let generation = object::number(&old, "/metadata/generation").unwrap_or(0) + 1;
            map(&mut object, "metadata").insert("generation".into(), json!(generation));
        }
        Ok(self.put_or_finish(key, object))
    }

    /// Changes an object in place, for the controllers. False where it is gone.
    pub(super) fn change(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) -> bool {
        let Some(old) = self.get(key) else { return false };
        let mut object = Value::clone(&old);
        edit(&mut object);
        self.replace(key, object, Part::All).is_ok()
    }

    /// Writes a new version.
    fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        map(&mut object, "metadata").insert("resourceVersion".into(), json!(self.revision.to_string()));
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        let kind = if before.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.history.push(Change { revision: self.revision, key, kind, object: object.clone(), before });
        self.changed.send_replace(self.revision);
        object
    }
}

/// Keeps of `object` what `part` may change, and of `old` all the rest.
fn confine(kind: &Resource, old: &Value, object: &mut Value, part: Part) {
    let take = |object: &mut Value, field: &str| match old.get(field) {
        Some(value) => object[field] = value.clone(),
        None => {
            object.as_object_mut().map(|fields| fields.remove(field));
        }
    };
    match part {
        Part::Spec if kind.status => take(object, "status"),
        Part::Status => {
            let status = object.get("status").cloned();
            let metadata = object.get("metadata").cloned().unwrap_or_default();
            *object = old.clone();
            match status {
                Some(status) => object["status"] = status,
                None => drop(object.as_object_mut().map(|fields| fields.remove("status"))),
            }
            for field in ["labels", "annotations"].into_iter().filter(|_| !kind.custom()) {
                if let Some(value) = metadata.get(field) {
                    object["metadata"][field] = value.clone();
                }
            }
        }
        Part::Spec | Part::All => {}
    }
    let mut kept = vec!["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"];
    if part != Part::All {
        kept.extend(["deletionTimestamp", "deletionGracePeriodSeconds"]);
    }
    let metadata = map(object, "metadata");
    for field in kept {
        match old["metadata"].get(field) {
            Some(value) => drop(metadata.insert(field.into(), value.clone())),
            None => drop(metadata.remove(field)),
        }
    }
    object["apiVersion"] = old["apiVersion"].clone();
    object["kind"] = old["kind"].clone();
}

/// What counts for the generation: everything but metadata and status.
fn spec_of(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(field, _)| *field != "metadata" && *field != "status").collect()
}

fn list_of(objects: &BTreeMap<Key, Arc<Value>>, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
    let wanted = |key: &Key| key.resource == resource && namespace.is_none_or(|ns| ns == key.namespace);
    objects.iter().filter(|(key, _)| wanted(key)).map(|(_, object)| object.clone()).collect()
}

#[cfg(test)]
mod tests;
