//! A write to the StatefulSet for no other end than that its controller looks at it again.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use lifecycle::Time;

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::event::timestamp;
use crate::kubernetes::intent_record::swap_patch;
use crate::kubernetes::scale::operations;

/// When the StatefulSet was last touched, as a time of RFC 3339.
pub const TOUCHED: &str = "vernescale.dev/touched";

/// The annotation as it was read; none where it is absent or not ours to understand.
pub fn touched(statefulset: &StatefulSet) -> Option<Time> {
    let at: jiff::Timestamp = statefulset.annotations().get(TOUCHED)?.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Time)
}

/// Writes the time where nobody else has written since it was read.
pub async fn touch(
    statefulsets: &Api<StatefulSet>,
    statefulset: &StatefulSet,
    now: Time,
) -> Result<(), Failure> {
    let old = statefulset.annotations().get(TOUCHED).map(String::as_str);
    let new = timestamp(now).to_string();
    let patch = Patch::Json::<()>(operations(&swap_patch(statefulset, TOUCHED, old, &new)));
    let name = statefulset.name_any();
    api("patch touched", statefulsets.patch(&name, &PatchParams::default(), &patch)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_anything_else_is_never() {
        let of = |text: &str| {
            let mut object = StatefulSet::default();
            object.metadata.annotations = Some([(TOUCHED.to_owned(), text.to_owned())].into());
            touched(&object)
        };
        let now = Time(1_800_000_000_123);
        assert_eq!(of(&timestamp(now).to_string()), Some(now));
        assert_eq!([of(""), of("yesterday"), of("-000001-01-01T00:00:00Z")], [None; 3]);
        assert_eq!(touched(&StatefulSet::default()), None);
    }
}
