//! Reconciles that break off: by a fault of ours, by a policy that refuses what we write, by a server that does not answer.

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::one_leave::{begin, ends_well, three};
use crate::our_resource::delete;
use crate::steering::{serves, steered, until_step, until_undone};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

fn told(world: &World, name: &str) -> String {
    world.condition(name).map(|told| told.message).unwrap_or_default()
}

/// A fault that we do not know of: what it met is undone, and met again not before five minutes have passed.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_panic_is_told_and_holds_what_follows(#[case] via: Via) {
    let mut world = three(via).start().await;
    world.hooks.after("record Drain", || async { panic!("made by a test") });
    begin(&mut world).await;
    let panicked =
        |world: &World| told(world, "WorkerPanicked").contains("(made by a test) and has begun anew");
    world.until("it is told", minutes(3), panicked).await;
    assert!(world.metrics("a").contains(r#"vernescale_errors_total{kind="Panic"} 1"#));
    until_undone(&mut world, "WorkerPanicked").await;
    world.until("the leaver serves", seconds(5), |world| serves(world, 2)).await;
    world.pass(minutes(3)).await;
    assert!(world.settled(3) && panicked(&world), "{}", world.dump());
    world.until("it is told no more", minutes(3), |world| !panicked(world)).await;
    ends_well(&mut world).await;
}

/// As a policy without a `reason` does: 422, which is what the guard of a patch answers, too.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_policy_that_refuses_what_we_write_is_told(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("statefulsets", "vernemqautoscalers", "pods")] what: &str,
) {
    let mut world = three(via).start().await;
    let refused = Rule::new(Fault::Invalid).resource(what).verb(Verb::Patch).client("a");
    let refused = world.kubernetes.faults().add(refused);
    begin(&mut world).await;
    let known =
        |world: &World| !told(world, "ReconcileFailed").is_empty() || !told(world, "CallFailed").is_empty();
    world.until("it is told", minutes(1), known).await;
    let before = world.kubernetes.faults().hits(refused);
    world.pass(minutes(1)).await;
    let hits = world.kubernetes.faults().hits(refused) - before;
    assert!(hits <= 20, "it is asked {hits} times a minute\n{}", world.dump());
    assert_eq!(world.replicas(), 3, "{}", world.dump());
    world.kubernetes.faults().clear();
    ends_well(&mut world).await;
}

/// Nobody has seen that the member is alive again.
#[tokio::test(start_paused = true)]
async fn what_stands_stays_while_reconciles_fail() {
    let mut world = steered(Via::ManagementApi, 3).spec(&json!({ "deadAfter": "30s" })).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    let _broken = break_for_good(&world, 2);
    world.until("it is dead", minutes(3), |world| world.condition("MemberDead").is_some()).await;
    let since = world.condition("MemberDead").map(|dead| dead.last_transition_time);
    world.kubernetes.faults().add(Rule::new(Fault::ServerError).resource("pods").verb(Verb::List).times(2));
    world.until("it fails", seconds(10), |world| world.condition("ReconcileFailed").is_some()).await;
    assert!(world.metrics("a").contains(r#"condition="MemberDead""#), "{}", world.metrics("a"));
    world.until("it is over", seconds(20), |world| world.condition("ReconcileFailed").is_none()).await;
    assert_eq!(world.condition("MemberDead").map(|dead| dead.last_transition_time), since);
    let events = world.kubernetes.objects("events", NAMESPACE);
    assert_eq!(events.iter().filter(|event| event["reason"] == "MemberDead").count(), 1);
}

/// It is fenced, and harms nobody: `kubectl delete` does not wait for it for ever.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_newcomer_that_never_joins_does_not_keep_the_resource(#[case] via: Via) {
    let mut world = steered(via, 2).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    world.wish(3);
    until_step(&mut world, "Join").await;
    world.until("it runs", minutes(1), |world| world.node(2).is_some()).await;
    let _broken = break_for_good(&world, 2);
    world.pass(seconds(5)).await;
    let _anew = delete(&world, 2).await;
    world.until("the resource is gone", minutes(15), |world| world.resource().is_none()).await;
    assert_eq!((world.replicas(), world.serving()), (3, 2), "{}", world.dump());
    let set = world.kubernetes.object("statefulsets", NAMESPACE, NAME).expect("it is there");
    assert!(set.pointer("/metadata/annotations/vernescale.dev~1intent").is_some(), "whoever comes goes on");
}
