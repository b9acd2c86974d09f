//! Pod ⇄ ordinal ⇄ broker node name: the one place that knows how these are
//! written. Node names are what brokers say of themselves (the label `node` of
//! their metrics); nothing here composes one, because a name that is wrong by a
//! letter makes `cluster leave` print `Done` and leave nothing
//! (`dead_node_netsplit.txt`, `NoSuch@127.0.0.99`).

use std::collections::BTreeMap;

use lifecycle::{NodeName, Ordinal};

/// The ordinal of a StatefulSet's pod: `vmq-12` of `vmq` is 12. None for names
/// that the StatefulSet controller would never give, such as `vmq-01`.
pub fn ordinal_of_pod(statefulset: &str, pod: &str) -> Option<Ordinal> {
    let digits = pod.strip_prefix(statefulset)?.strip_prefix('-')?;
    let ordinal: u32 = digits.parse().ok()?;
    (ordinal.to_string() == digits).then_some(Ordinal(ordinal))
}

/// The name of a StatefulSet's pod.
pub fn pod_name(statefulset: &str, ordinal: Ordinal) -> String {
    format!("{statefulset}-{ordinal}")
}

/// The ordinal that a volume claim belongs to: claims are called
/// `<template>-<pod>`.
pub fn ordinal_of_claim(templates: &[String], statefulset: &str, claim: &str) -> Option<Ordinal> {
    templates.iter().find_map(|template| {
        let pod = claim.strip_prefix(template.as_str())?.strip_prefix('-')?;
        ordinal_of_pod(statefulset, pod)
    })
}

/// What each pod's broker has called itself, remembered for as long as the pod
/// is the same one: a broker that has gone silent is still known by its name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// At most one entry per pod of the StatefulSet; see [`Names::retain`].
    heard: BTreeMap<Ordinal, (String, NodeName)>,
}

impl Names {
    /// Notes what the broker in the pod with this uid calls itself.
    pub fn hear(&mut self, ordinal: Ordinal, pod_uid: &str, name: NodeName) {
        self.heard.insert(ordinal, (pod_uid.to_owned(), name));
    }

    /// The name heard from exactly this pod.
    pub fn of(&self, ordinal: Ordinal, pod_uid: &str) -> Option<&NodeName> {
        self.heard.get(&ordinal).filter(|(uid, _)| uid == pod_uid).map(|(_, name)| name)
    }

    /// Forgets the pods that no longer exist.
    pub fn retain(&mut self, exists: impl Fn(Ordinal) -> bool) {
        self.heard.retain(|ordinal, _| exists(*ordinal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_ordinals_that_a_statefulset_gives() {
        assert_eq!(ordinal_of_pod("vmq", "vmq-0"), Some(Ordinal(0)));
        assert_eq!(ordinal_of_pod("vmq", "vmq-12"), Some(Ordinal(12)));
        for foreign in ["vmq", "vmq-", "vmq-01", "vmq-+1", "vmq--1", "vmq-x-1", "vmq2-1", "other-1"] {
            assert_eq!(ordinal_of_pod("vmq", foreign), None, "{foreign}");
        }
        assert_eq!(pod_name("vmq", Ordinal(3)), "vmq-3");
    }

    #[test]
    fn claims_belong_to_the_pod_at_their_end() {
        let templates = vec!["data".to_owned(), "data-log".to_owned()];
        assert_eq!(ordinal_of_claim(&templates, "vmq", "data-vmq-4"), Some(Ordinal(4)));
        assert_eq!(ordinal_of_claim(&templates, "vmq", "data-log-vmq-4"), Some(Ordinal(4)));
        assert_eq!(ordinal_of_claim(&templates, "vmq", "data-other-4"), None);
        assert_eq!(ordinal_of_claim(&templates, "vmq", "backup-vmq-4"), None);
    }

    #[test]
    fn a_name_is_forgotten_with_its_pod() {
        let mut names = Names::default();
        names.hear(Ordinal(1), "uid-a", NodeName("VerneMQ@10.0.0.7".into()));
        assert!(names.of(Ordinal(1), "uid-a").is_some());
        assert_eq!(names.of(Ordinal(1), "uid-b"), None, "a new pod may have another address");
        names.retain(|ordinal| ordinal == Ordinal(0));
        assert_eq!(names.of(Ordinal(1), "uid-a"), None);
    }
}
