//! Reconciles that break off: by a fault of ours, by a policy that refuses what we write, by a server that does not answer.

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, three};
use crate::our_resource::delete;
use crate::steering::{serves, steered, until_step, until_undone};

fn told(cluster: &Cluster, name: &str) -> String {
    cluster.condition(name).map(|told| told.message).unwrap_or_default()
}

/// A fault that we do not know of: what it met is undone, and met again not before five minutes have passed.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_panic_is_told_and_holds_what_follows(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    cluster.hooks.after("record Drain", || async { panic!("made by a test") });
    begin(&mut cluster).await;
    let panicked =
        |cluster: &Cluster| told(cluster, "WorkerPanicked").contains("(made by a test) and has begun anew");
    cluster.until("it is told", minutes(3), panicked).await;
    assert!(cluster.metrics("a").contains(r#"vernescale_errors_total{kind="Panic"} 1"#));
    until_undone(&mut cluster, "WorkerPanicked").await;
    cluster.until("the leaver serves", seconds(5), |cluster| serves(cluster, 2)).await;
    cluster.pass(minutes(3)).await;
    assert!(cluster.settled(3) && panicked(&cluster), "{}", cluster.dump());
    cluster.until("it is told no more", minutes(3), |cluster| !panicked(cluster)).await;
    ends_well(&mut cluster).await;
}

/// As a policy without a `reason` does: 422, which is what the guard of a patch answers, too.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_what_we_write_is_told(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("statefulsets", "vernemqautoscalers", "pods")] what: &str,
) {
    let mut cluster = three(via).start().await;
    let refused = Rule::new(Fault::Invalid).resource(what).verb(Verb::Patch).client("a");
    let refused = cluster.kubernetes.faults().add(refused);
    begin(&mut cluster).await;
    let known = |cluster: &Cluster| {
        !told(cluster, "ReconcileFailed").is_empty() || !told(cluster, "CallFailed").is_empty()
    };
    cluster.until("it is told", minutes(1), known).await;
    let before = cluster.kubernetes.faults().hits(refused);
    cluster.pass(minutes(1)).await;
    let hits = cluster.kubernetes.faults().hits(refused) - before;
    assert!(hits <= 20, "it is asked {hits} times a minute\n{}", cluster.dump());
    assert_eq!(cluster.replicas(), 3, "{}", cluster.dump());
    cluster.kubernetes.faults().clear();
    ends_well(&mut cluster).await;
}

/// Nobody has seen that the member is alive again.
#[tokio::test(start_paused = true)]
async fn what_stands_stays_while_reconciles_fail() {
    let mut cluster = steered(Via::ManagementApi, 3).spec(&json!({ "deadAfter": "30s" })).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    let _broken = break_for_good(&cluster, 2);
    cluster.until("it is dead", minutes(3), |cluster| cluster.condition("MemberDead").is_some()).await;
    let since = cluster.condition("MemberDead").map(|dead| dead.last_transition_time);
    cluster.kubernetes.faults().add(Rule::new(Fault::ServerError).resource("pods").verb(Verb::List).times(2));
    cluster.until("it fails", seconds(10), |cluster| cluster.condition("ReconcileFailed").is_some()).await;
    assert!(cluster.metrics("a").contains(r#"condition="MemberDead""#), "{}", cluster.metrics("a"));
    cluster.until("it is over", seconds(20), |cluster| cluster.condition("ReconcileFailed").is_none()).await;
    assert_eq!(cluster.condition("MemberDead").map(|dead| dead.last_transition_time), since);
    let events = cluster.kubernetes.objects("events", NAMESPACE);
    assert_eq!(events.iter().filter(|event| event["reason"] == "MemberDead").count(), 1);
}

/// It is fenced, and harms nobody: `kubectl delete` does not wait for it for ever.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_newcomer_that_never_joins_does_not_keep_the_resource(#[case] via: Via) {
    let mut cluster = steered(via, 2).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    cluster.wish(3);
    until_step(&mut cluster, "Join").await;
    cluster.until("it runs", minutes(1), |cluster| cluster.node(2).is_some()).await;
    let _broken = break_for_good(&cluster, 2);
    cluster.pass(seconds(5)).await;
    let _anew = delete(&cluster, 2).await;
    cluster.until("the resource is gone", minutes(15), |cluster| cluster.resource().is_none()).await;
    assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
    let set = cluster.kubernetes.object("statefulsets", NAMESPACE, NAME).expect("it is there");
    assert!(set.pointer("/metadata/annotations/vernescale.dev~1intent").is_some(), "whoever comes goes on");
}
