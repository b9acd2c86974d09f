//! The revisions of a pod template, kept as `ControllerRevision` objects.

use serde_json::{Value, json};

use super::{
    super::{
        object::{self, hash, number, text},
        store::Store,
    },
    pods::owner,
};

/// A template and its name.
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) template: Value,
}

/// The revision that pods had before the latest change of the template, and
/// the one that they are to have. The same where no rollout is under way.
pub(super) struct Revisions {
    pub(super) current: Revision,
    pub(super) update: Revision,
}

const KIND: &str = "controllerrevisions.apps";

/// Records the present template and finds the current one. The same template
/// gets the same name again, so that a change taken back is no rollout.
pub(super) fn ensure(store: &mut Store, set: &Value) -> Revisions {
    let template = set.pointer("/spec/template").cloned().unwrap_or_default();
    let name = format!("{}-{}", object::name(set), hash(&template));
    let namespace = object::namespace(set);
    if store.find(KIND, namespace, &name).is_none() {
        let last = store
            .list(KIND, Some(namespace))
            .iter()
            .filter(|revision| object::controller_uid(revision) == Some(object::uid(set)))
            .filter_map(|revision| number(revision, "/revision"))
            .max();
        let revision = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner(set)]},
            "data": {"spec": {"template": template}}, "revision": last.unwrap_or(0) + 1,
        });
        if let Err(refusal) = store.create(revision) {
            tracing::warn!(message = refusal.message, "a template's revision could not be recorded");
        }
    }
    let current = text(set, "/status/currentRevision");
    let current = store.find(KIND, namespace, current).map(|revision| Revision {
        name: current.to_owned(),
        template: revision.pointer("/data/spec/template").cloned().unwrap_or_default(),
    });
    let update = Revision { name, template };
    let current =
        current.unwrap_or_else(|| Revision { name: update.name.clone(), template: update.template.clone() });
    Revisions { current, update }
}
