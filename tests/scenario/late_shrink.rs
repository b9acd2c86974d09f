//! The leave is through, and the size or the pod does not follow at once: the
//! container comes back as a healthy cluster of one, on data that lies.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};
use lifecycle::Outcome;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::kubernetes::{Fault, Kubernetes, Rule, Verb};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, outcome, restarted, three};

fn scale(fault: Fault) -> Rule {
    Rule::new(fault).resource("statefulsets/scale").verb(Verb::Patch)
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_container_that_restarts_before_a_slow_patch_is_never_served(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    cluster.kubernetes.faults().add(scale(Fault::Slow(seconds(4))).times(1));
    begin(&mut cluster).await;
    cluster.until("the container runs again", minutes(6), |cluster| restarted(cluster, 2).0 == 1).await;
    assert_eq!(cluster.replicas(), 3, "the patch is on its way still\n{}", cluster.dump());
    ends_well(&mut cluster).await;
    assert!(no_claim_of(&cluster.kubernetes, 2), "its volume must not be used again");
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_ready_twin_is_never_served_while_the_size_cannot_be_lowered(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    let refused = cluster.kubernetes.faults().add(scale(Fault::ServerError));
    begin(&mut cluster).await;
    cluster
        .until("an isolated node is ready", minutes(6), |cluster| restarted(cluster, 2) == (1, true))
        .await;
    let told = |cluster: &Cluster| cluster.condition("ShrinkRefused").is_some();
    cluster.until("a person is told", seconds(30), told).await;
    cluster.pass(seconds(30)).await;
    assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
    cluster.kubernetes.faults().remove(refused);
    ends_well(&mut cluster).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
    assert!(no_claim_of(&cluster.kubernetes, 2), "its volume must not be used again");
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_pod_that_waits_for_an_unhealthy_lower_ordinal_is_deleted_by_uid(#[case] via: Via) {
    // The first probe comes when the broker is surely up, the next after the scenario: readiness is ours.
    let probe = three(via).install(|install| {
        install.probe_delay = seconds(30);
        install.probe_period = minutes(120);
    });
    let mut cluster = probe.start().await;
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after("record Shrink", move || async move {
        set_ready(&kubernetes, 1, false);
        sleep(Duration::from_millis(100)).await;
    });
    let pod = cluster.kubernetes.object("pods", NAMESPACE, &format!("{NAME}-2")).expect("it runs");
    begin(&mut cluster).await;
    cluster.until("the size is lowered", minutes(6), |cluster| cluster.replicas() == 2).await;
    let waited =
        cluster.until("it is deleted", seconds(8), |cluster| cluster.hooks.times("DeletePod") == 1).await;
    assert!(waited >= seconds(4), "deleted after {waited:?}, before its controller had a chance");
    let log = cluster.kubernetes.log();
    let deleted = log.iter().find(|write| write.resource == "pods" && write.verb == Verb::Delete);
    let deleted = deleted.expect("the controller deletes it");
    assert_eq!(deleted.name, format!("{NAME}-2"));
    assert_eq!(deleted.body["preconditions"]["uid"], pod["metadata"]["uid"], "{deleted:?}");
    cluster.until("the pod is gone", minutes(1), |cluster| cluster.pod_count() == 2).await;
    set_ready(&cluster.kubernetes, 1, true);
    ends_well(&mut cluster).await;
}

/// The container runs again when its pod is deleted, and its first process hears no SIGTERM yet: it runs for its grace
/// (`pods_killed_leaver.txt`: 61.8 s, and 5.4 s with the hook).
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_hear_its_end_yet_is_named(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(false, true)] hook: bool,
) {
    let waits = "until grep -Eq '^SigCgt:.*[4-7c-f][0-9a-f]{3}$' /proc/1/status; do sleep 1; done";
    let waits = ["sh", "-c", waits].map(str::to_owned).to_vec();
    let mut cluster = three(via).install(|install| install.pre_stop = hook.then_some(waits)).start().await;
    cluster.kubernetes.faults().add(scale(Fault::Slow(seconds(3))).times(1));
    begin(&mut cluster).await;
    cluster.until("the size is lowered", minutes(6), |cluster| cluster.replicas() == 2).await;
    assert_eq!(restarted(&cluster, 2), (1, false), "its container has just been started\n{}", cluster.dump());
    let told = |cluster: &Cluster| cluster.condition("PodEndsLate").is_some();
    if !hook {
        cluster.until("it is told", seconds(15), told).await;
        let told = cluster.condition("PodEndsLate").expect("it was told");
        assert!(told.message.contains("docs/operating.md"), "{told:?}");
    }
    let waited = cluster.until("the pod is gone", minutes(2), |cluster| cluster.pod_count() == 2).await;
    assert_eq!(waited < seconds(10), hook, "gone after {waited:?}\n{}", cluster.dump());
    assert!(!hook || !told(&cluster), "it did not end late\n{}", cluster.dump());
    ends_well(&mut cluster).await;
}

/// Somebody deletes the isolated node's pod: the next one comes with the template's label, on the data of the
/// node that has left.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_twin_in_a_new_pod_is_never_served_either(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    let refused = cluster.kubernetes.faults().add(scale(Fault::ServerError));
    begin(&mut cluster).await;
    cluster
        .until("an isolated node is ready", minutes(6), |cluster| restarted(cluster, 2) == (1, true))
        .await;
    let pods = Api::<Pod>::namespaced(cluster.kubernetes.client_named("somebody"), NAMESPACE);
    pods.delete(&format!("{NAME}-2"), &DeleteParams::default()).await.expect("it is taken");
    cluster.until("it is another pod", minutes(2), |cluster| restarted(cluster, 2) == (0, true)).await;
    cluster.pass(seconds(10)).await;
    assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
    cluster.kubernetes.faults().remove(refused);
    cluster.until("two nodes are left", minutes(2), |cluster| cluster.settled(2)).await;
    assert!(no_claim_of(&cluster.kubernetes, 2), "its volume must not be used again");
    cluster.assert_invariants().await;
}

/// A survivor is down while the pod goes: what it thinks of the leaver is not known, and the volume
/// cannot be brought back.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn no_volume_goes_while_a_survivor_cannot_be_asked(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    begin(&mut cluster).await;
    cluster.until("the size is lowered", minutes(6), |cluster| cluster.replicas() == 2).await;
    let broken = break_for_good(&cluster, 1);
    cluster.until("the pod is gone", minutes(2), |cluster| cluster.pod_count() == 2).await;
    let told = |cluster: &Cluster| cluster.condition("VerifyFailed").is_some();
    cluster.until("a person is told", minutes(1), told).await;
    assert!(!no_claim_of(&cluster.kubernetes, 2), "its volume is kept\n{}", cluster.dump());
    broken.abort();
    cluster.until("two nodes are left", minutes(5), |cluster| cluster.settled(2)).await;
    assert_eq!(outcome(&cluster), Some(Outcome::Completed));
    assert!(no_claim_of(&cluster.kubernetes, 2) && !told(&cluster), "{}", cluster.dump());
    // The other invariants do not apply: a broker that is killed refuses and loses by itself.
    assert_eq!(cluster.dead_members(), Vec::<String>::new(), "{}", cluster.dump());
}

/// As a probe's verdict.
pub(crate) fn set_ready(kubernetes: &Kubernetes, ordinal: u32, ready: bool) {
    let edit = |pod: &mut Value| {
        pod["status"]["containerStatuses"][0]["ready"] = json!(ready);
        let conditions = pod["status"]["conditions"].as_array_mut().expect("it has been ready");
        for condition in conditions {
            if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
                condition["status"] = json!(if ready { "True" } else { "False" });
            }
        }
    };
    assert!(kubernetes.edit("pods", NAMESPACE, &format!("{NAME}-{ordinal}"), edit));
}

fn no_claim_of(kubernetes: &Kubernetes, ordinal: u32) -> bool {
    let name = format!("data-{NAME}-{ordinal}");
    kubernetes.object("persistentvolumeclaims", NAMESPACE, &name).is_none()
}
