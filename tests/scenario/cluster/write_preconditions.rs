//! How the controller may write and call (I9): whatever it writes names what it must find there, and
//! before each call to a broker it writes the intent anew.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use simulator::kubernetes::{Kubernetes, Verb, Write};

use super::{NAME, NAMESPACE};

/// Each call to a broker, and the steps that it belongs to. A pod that was made in the leaver's place may have
/// joined while it ends: it is asked to leave again.
const CALLS: [(&str, &[&str]); 5] = [
    ("Suspend", &["Suspend"]),
    ("DrainBatch", &["Drain"]),
    ("Leave", &["Leave", "PodGone"]),
    ("Reopen", &["Cancel"]),
    ("RoutingProbe", &["RoutingProbe"]),
];

const RECORD: &str = "/metadata/annotations/vernescale.dev~1intent";

#[derive(Default)]
struct Seen {
    /// The record at the last call. No two writes are the same, for each is counted in it; somebody who restores
    /// one by hand begins to count anew.
    written: Option<String>,
    broken: Option<String>,
}

/// Looks at the record whenever something is done.
#[derive(Clone, Default)]
pub(super) struct Records(Arc<Mutex<Seen>>);

impl Records {
    /// `identity` has just done this.
    pub(super) fn done(&self, kubernetes: &Kubernetes, identity: &str, name: &str) {
        let Some((_, steps)) = CALLS.iter().find(|(call, _)| *call == name) else { return };
        let set = kubernetes.object("statefulsets", NAMESPACE, NAME);
        let written = set.as_ref().and_then(|set| set.pointer(RECORD)?.as_str()).unwrap_or_default();
        let record: Value = serde_json::from_str(written).unwrap_or_default();
        let mut seen = self.0.lock().expect("not poisoned");
        let anew = seen.written.as_deref() != Some(written);
        let step = record["step"].as_str().unwrap_or_default();
        if !anew || record["writer"] != identity || !steps.contains(&step) {
            seen.broken.get_or_insert(format!(
                "{identity} calls a broker ({name}) without a record of that, written for this call: {record}"
            ));
        }
        seen.written = Some(written.to_owned());
    }

    /// What was broken, if anything.
    pub(super) fn broken(&self) -> Option<String> {
        self.0.lock().expect("not poisoned").broken.clone()
    }
}

/// Writes of these clients that would hit whatever stands there.
pub(super) fn unguarded(log: &[Write], clients: &[String]) -> Vec<String> {
    let ours = log.iter().filter(|write| clients.contains(&write.client));
    ours.filter(|write| !guarded(write)).map(|write| format!("{write:?}")).collect()
}

fn guarded(write: &Write) -> bool {
    let tests = |path: &str| {
        let operations = write.body.as_array().into_iter().flatten();
        operations.clone().any(|one| one["op"] == "test" && one["path"] == path)
    };
    let states = |path: &str| write.body.pointer(path).is_some_and(Value::is_string);
    match (write.resource.as_str(), write.verb) {
        ("statefulsets/scale", _) => tests("/metadata/uid") && tests("/spec/replicas"),
        ("statefulsets", Verb::Patch) => {
            let text = |one: &&Value| one["op"] == "replace" || one["op"] == "remove";
            let changed = write.body.as_array().into_iter().flatten().find(text);
            let found = changed.and_then(|one| one["path"].as_str()).is_some_and(tests);
            tests("/metadata/uid")
                && (found || tests("/metadata/annotations") || tests("/metadata/resourceVersion"))
        }
        ("pods", Verb::Patch) => tests("/metadata/uid"),
        ("pods" | "persistentvolumeclaims", Verb::Delete) => states("/preconditions/uid"),
        ("leases", Verb::Update) | ("vernemqautoscalers", Verb::Patch) => states("/metadata/resourceVersion"),
        _ => true,
    }
}
