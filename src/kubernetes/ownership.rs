//! Which of our resources a StatefulSet belongs to: its uid in an annotation.
//! A second resource on the same target does nothing (`TargetTaken`).

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};

use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::intent_record::swap_patch;
use crate::kubernetes::scale::operations;

/// Uid of the one resource that owns the StatefulSet.
pub const OWNER: &str = "vernescale.dev/owner";

/// Whose the StatefulSet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours.
    Ours,
    /// Nobody's, or of a resource that no longer exists or aims elsewhere.
    Free,
    /// Of another resource: its name.
    Taken(String),
}

/// Judges the annotation. `others` are the resources of the namespace that aim
/// at the same StatefulSet: (uid, name).
pub fn ownership(statefulset: &StatefulSet, our_uid: &str, others: &[(String, String)]) -> Ownership {
    match statefulset.annotations().get(OWNER) {
        Some(uid) if uid == our_uid => Ownership::Ours,
        Some(uid) => match others.iter().find(|(other, _)| other == uid) {
            Some((_, name)) => Ownership::Taken(name.clone()),
            None => Ownership::Free,
        },
        None => Ownership::Free,
    }
}

/// Takes a free StatefulSet by compare-and-swap: of two that try, one succeeds.
pub async fn take(
    statefulsets: &Api<StatefulSet>,
    statefulset: &StatefulSet,
    our_uid: &str,
) -> Result<(), Failure> {
    let old = statefulset.annotations().get(OWNER).map(String::as_str);
    let patch = Patch::Json::<()>(operations(&swap_patch(statefulset, OWNER, old, our_uid)));
    let name = statefulset.name_any();
    api("patch owner", statefulsets.patch(&name, &PatchParams::default(), &patch)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned_by(uid: Option<&str>) -> StatefulSet {
        let mut object = StatefulSet::default();
        object.metadata.annotations = uid.map(|uid| [(OWNER.to_owned(), uid.to_owned())].into());
        object
    }

    #[test]
    fn the_first_owner_stays_until_it_is_gone() {
        let others = [("uid-b".to_owned(), "b".to_owned())];
        assert_eq!(ownership(&owned_by(None), "uid-a", &others), Ownership::Free);
        assert_eq!(ownership(&owned_by(Some("uid-a")), "uid-a", &others), Ownership::Ours);
        assert_eq!(ownership(&owned_by(Some("uid-b")), "uid-a", &others), Ownership::Taken("b".into()));
        assert_eq!(ownership(&owned_by(Some("uid-gone")), "uid-a", &others), Ownership::Free);
    }
}
