//! The status of our resource: replaced whole, guarded by the version that was
//! read, so that two writers never mix their words.

use kube::api::{Api, PostParams};

use super::deadline::{Failure, api};
use crate::crd::{VerneMQAutoscaler, VerneMQAutoscalerStatus};

/// Writes `status` onto the resource as it was read. A conflict is no fault:
/// the next look writes again.
pub async fn write(
    resources: &Api<VerneMQAutoscaler>,
    read: &VerneMQAutoscaler,
    status: VerneMQAutoscalerStatus,
) -> Result<VerneMQAutoscaler, Failure> {
    let mut object = read.clone();
    object.status = Some(status);
    let name = read.metadata.name.as_deref().unwrap_or_default();
    api("replace status", resources.replace_status(name, &PostParams::default(), &object)).await
}
