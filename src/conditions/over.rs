//! What is so once a condition stands no more, in words that nobody takes for the alarm. Each is followed by
//! ", since" and a time.

/// For each name whose end says more than that it is over. Every Critical one is here.
const OVER: &[(&str, &str)] = &[
    ("CallFailed", "calls to the API server and to the brokers are answered"),
    ("RoutingProbeLost", "a message crosses between the newcomer and the others, or nobody waits for one"),
    ("RoutingProbeLoginMissing", "the Secret of spec.routingProbeSecretRef is there, or not needed"),
    ("ChurnBudgetSpent", "the churn budget holds no leave"),
    ("ClaimInTheWay", "no claim is in the way of a newcomer"),
    ("ClaimStays", "the claim of the node that left is gone"),
    ("ClientServiceMissing", "the client Service is there"),
    ("ClientServiceSelectsAll", "the client Service selects on vernescale.dev/serving"),
    ("ClocksApart", "the brokers' machines and the controller's tell the same time"),
    ("ForeignFall", "no pod exists beyond the size without a verified leave"),
    ("ForeignScaler", "no HorizontalPodAutoscaler aims at the StatefulSet"),
    ("GrowWaits", "no growth is held up"),
    ("HeadlessServiceMissing", "the headless Service is there"),
    ("IntentUnreadable", "the record on the StatefulSet can be read"),
    ("JoinFailed", "no newcomer has been out of step for too long"),
    ("LeaveOutcomeUnknown", "what became of the leave is known"),
    ("LeaveStuck", "no leave is stuck"),
    ("ListenerDeleted", "every listener that clients came by is there"),
    ("ListenerFull", "every listener takes more clients"),
    ("ListenerShowCrashes", "every pod says how many connections each listener has"),
    ("ReconcileFailed", "reconciles are whole"),
    ("ManagementCaMissing", "the Secret of spec.management.caSecretRef is there, or not needed"),
    ("ManagementKeyMissing", "the Secret of spec.management.secretRef is there, or not needed"),
    ("MemberDead", "no dead member is listed"),
    ("MemberDown", "no member is down that a pod may bring back"),
    ("MembersDisagree", "all members agree"),
    ("MetricsMissing", "metrics say what a node may carry, or the size follows them"),
    ("MixedVersions", "all pods run one build"),
    ("NewcomerSilent", "no newcomer has been silent for too long"),
    ("NoBrokerRead", "brokers answer"),
    ("NumbersUnknown", "all numbers that a shrink needs are known"),
    ("PodUnroutable", "every pod that should be is served"),
    ("QueuesUnsettled", "queues lie where they belong, or no leave waits for them"),
    ("RolloutUnderWay", "no rollout holds a change"),
    ("ShrinkRefused", "the size could be lowered, or need not be"),
    ("ShrinkWaits", "no shrink is held up"),
    ("SpecInvalid", "the spec can be read and decided by"),
    ("UndoStuck", "no undo is stuck"),
    ("VerifyFailed", "no leave waits to be verified"),
    ("WishOutdated", "no wish is held for a load that it was not made for"),
    ("WorkerPanicked", "the controller has worked without a fault of its own"),
];

/// What is so by now.
pub(super) fn of(name: &str) -> &'static str {
    OVER.iter().find(|(known, _)| *known == name).map_or("this is over", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }

    /// The name right before each `Severity::Critical`.
    fn critical_names(source: &str) -> Vec<String> {
        let body = source.split("#[cfg(test)]").next().unwrap_or_default();
        let before: Vec<&str> = body.split("Severity::Critical").collect();
        let names =
            before.iter().take(before.len() - 1).map(|text| text.rsplit('"').nth(1).unwrap_or_default());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_critical_name_has_its_end_in_words() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = ["src/controller", "src/kubernetes", "autoscaler/src/decide", "lifecycle/src"];
        let names: Vec<String> = all
            .iter()
            .flat_map(|folder| sources(&root.join(folder)))
            .filter(|path| !path.ends_with("tests.rs"))
            .flat_map(|path| critical_names(&std::fs::read_to_string(path).unwrap()))
            .collect();
        assert!(names.len() > 10, "the source is not read as it is written: {names:?}");
        let lacking: Vec<_> = names.iter().filter(|name| of(name) == of("")).collect();
        assert_eq!(lacking, Vec::<&String>::new());
    }

    #[test]
    fn no_end_sounds_like_an_alarm() {
        for (name, words) in OVER {
            let alarming = ["delete", "see ", "restart", "kubectl", "vmq-admin"];
            assert!(alarming.iter().all(|word| !words.contains(word)), "{name}: {words}");
        }
    }
}
