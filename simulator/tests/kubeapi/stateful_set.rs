//! The StatefulSet controller: `OrderedReady` as it really is.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::kubernetes::{Storage, VernemqInstall};

use super::{Cluster, is_deleting, is_ready};

fn label<'a>(pod: &'a Value, key: &str) -> &'a str {
    pod["metadata"]["labels"][key].as_str().unwrap_or_default()
}

fn set_image(cluster: &Cluster, image: &str) {
    cluster.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    });
}

#[tokio::test(start_paused = true)]
async fn pods_come_one_by_one_and_carry_their_labels() {
    let cluster = Cluster::start().await;
    let install = VernemqInstall { replicas: 3, ..VernemqInstall::default() };
    cluster.kubernetes.install_vernemq(&install).unwrap();
    cluster
        .until(|cluster| {
            // No ordinal exists before all below it are ready.
            let pods = cluster.kubernetes.objects("pods", "mqtt");
            let below = pods.len().saturating_sub(1);
            assert!(pods.iter().take(below).all(|pod| is_ready(pod)), "{:?}", cluster.names("pods"));
            cluster.status("readyReplicas") == 3
        })
        .await;
    let pod = cluster.pod("vmq-2").unwrap();
    assert_eq!(label(&pod, "statefulset.kubernetes.io/pod-name"), "vmq-2");
    assert_eq!(label(&pod, "apps.kubernetes.io/pod-index"), "2");
    assert_eq!(cluster.status("updateRevision"), label(&pod, "controller-revision-hash"));
    assert_eq!(pod["spec"]["subdomain"], "vmq-headless");
    let container = &cluster.fake.starts("vmq-2")[0];
    assert_eq!(container.fqdn(), "vmq-2.vmq-headless.mqtt.svc.cluster.local");
    assert_eq!(pod["status"]["podIP"], container.address.to_string());
}

#[tokio::test(start_paused = true)]
async fn pods_go_one_by_one_the_highest_first() {
    let cluster = Cluster::of(4, Storage::EmptyDir).await;
    cluster.scale(1);
    cluster
        .until(|cluster| {
            let pods = cluster.kubernetes.objects("pods", "mqtt");
            let (last, below) = pods.split_last().unwrap();
            assert!(below.iter().all(|pod| !is_deleting(pod)), "{}", last["metadata"]["name"]);
            pods.len() == 1
        })
        .await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-3 60", "stop vmq-2 60", "stop vmq-1 60"]);
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_lower_ordinal_blocks_the_deletion() {
    let cluster = Cluster::of(3, Storage::EmptyDir).await;
    cluster.fake.set_ready("vmq-0", false);
    cluster.until(|cluster| !is_ready(&cluster.pod("vmq-0").unwrap())).await;
    cluster.scale(2);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(!is_deleting(&cluster.pod("vmq-2").unwrap()));
    assert_eq!(cluster.names("pods"), ["vmq-0", "vmq-1", "vmq-2"]);
    cluster.fake.set_ready("vmq-0", true);
    cluster.ready(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_top_ordinal_goes_but_not_before_a_broken_one_below_it() {
    let cluster = Cluster::of(3, Storage::EmptyDir).await;
    for pod in ["vmq-1", "vmq-2"] {
        cluster.fake.set_ready(pod, false);
    }
    cluster.until(|cluster| cluster.status("readyReplicas") == 1).await;
    // Both are condemned: vmq-1 is the first unhealthy one, so vmq-2 must wait.
    cluster.scale(1);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(cluster.names("pods").len(), 3);
    cluster.fake.set_ready("vmq-1", true);
    cluster.ready(1).await;
}

#[tokio::test(start_paused = true)]
async fn claims_outlive_their_pods_and_are_used_again() {
    let cluster = Cluster::of(2, Storage::Claims).await;
    cluster.scale(1);
    cluster.ready(1).await;
    assert_eq!(cluster.names("persistentvolumeclaims"), ["data-vmq-0", "data-vmq-1"]);
    cluster.scale(2);
    cluster.ready(2).await;
    let starts = cluster.fake.starts("vmq-1");
    assert_eq!(starts[0].volume, starts[1].volume);
    assert_ne!((&starts[0].uid, starts[0].address), (&starts[1].uid, starts[1].address));
    assert!(cluster.fake.log("volume").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_deleted_after_the_pod_gives_the_ordinal_a_fresh_disk() {
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    let cluster = Cluster::of(2, Storage::Claims).await;
    let api: kube::Api<PersistentVolumeClaim> = kube::Api::namespaced(cluster.kubernetes.client(), "mqtt");
    api.delete("data-vmq-1", &kube::api::DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let claim = api.get("data-vmq-1").await.unwrap();
    assert!(claim.metadata.deletion_timestamp.is_some(), "a claim in use is only marked");
    cluster.scale(1);
    cluster.ready(1).await;
    cluster.until(|cluster| cluster.names("persistentvolumeclaims").len() == 1).await;
    cluster.scale(2);
    cluster.ready(2).await;
    let starts = cluster.fake.starts("vmq-1");
    assert_ne!(starts[0].volume, starts[1].volume);
    assert_eq!(cluster.fake.log("volume"), [format!("volume {}", starts[0].volume)]);
}

#[tokio::test(start_paused = true)]
async fn when_scaled_delete_takes_the_claims_along() {
    let cluster = Cluster::of(2, Storage::Claims).await;
    cluster.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| {
        set["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = "Delete".into();
    });
    cluster.scale(1);
    cluster.ready(1).await;
    cluster.until(|cluster| cluster.names("persistentvolumeclaims") == ["data-vmq-0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_comes_back_with_its_name_and_the_templates_labels() {
    use k8s_openapi::api::core::v1::Pod;
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    let old = cluster.pod("vmq-1").unwrap();
    cluster.kubernetes.edit("pods", "mqtt", "vmq-1", |pod| {
        pod["metadata"]["labels"]["vernescale.dev/serving"] = "false".into();
    });
    let api: kube::Api<Pod> = kube::Api::namespaced(cluster.kubernetes.client(), "mqtt");
    api.delete("vmq-1", &kube::api::DeleteParams::default()).await.unwrap();
    cluster.until(|cluster| cluster.pod("vmq-1").is_none()).await;
    cluster.ready(2).await;
    let new = cluster.pod("vmq-1").unwrap();
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    assert_eq!(label(&new, "vernescale.dev/serving"), "true");
    let starts = cluster.fake.starts("vmq-1");
    assert_ne!(starts[0].volume, starts[1].volume, "an emptyDir goes with its pod");
    assert_eq!(cluster.fake.log("volume"), [format!("volume {}", starts[0].volume)]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_replaces_the_highest_first_and_waits_for_each() {
    let cluster = Cluster::of(3, Storage::EmptyDir).await;
    let before = cluster.status("currentRevision");
    set_image(&cluster, "vernemq:next");
    cluster.until(|cluster| cluster.status("updateRevision") != before).await;
    assert_eq!(cluster.status("currentRevision"), before);
    cluster
        .until(|cluster| {
            assert!(cluster.status("readyReplicas").as_u64() >= Some(2), "one at a time");
            cluster.status("currentRevision") != before
        })
        .await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-2 60", "stop vmq-1 60", "stop vmq-0 60"]);
    assert_eq!(cluster.fake.starts("vmq-0")[1].image, "vernemq:next");
    assert_eq!(cluster.status("updatedReplicas"), 3);
}

#[tokio::test(start_paused = true)]
async fn partition_and_on_delete_hold_pods_back() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    cluster.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| {
        set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1.into();
    });
    set_image(&cluster, "vernemq:a");
    cluster
        .until(|cluster| cluster.status("updatedReplicas") == 1 && cluster.status("readyReplicas") == 2)
        .await;
    assert_eq!(cluster.fake.log("stop"), ["stop vmq-1 60"]);
    cluster.kubernetes.edit("statefulsets", "mqtt", "vmq", |set| {
        set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    });
    set_image(&cluster, "vernemq:b");
    cluster.until(|cluster| cluster.status("updatedReplicas") == 0).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(cluster.fake.log("stop").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_set_takes_its_pods_along_unless_they_are_orphaned() {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use kube::api::DeleteParams;
    for (params, left) in
        [(DeleteParams::orphan(), 2), (DeleteParams::background(), 0), (DeleteParams::foreground(), 0)]
    {
        let cluster = Cluster::of(2, Storage::EmptyDir).await;
        let api: kube::Api<StatefulSet> = kube::Api::namespaced(cluster.kubernetes.client(), "mqtt");
        api.delete("vmq", &params).await.unwrap();
        cluster.until(|cluster| cluster.names("statefulsets").is_empty()).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(cluster.names("pods").len(), left);
        if left == 2 {
            // Made again, it takes its pods as they are.
            let install = VernemqInstall { replicas: 2, ..VernemqInstall::default() };
            cluster.kubernetes.install_vernemq(&install).unwrap();
            cluster.ready(2).await;
            assert_eq!(cluster.fake.log("start").len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parallel_creates_all_at_once_but_rolls_one_by_one() {
    let cluster = Cluster::start().await;
    let install = VernemqInstall { replicas: 3, ..VernemqInstall::default() };
    for mut object in install.objects() {
        if object["kind"] == "StatefulSet" {
            object["spec"]["podManagementPolicy"] = "Parallel".into();
        }
        cluster.kubernetes.apply(&object).unwrap();
    }
    cluster.until(|cluster| cluster.names("pods").len() == 3).await;
    assert_eq!(cluster.status("readyReplicas"), 0);
    cluster.ready(3).await;
    let before = cluster.status("currentRevision");
    set_image(&cluster, "vernemq:next");
    cluster
        .until(|cluster| {
            assert!(cluster.status("readyReplicas").as_u64() >= Some(2), "one at a time");
            cluster.status("currentRevision") != before
        })
        .await;
}

/// A claim that is only terminating must not be used by a new pod.
#[tokio::test(start_paused = true)]
async fn a_pod_waits_until_its_terminating_claim_is_gone() {
    use k8s_openapi::api::core::v1::PersistentVolumeClaim;
    let cluster = Cluster::of(2, Storage::Claims).await;
    cluster.scale(1);
    cluster.ready(1).await;
    cluster.kubernetes.edit("persistentvolumeclaims", "mqtt", "data-vmq-1", |claim| {
        claim["metadata"]["finalizers"] = json!(["example.com/backup"]);
    });
    let api: kube::Api<PersistentVolumeClaim> = kube::Api::namespaced(cluster.kubernetes.client(), "mqtt");
    api.delete("data-vmq-1", &kube::api::DeleteParams::default()).await.unwrap();
    cluster.scale(2);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(cluster.names("pods"), ["vmq-0"]);
    cluster.kubernetes.edit("persistentvolumeclaims", "mqtt", "data-vmq-1", |claim| {
        claim["metadata"]["finalizers"] = json!([]);
    });
    cluster.ready(2).await;
}
