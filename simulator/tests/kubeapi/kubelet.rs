//! The kubelet: restarts, probes, hooks, grace.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DeleteParams};
use serde_json::Value;
use simulator::kubernetes::{Storage, VernemqInstall};
use tokio::time::sleep;

use super::{Cluster, is_deleting, is_ready};

fn container(cluster: &Cluster, pod: &str) -> Value {
    cluster.pod(pod).unwrap()["status"]["containerStatuses"][0].clone()
}

async fn delete(cluster: &Cluster, pod: &str, params: DeleteParams) {
    let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    api.delete(pod, &params).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_ended_container_runs_again_after_a_second_in_the_same_pod() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let (before, pod) = (container(&cluster, "vmq-0"), cluster.pod("vmq-0").unwrap());
    let ended = cluster.clock.now();
    cluster.fake.end("vmq-0", 0);
    cluster.until(|cluster| container(cluster, "vmq-0")["restartCount"] == 1).await;
    let pause = cluster.clock.now().since(ended);
    assert!((Duration::from_millis(900)..Duration::from_millis(1_200)).contains(&pause), "{pause:?}");
    let after = container(&cluster, "vmq-0");
    assert_ne!(after["containerID"], before["containerID"]);
    assert!(after["state"].get("running").is_some(), "{after}");
    assert_eq!(after["lastState"]["terminated"]["exitCode"], 0);
    assert!(!is_ready(&cluster.pod("vmq-0").unwrap()), "it must pass its probe again");
    cluster.ready(1).await;
    assert_eq!(cluster.pod("vmq-0").unwrap()["metadata"]["uid"], pod["metadata"]["uid"]);
    let starts = cluster.fake.starts("vmq-0");
    assert_eq!(starts[0], starts[1], "the same disk, even an emptyDir, and the same address");
}

#[tokio::test(start_paused = true)]
async fn a_second_end_in_a_row_backs_off_and_shows_it() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    cluster.fake.end("vmq-0", 1);
    cluster.until(|cluster| container(cluster, "vmq-0")["restartCount"] == 1).await;
    let ended = cluster.clock.now();
    cluster.fake.end("vmq-0", 1);
    cluster
        .until(|cluster| container(cluster, "vmq-0")["state"]["waiting"]["reason"] == "CrashLoopBackOff")
        .await;
    cluster.until(|cluster| container(cluster, "vmq-0")["restartCount"] == 2).await;
    let pause = cluster.clock.now().since(ended);
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_while_its_pod_is_deleted_is_not_run_again() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.scale(1);
    cluster.until(|cluster| is_deleting(&cluster.pod("vmq-1").unwrap())).await;
    cluster.fake.end("vmq-1", 0);
    cluster.ready(1).await;
    assert_eq!(cluster.fake.starts("vmq-1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_between_end_and_restart_is_not_run_again() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.fake.end("vmq-1", 0);
    sleep(Duration::from_millis(300)).await;
    cluster.scale(1);
    cluster.ready(1).await;
    assert_eq!(cluster.fake.starts("vmq-1").len(), 1);
    assert!(cluster.fake.log("stop").is_empty());
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_probe_with_its_delay_and_threshold() {
    let cluster = Cluster::start().await;
    cluster.kubernetes.install_vernemq(&VernemqInstall::default()).unwrap();
    cluster.until(|cluster| !cluster.fake.starts("vmq-0").is_empty()).await;
    let started = cluster.clock.now();
    cluster.until(|cluster| is_ready(&cluster.pod("vmq-0").unwrap())).await;
    let took = cluster.clock.now().since(started);
    assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&took), "{took:?}");

    cluster.fake.set_ready("vmq-0", false);
    let failed = cluster.clock.now();
    cluster.until(|cluster| !is_ready(&cluster.pod("vmq-0").unwrap())).await;
    let took = cluster.clock.now().since(failed);
    // Three failures, ten seconds apart: one reconcile more would be a bug, two too hasty.
    assert!((Duration::from_secs(20)..Duration::from_secs(31)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_pre_stop_hook_runs_to_its_end_before_the_stop() {
    let argv = vec!["sleep".to_owned(), "4".to_owned()];
    let install = VernemqInstall { replicas: 2, pre_stop: Some(argv), ..VernemqInstall::default() };
    let cluster = Cluster::with(install).await;
    cluster.scale(1);
    cluster.until(|cluster| !cluster.fake.log("exec").is_empty()).await;
    let began = cluster.clock.now();
    assert!(cluster.fake.log("stop").is_empty());
    cluster.until(|cluster| cluster.pod("vmq-1").is_none()).await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-1 56"]);
    assert!(cluster.clock.now().since(began) >= Duration::from_secs(4));
    assert!(cluster.names("events").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_ends_uses_up_the_grace_and_is_reported() {
    let install =
        VernemqInstall { replicas: 2, pre_stop: Some(vec!["hang".to_owned()]), ..VernemqInstall::default() };
    let cluster = Cluster::with(install).await;
    cluster.scale(1);
    cluster.ready(1).await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-1 2"]);
    let events = cluster.kubernetes.objects("events", "mqtt");
    assert_eq!(events[0]["reason"], "FailedPreStopHook");
}

#[tokio::test(start_paused = true)]
async fn grace_is_the_pods_own_or_the_requests() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    delete(&cluster, "vmq-0", DeleteParams::default()).await;
    let marked = cluster.pod("vmq-0").unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 60);
    cluster.until(|cluster| cluster.fake.starts("vmq-0").len() == 2).await;
    cluster.ready(1).await;
    delete(&cluster, "vmq-0", DeleteParams::default().grace_period(0)).await;
    assert!(cluster.pod("vmq-0").is_none(), "by force the object goes at once");
    cluster.until(|cluster| cluster.fake.starts("vmq-0").len() == 3).await;
    cluster.ready(1).await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-0 60", "stop vmq-0 0"]);
}

/// Made at 89.89 s, condemned at 90.17, running at 92.55, gone at 153.35 (`pods_delete_in_leave.txt`).
#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_while_its_container_is_made_runs_all_the_same() {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    cluster.scale(2);
    cluster.until(|cluster| cluster.pod("vmq-1").is_some()).await;
    sleep(Duration::from_millis(280)).await;
    assert!(cluster.fake.starts("vmq-1").is_empty(), "it is being made");
    delete(&cluster, "vmq-1", DeleteParams::default()).await;
    cluster.until(|cluster| !cluster.fake.starts("vmq-1").is_empty()).await;
    assert!(is_deleting(&cluster.pod("vmq-1").unwrap()));
    cluster.until(|cluster| !cluster.fake.log("stop").is_empty()).await;
}

/// A second that a line of a recording begins with.
fn second(recording: &str, section: &str, text: &str) -> f64 {
    let of_it = recording.split("\n== ").find(|part| part.starts_with(section)).unwrap_or(recording);
    let line =
        of_it.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line with {text:?}"));
    line.trim_start_matches('[').split(']').next().unwrap().trim().parse().unwrap()
}

/// Ended, deleted, and run again all the same (`pods_killed_leaver.txt`, with the hook).
#[tokio::test(start_paused = true)]
async fn a_restart_that_has_begun_is_not_called_off_by_a_deletion() {
    let recording = include_str!("../../../tests/recordings/pods_killed_leaver.txt");
    let at = |text| second(recording, "preStop", text);
    let deleted = at("DELETING") - at("SIGKILL");
    assert!(at("SIGKILL") < at("DELETING") && at("DELETING") < at("running ready=False restarts=1"));
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.fake.end("vmq-1", 137);
    sleep(Duration::from_secs_f64(deleted.min(0.9))).await;
    delete(&cluster, "vmq-1", DeleteParams::default()).await;
    cluster.until(|cluster| cluster.fake.starts("vmq-1").len() == 2).await;
    assert!(is_deleting(&cluster.pod("vmq-1").unwrap()));
    cluster.until(|cluster| !cluster.fake.log("stop").is_empty()).await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-1 60"]);
}

/// kubelet waits for what the first deletion has asked for (`pods_second_delete.txt`).
#[tokio::test(start_paused = true)]
async fn a_second_deletion_does_not_shorten_the_stop() {
    let recording = include_str!("../../../tests/recordings/pods_second_delete.txt");
    for pod in ["deaf-5", "deaf-1"] {
        let at = |text| second(recording, "", &format!("{pod}{text}"));
        let (first, asked, gone) = (at(": DELETE"), at(": second"), at(" GONE"));
        assert!(asked - first < 6.0 && gone - first > 60.0, "{pod}: {first} {asked} {gone}");
    }
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    cluster.fake.set_stop(Duration::from_mins(1));
    delete(&cluster, "vmq-0", DeleteParams::default()).await;
    sleep(Duration::from_secs(5)).await;
    delete(&cluster, "vmq-0", DeleteParams::default().grace_period(1)).await;
    assert_eq!(cluster.pod("vmq-0").unwrap()["metadata"]["deletionGracePeriodSeconds"], 1);
    sleep(Duration::from_secs(54)).await;
    assert_eq!(cluster.fake.starts("vmq-0").len(), 1, "its first process runs still");
    cluster.until(|cluster| cluster.fake.starts("vmq-0").len() == 2).await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-0 60"]);
}
