//! Every wait by its name, and what to look at when it takes longer than it should.

/// What a person can look at or do, for each name that a step waits by. Short: it ends a message that
/// says which step of which ordinal waits.
const REMEDIES: [(&str, &str); 27] = [
    (
        "RoutingProbeCrossed",
        "see the logs of the new pod and of pod 0, and the user of spec.routingProbeSecretRef",
    ),
    (
        "EndpointsDropped",
        "see `kubectl get endpointslices` of spec.clientService, and whether its selector has vernescale.dev/serving",
    ),
    ("LeaveBegins", "see `vmq-admin cluster show`: a leave waits as long as any member is not running"),
    ("LeaveOutcome", "see the log of the leaving pod, and `vmq-admin cluster show` on each other pod"),
    (
        "LeaverFenced",
        "see the condition CallFailed for what refuses the label vernescale.dev/serving of the pod",
    ),
    ("ListenersReread", "see `vmq-admin listener show` on the leaving pod"),
    (
        "ListenersSuspended",
        "see `vmq-admin listener show` on the leaving pod, and the condition CallFailed for what refuses us",
    ),
    (
        "NewcomerAnswers",
        "see `kubectl describe pod` of the new pod for its machine, image and volume, and its log",
    ),
    ("NewcomerFenced", "see `kubectl describe` of the StatefulSet for why its pod is not made or labelled"),
    (
        "NewcomerInStep",
        "compare `vmq-admin cluster show`, num_retained of /status.json, and swc_object_count less swc_tombstone_count of /metrics, on each pod",
    ),
    (
        "NewcomerRouted",
        "see whether the pod is ready, and `kubectl get endpointslices` of spec.clientService",
    ),
    (
        "NotKnown",
        "see the condition of this name for what is missing, that pod's log, and whether its HTTP listener answers",
    ),
    ("PodGone", "see `kubectl describe pod`: finalizers, a long grace period, or a machine that is away"),
    ("ProxiesHeard", "see `kubectl get endpointslices` of spec.clientService: the pod must stay out of it"),
    ("QueuesMigrated", "see queue_processes in /metrics of the leaving pod, and its log"),
    ("Quiet", "nothing is to be done: see the controller's log if it stays so"),
    ("RaiseWithdrawn", "see `kubectl get statefulset` for the size that stands"),
    (
        "ReplacementSeen",
        "see the Events of the StatefulSet, which makes the pod of an ordinal that it holds again",
    ),
    (
        "ReplicasLowered",
        "see what refuses the patch of statefulsets/scale: the controller's Role, or an admission policy",
    ),
    (
        "ReplicasRaised",
        "see what refuses the patch of statefulsets/scale: the controller's Role, or an admission policy",
    ),
    (
        "SessionsDrained",
        "see `vmq-admin session show --node=… --statename=online` for who stays on the leaving node",
    ),
    ("Settle", "nothing is to be done: see the controller's log if it stays so"),
    ("SurvivorDropsIt", "compare `vmq-admin cluster show` on each pod that stays"),
    ("SurvivorsAgree", "compare `vmq-admin cluster show` on each pod that stays"),
    (
        "Undone",
        "see `vmq-admin listener show` and the label vernescale.dev/serving of the pod, and whether all members list it",
    ),
    ("UsedVolumeGone", "see `kubectl describe pvc` and `kubectl describe pod` for what holds them"),
    ("VolumeGone", "see `kubectl describe pvc` for what uses it, and its finalizers"),
];

/// What to look at when `name` is overdue.
pub(crate) fn remedy(name: &str) -> &'static str {
    REMEDIES.iter().find(|(known, _)| *known == name).map_or("", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The names in all calls of `wait` and `wait_until`, which are literals everywhere but in `transition.rs`.
    fn waits_of(source: &str) -> Vec<String> {
        let calls = source.split(".wait(").skip(1).chain(source.split(".wait_until(").skip(1));
        calls
            .map(|call| {
                let name =
                    call.trim_start().strip_prefix('"').unwrap_or_else(|| panic!("no literal: {call}"));
                name.split('"').next().unwrap_or_default().to_owned()
            })
            .collect()
    }

    /// I11: nothing is waited for without a word of what to do about it.
    #[test]
    fn every_wait_of_the_source_has_its_remedy_and_every_remedy_its_wait() {
        let ours = |path: &PathBuf| !path.ends_with("transition.rs") && !path.ends_with("waits.rs");
        let all = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let waits: BTreeSet<String> = all
            .iter()
            .filter(|path| ours(path))
            .flat_map(|path| waits_of(&std::fs::read_to_string(path).unwrap()))
            .collect();
        let remedies: BTreeSet<String> = REMEDIES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert!(waits.len() > 20, "the source is not read as it is written: {waits:?}");
        assert_eq!(waits, remedies);
        for name in waits {
            assert!(remedy(&name).contains("see ") || remedy(&name).starts_with("compare "), "{name}");
        }
    }
}
