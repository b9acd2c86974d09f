//! The leaver's pod is taken away in the middle of its leave, and the StatefulSet makes it again: before our patch,
//! during it, after it. What is made may join, even while it ends (`pods_delete_in_leave.txt`). The end is a smaller,
//! whole cluster, or a command that a person is told to type, and that is the end.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams};
use rstest::rstest;
use simulator::kubernetes::{Fault, Kubernetes, Rule, Storage, Verb};
use simulator::model::{Command, Via as Transport};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, node, three};

/// How another hand takes the pod away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    /// `kubectl delete pod`, an eviction, a drained machine.
    Deletes,
    /// The same, and the claim with it: what is made again is fresh.
    DeletesAll,
    /// `--force --grace-period=0`, as of a machine that is lost.
    Forces,
}

async fn take_away(kubernetes: Kubernetes, hand: Hand) {
    let client = kubernetes.client_named("somebody");
    let (pods, claims) = (
        Api::<Pod>::namespaced(client.clone(), NAMESPACE),
        Api::<PersistentVolumeClaim>::namespaced(client, NAMESPACE),
    );
    if hand == Hand::DeletesAll {
        let _ = claims.delete(&format!("data-{NAME}-2"), &DeleteParams::default()).await;
    }
    let how =
        if hand == Hand::Forces { DeleteParams::default().grace_period(0) } else { DeleteParams::default() };
    // It may have gone by itself.
    let _ = pods.delete(&format!("{NAME}-2"), &how).await;
}

/// What a shrink consists of, in order, as the hooks call it.
const THINGS: [&str; 9] = [
    "record Fence",
    "record Suspend",
    "record Drain",
    "record Leave",
    "Leave under way",
    "record Shrink",
    "SetReplicas",
    "record PodGone",
    "record Volume",
];

/// Before the leave, in it, and while the size is lowered. Every thing, hand and storage is enumerated without a
/// cluster around it by `lifecycle/tests/simulation/replaced.rs`.
const TURNS: [&str; 3] = ["record Drain", "Leave under way", "SetReplicas"];

#[rstest]
#[case(Via::ManagementApi, Storage::Claims, Hand::Deletes, false, &THINGS)]
#[case(Via::ManagementApi, Storage::Claims, Hand::DeletesAll, false, &TURNS)]
#[case(Via::ManagementApi, Storage::Claims, Hand::Forces, true, &TURNS)]
#[case(Via::ManagementApi, Storage::EmptyDir, Hand::Deletes, false, &TURNS)]
#[case(Via::ManagementApi, Storage::EmptyDir, Hand::Forces, true, &TURNS)]
#[case(Via::Exec, Storage::EmptyDir, Hand::Deletes, false, &TURNS)]
#[case(Via::Exec, Storage::EmptyDir, Hand::Forces, true, &TURNS)]
#[tokio::test(start_paused = true)]
async fn a_leaver_that_is_taken_away_after_each_thing(
    #[case] via: Via,
    #[case] storage: Storage,
    #[case] hand: Hand,
    #[case] killed: bool,
    #[case] things: &[&str],
) {
    for thing in things {
        let mut cluster = three(via).install(|install| install.storage = storage).start().await;
        let kubernetes = cluster.kubernetes.clone();
        cluster.hooks.after(thing, move || take_away(kubernetes, hand));
        begin(&mut cluster).await;
        let came = |cluster: &Cluster| cluster.hooks.names().iter().any(|name| name == thing);
        cluster.until(thing, minutes(8), came).await;
        if killed {
            // Without the invariants: nobody is there who would fence what is made.
            cluster.kill_controller("a").await;
            sleep(seconds(25)).await;
            cluster.start_controller("a");
            sleep(seconds(3)).await;
        }
        whole(&mut cluster, thing).await;
    }
}

/// Two nodes are left, and each knows both and nobody else; where a person was told to type something, that is typed.
async fn whole(cluster: &mut Cluster, thing: &str) -> bool {
    let command = format!("vmq-admin cluster leave node={}", node(cluster, 2));
    let ended = |cluster: &Cluster| cluster.settled(2) && cluster.dead_members().is_empty();
    let told = |cluster: &Cluster| {
        let told = cluster.condition("VerifyFailed").is_some_and(|told| told.message.contains(&command));
        told && cluster.pod_count() == 2
    };
    let what = format!("an end, or what to type for it, after {thing}");
    cluster.until(&what, minutes(15), |cluster| ended(cluster) || told(cluster)).await;
    let typed = !ended(cluster);
    if typed {
        let (coordinator, dead) = (node(cluster, 0), node(cluster, 2));
        let leave = Command::ClusterLeave { node: Some(dead), kill: false, summary_interval: 5, timeout: 60 };
        cluster.fleet.with_model(|model, now| model.request(&coordinator, leave, Transport::Admin, now));
        cluster.until(&format!("the end after what was typed, after {thing}"), minutes(5), ended).await;
    }
    let claim = format!("data-{NAME}-2");
    let used =
        |cluster: &Cluster| cluster.kubernetes.object("persistentvolumeclaims", NAMESPACE, &claim).is_some();
    cluster.until("its claim is gone", minutes(2), |cluster| !used(cluster)).await;
    typed
}

fn uid(kubernetes: &Kubernetes) -> Option<String> {
    let pod = kubernetes.object("pods", NAMESPACE, &format!("{NAME}-2"))?;
    pod.pointer("/metadata/uid")?.as_str().map(str::to_owned)
}

/// The StatefulSet is quicker than our patch: the fresh pod is there when it is made, and is not condemned by it.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_made_again_between_reconcile_and_patch_is_not_condemned(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
) {
    let mut cluster = three(via).install(|install| install.storage = Storage::EmptyDir).start().await;
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after("record Shrink", move || async move {
        let before = uid(&kubernetes);
        take_away(kubernetes.clone(), Hand::Forces).await;
        while uid(&kubernetes).is_none_or(|uid| Some(uid) == before) {
            sleep(seconds(1) / 100).await;
        }
    });
    begin(&mut cluster).await;
    let grows =
        |cluster: &Cluster| cluster.intent().is_some_and(|intent| intent.kind == lifecycle::Kind::Grow);
    cluster.until("it is taken for a newcomer", minutes(6), grows).await;
    assert_eq!(cluster.replicas(), 3, "{}", cluster.dump());
    assert!(!whole(&mut cluster, "the swap").await, "nobody had to type anything\n{}", cluster.dump());
    assert_eq!(cluster.hooks.times("Leave"), 2, "it leaves like any other\n{}", cluster.dump());
}

/// Our patch is on its way when the pod is made: condemned at its start, it runs for its grace, and joins.
#[rstest]
#[tokio::test(start_paused = true)]
async fn one_that_is_condemned_at_its_start_leaves_before_it_ends(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(false, true)] killed: bool,
) {
    let mut cluster = three(via).install(|install| install.storage = Storage::EmptyDir).start().await;
    let slow = Rule::new(Fault::Slow(seconds(2))).resource("statefulsets/scale").verb(Verb::Patch).times(1);
    cluster.kubernetes.faults().add(slow);
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after("record Shrink", move || async move {
        tokio::spawn(async move {
            sleep(seconds(1)).await;
            take_away(kubernetes, Hand::Forces).await;
        });
    });
    begin(&mut cluster).await;
    cluster.until("the size is lowered", minutes(6), |cluster| cluster.replicas() == 2).await;
    assert_eq!(cluster.pod_count(), 3, "another pod ends\n{}", cluster.dump());
    if killed {
        cluster.kill_controller("a").await;
        cluster.until("it has joined and died", minutes(2), |cluster| cluster.pod_count() == 2).await;
        assert_ne!(cluster.dead_members(), Vec::<String>::new(), "it is a dead member\n{}", cluster.dump());
        cluster.start_controller("a");
    } else {
        let told = |cluster: &Cluster| cluster.condition("LeaverRejoined").is_some();
        cluster.until("it is told", minutes(1), told).await;
    }
    assert_eq!(whole(&mut cluster, "the patch").await, killed, "{}", cluster.dump());
}
