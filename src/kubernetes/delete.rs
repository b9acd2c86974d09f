//! Deleting exactly one object: by uid, so that a successor of the same name
//! is never hit.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, Preconditions};

use crate::kubernetes::call::{Failure, api};

fn only(uid: &str) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    DeleteParams::default().preconditions(preconditions)
}

/// Deletes exactly this pod, with the grace that its template says. Gone already is fine.
pub async fn pod(pods: &Api<Pod>, name: &str, uid: &str) -> Result<(), Failure> {
    gone_is_fine(api("delete pod", pods.delete(name, &only(uid))).await.map(drop))
}

/// Deletes exactly this claim. Gone already is fine.
pub async fn claim(claims: &Api<PersistentVolumeClaim>, name: &str, uid: &str) -> Result<(), Failure> {
    gone_is_fine(api("delete claim", claims.delete(name, &only(uid))).await.map(drop))
}

fn gone_is_fine(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(Failure::NotFound { .. }) => Ok(()),
        other => other,
    }
}
