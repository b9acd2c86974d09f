//! The intent on the StatefulSet: read, and written by compare-and-swap. The
//! annotation is the one truth about a change that is under way; a controller
//! that has lost its lease without knowing loses the swap as well (I9).

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use lifecycle::Intent;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::scale::{operations, pointer};

/// Where the intent is recorded.
pub const INTENT: &str = "vernescale.dev/intent";

/// What is written: the intent, who wrote it, and how often. The count makes
/// every write differ from the one before, so that a swap by an old leader
/// fails even where the intent itself reads the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The intent itself.
    #[serde(flatten)]
    pub intent: Intent,
    /// Identity of the controller that wrote it; empty where a person has restored the intent from the status.
    #[serde(default)]
    pub writer: String,
    /// Grows by one with every write.
    #[serde(default)]
    pub write: u64,
}

/// The annotation as it was read, with the text that the next swap must find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    text: Option<String>,
    record: Option<Record>,
}

/// Somebody else has written the annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the annotation {INTENT} of the StatefulSet cannot be read ({0}): restore it from `status.intent` of the resource, or delete it when no node is leaving"
)]
pub struct Unreadable(String);

impl Held {
    /// Reads the annotation.
    pub fn read(statefulset: &StatefulSet) -> Result<Self, Unreadable> {
        let Some(text) = statefulset.annotations().get(INTENT) else { return Ok(Self::default()) };
        let record = serde_json::from_str(text).map_err(|error| Unreadable(error.to_string()))?;
        Ok(Self { text: Some(text.clone()), record: Some(record) })
    }

    /// The intent, finished or not.
    pub fn intent(&self) -> Option<&Intent> {
        self.record.as_ref().map(|record| &record.intent)
    }

    /// Writes `intent` where this is still what stands there. Returns what stands there now.
    ///
    /// Called before every broker call even if the intent is the same: it proves that nobody
    /// else has taken over.
    pub async fn swap(
        &self,
        statefulsets: &Api<StatefulSet>,
        statefulset: &StatefulSet,
        intent: &Intent,
        writer: &str,
    ) -> Result<Self, Failure> {
        let record = Record {
            intent: intent.clone(),
            writer: writer.to_owned(),
            write: self.record.as_ref().map_or(0, |record| record.write) + 1,
        };
        let text = serde_json::to_string(&record).map_err(|error| Failure::Refused {
            call: "patch intent",
            code: 0,
            why: error.to_string(),
        })?;
        let patch =
            Patch::Json::<()>(operations(&swap_patch(statefulset, INTENT, self.text.as_deref(), &text)));
        let name = statefulset.name_any();
        api("patch intent", statefulsets.patch(&name, &PatchParams::default(), &patch)).await?;
        Ok(Self { text: Some(text), record: Some(record) })
    }
}

/// A JSON patch that puts `new` into an annotation where `old` stands, or where nothing stands: of two
/// that have read the same, one succeeds.
///
/// JSON patch has no test for absence (RFC 6902 §4.6; the API server's library takes a test for `null` as
/// one, others do not), so that what must stand is all annotations as they were read. A resourceVersion
/// would say as much and starve: it moves with every status of every pod. It guards only
/// the first annotation that an object ever gets, where there is nothing to test.
pub(crate) fn swap_patch(object: &StatefulSet, key: &str, old: Option<&str>, new: &str) -> serde_json::Value {
    let path = format!("/metadata/annotations/{}", pointer(key));
    let uid = json!({ "op": "test", "path": "/metadata/uid", "value": object.metadata.uid });
    match (old, &object.metadata.annotations) {
        (Some(old), _) => json!([
            uid,
            { "op": "test", "path": path, "value": old },
            { "op": "replace", "path": path, "value": new },
        ]),
        (None, Some(all)) => json!([
            uid,
            { "op": "test", "path": "/metadata/annotations", "value": all },
            { "op": "add", "path": path, "value": new },
        ]),
        (None, None) => json!([
            uid,
            { "op": "test", "path": "/metadata/resourceVersion", "value": object.metadata.resource_version },
            { "op": "add", "path": "/metadata/annotations", "value": { key: new } },
        ]),
    }
}

#[cfg(test)]
mod tests;
