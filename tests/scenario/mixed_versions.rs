//! Two versions of the broker side by side: a leave asked of the other one is answered `noproc` and does nothing
//! (`disc2_mixed_versions.txt`), so that none is begun.

use rstest::rstest;
use simulator::model::Signal;
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::node;
use crate::steering::steered;

/// As `kubectl set image pod/vmq-2`: its container is started anew, on its data.
async fn run(cluster: &mut Cluster, tag: &str) {
    let image = format!("vernemq/vernemq:{tag}");
    cluster.kubernetes.edit("pods", NAMESPACE, &format!("{NAME}-2"), |pod| {
        pod["spec"]["containers"][0]["image"] = image.into();
    });
    let top = node(cluster, 2);
    cluster.fleet.signal(&top, Signal::Term);
    cluster.pass(seconds(10)).await;
    let back = |cluster: &Cluster| {
        let page = cluster.fleet.with_model(|model, _| model.status(&node(cluster, 2)));
        let version = page.nodes.into_iter().find(|(name, _)| *name == top).map(|(_, own)| own.version);
        version.as_deref() == Some(tag) && cluster.dead_members().is_empty() && cluster.serving() == 3
    };
    cluster.until("it is a member again", minutes(1), back).await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn no_leave_is_asked_between_two_versions(#[case] via: Via) {
    let mut cluster = steered(via, 3).clients(0).start().await;
    cluster.start_controller("a");
    run(&mut cluster, "2.2.0").await;
    cluster.pass(seconds(10)).await;
    cluster.wish(2);
    let told =
        |cluster: &Cluster| cluster.condition("MixedVersions").map(|told| told.message).unwrap_or_default();
    cluster.until("it is told", seconds(30), |cluster| !told(cluster).is_empty()).await;
    assert!(told(&cluster).contains("one fixed image tag"), "{}", told(&cluster));
    cluster.pass(minutes(2)).await;
    assert_eq!((cluster.replicas(), cluster.hooks.times("Suspend")), (3, 0), "{}", cluster.dump());
    assert!(!told(&cluster).is_empty(), "still told");
    run(&mut cluster, "2.1.2").await;
    cluster.until("it is asked to leave", minutes(4), |cluster| cluster.hooks.times("Leave") > 0).await;
    // Not by the invariants: the restarts of this scenario refuse clients.
    let whole = |cluster: &Cluster| cluster.settled(2) && cluster.dead_members().is_empty();
    cluster.until("two nodes are left", minutes(2), whole).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "{}", cluster.dump());
}
