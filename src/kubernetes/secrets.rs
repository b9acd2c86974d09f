//! What the Secrets that a spec names hold, or what is wrong with them.

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;

use crate::kubernetes::call::{Failure, api};

/// Why nothing was read from a Secret.
pub(super) enum Wrong {
    /// It was seen that there is nothing to use.
    Answer(String),
    /// The call failed; of which key of which Secret.
    Failed(String, Failure),
}

/// The Secrets of a namespace.
pub(super) struct Secrets<'a> {
    pub(super) api: Api<Secret>,
    pub(super) namespace: &'a str,
}

impl Secrets<'_> {
    /// One key of a Secret, or what is wrong with it.
    pub(super) async fn bytes(&self, name: &str, key: &str) -> Result<Vec<u8>, Wrong> {
        let place = self.place(name, key);
        let secret = match api("get secret", self.api.get_opt(name)).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(Wrong::Answer(format!("{place}: the Secret does not exist"))),
            Err(failure) => return Err(Wrong::Failed(place, failure)),
        };
        let bytes = secret.data.and_then(|mut data| data.remove(key));
        bytes
            .map(|bytes| bytes.0)
            .ok_or_else(|| Wrong::Answer(format!("{place}: the Secret has no such key")))
    }

    /// As text.
    pub(super) async fn text(&self, name: &str, key: &str) -> Result<String, Wrong> {
        match String::from_utf8(self.bytes(name, key).await?) {
            Ok(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(Wrong::Answer(format!("{} is empty or not text", self.place(name, key)))),
        }
    }

    fn place(&self, name: &str, key: &str) -> String {
        format!("key `{key}` of Secret {}/{name}", self.namespace)
    }
}
