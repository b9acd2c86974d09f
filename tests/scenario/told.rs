//! What keeps the controller from its work without any broker being wrong: each is told by its name, holds what it
//! must, and is told no more once it is mended, without a restart of the controller.

use lifecycle::Outcome;
use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;
use vernescale::kubernetes::intent_record::INTENT;

use crate::bad_input::{stands, two_and_one_too_many, works_again};
use crate::one_leave::{begin, ends_well, outcome, three};
use crate::steering::{annotation, asked_to_leave, draining, edit, serves, sizes_written, until_undone};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// A right that the controller's role lacks.
fn forbidden(resource: &str, verb: Verb) -> Rule {
    Rule::new(Fault::Forbidden).resource(resource).verb(verb).client("a")
}

/// It is told no more.
async fn until_silent(world: &mut World, condition: &str) {
    let silent = |world: &World| world.condition(condition).is_none();
    world.until("nothing is told", seconds(20), silent).await;
}

/// Why our resource is not ready, where it is not.
pub(crate) fn not_ready(world: &World) -> Option<String> {
    let conditions = world.status().conditions;
    conditions.into_iter().find(|one| one.type_ == "Ready" && one.status == "False").map(|one| one.reason)
}

/// From the first look on, or after one that was whole and a change of our resource: its status is taken only on
/// the version of now.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_reconcile_that_fails(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(true, false)] from_the_first: bool,
) {
    let mut world = two_and_one_too_many(via).start().await;
    world.wish(2);
    world.load(1.0).await;
    if !from_the_first {
        world.start_controller("a");
        world.pass(seconds(5)).await;
    }
    let rule = world.kubernetes.faults().add(forbidden("pods", Verb::List));
    if from_the_first {
        world.start_controller("a");
    } else {
        world.wish(1);
    }
    stands(&mut world, "ReconcileFailed", "list pods: not allowed").await;
    assert_eq!(not_ready(&world).as_deref(), Some("ReconcileFailed"));
    world.wish(2);
    world.kubernetes.faults().remove(rule);
    until_silent(&mut world, "ReconcileFailed").await;
    works_again(&mut world).await;
}

/// The pod's label cannot be set: nothing that comes after it is done.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_call_that_fails(#[case] via: Via) {
    let mut world = three(via).start().await;
    let rule = world.kubernetes.faults().add(forbidden("pods", Verb::Patch));
    begin(&mut world).await;
    let told = |world: &World| world.condition("CallFailed");
    world.until("it is told", minutes(4), |world| told(world).is_some()).await;
    let message = told(&world).expect("it stands").message;
    assert!(message.contains("label pod: not allowed") && message.contains("ServiceAccount"), "{message}");
    for _ in 0..20 {
        world.pass(seconds(1)).await;
        assert!(told(&world).is_some(), "told no more\n{}", world.dump());
        assert_eq!((world.step().as_deref(), world.serving()), (Some("Fence"), 3), "{}", world.dump());
    }
    assert_eq!(world.hooks.times("Suspend"), 0, "its door was closed before nobody comes any more");
    world.kubernetes.faults().remove(rule);
    until_silent(&mut world, "CallFailed").await;
    ends_well(&mut world).await;
}

/// Writes the record on the StatefulSet, or takes it away, as `kubectl annotate` does.
pub(crate) fn annotate(world: &World, record: Option<&str>) {
    let patch = json!({ "metadata": { "annotations": { INTENT: record } } });
    assert!(world.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| json_patch::merge(set, &patch)));
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_of_somebody_elses(#[case] via: Via) {
    let mut world = two_and_one_too_many(via).start().await;
    annotate(&world, Some("by hand"));
    world.load(1.0).await;
    world.start_controller("a");
    stands(&mut world, "IntentUnreadable", "delete it when no node is leaving").await;
    assert_eq!(annotation(&world).as_deref(), Some("by hand"), "it is not ours to write over");
    world.wish(2);
    annotate(&world, None);
    until_silent(&mut world, "IntentUnreadable").await;
    works_again(&mut world).await;
}

/// The same while a node leaves. What the condition advises is done: it is restored from the status.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_is_lost_while_a_node_leaves(#[case] via: Via) {
    let mut world = draining(via).await;
    annotate(&world, Some("{}"));
    let told = |world: &World| world.condition("IntentUnreadable");
    world.until("it is told", seconds(5), |world| told(world).is_some()).await;
    for _ in 0..20 {
        world.pass(seconds(1)).await;
        assert!(told(&world).is_some() && not_ready(&world).is_some(), "told no more\n{}", world.dump());
        assert_eq!((asked_to_leave(&world), sizes_written(&world)), (false, vec![]), "{}", world.dump());
    }
    let message = told(&world).expect("it stands").message;
    assert!(message.contains("restore it from `status.intent`"), "{message}");
    let intent = world.status().intent.expect("the status has it");
    annotate(&world, Some(&serde_json::to_string(&intent).expect("JSON")));
    until_silent(&mut world, "IntentUnreadable").await;
    ends_well(&mut world).await;
}

/// An object that is older than the rule which would refuse it.
fn set_bounds(world: &World, min: u32, max: u32) {
    edit(world, &json!({ "minReplicas": min, "maxReplicas": max }));
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_spec_that_nothing_can_be_decided_by(#[case] via: Via) {
    let mut world = two_and_one_too_many(via).start().await;
    set_bounds(&world, 5, 3);
    world.load(1.0).await;
    world.start_controller("a");
    stands(&mut world, "SpecInvalid", "5 is larger than maxReplicas 3; swap them").await;
    assert_eq!(not_ready(&world).as_deref(), Some("SpecInvalid"));
    world.wish(2);
    set_bounds(&world, 1, 10);
    until_silent(&mut world, "SpecInvalid").await;
    works_again(&mut world).await;
}

/// It becomes so during the drain: the leaver stays.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_spec_that_becomes_so_before_the_leave(#[case] via: Via) {
    let mut world = draining(via).await;
    set_bounds(&world, 5, 3);
    until_undone(&mut world, "").await;
    world.until("the leaver serves", seconds(3), |world| serves(world, 2)).await;
    world.pass(seconds(10)).await;
    assert!(world.settled(3) && world.condition("SpecInvalid").is_some(), "{}", world.dump());
    set_bounds(&world, 1, 10);
    until_silent(&mut world, "SpecInvalid").await;
    ends_well(&mut world).await;
}

/// No request reaches the broker that is asked: it is asked again for a minute and a half, then the leaver serves again.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_that_does_not_begin(#[case] via: Via) {
    let mut world = three(via).start().await;
    let (kubernetes, fleet) = (world.kubernetes.clone(), world.fleet.clone());
    world.hooks.after("record Leave", move || async move {
        fleet.lose_leave_requests(u32::MAX);
        let cut = Rule::new(Fault::Cut { applied: false });
        kubernetes.faults().add(cut.resource("pods/exec").verb(Verb::Exec));
    });
    let (kubernetes, fleet) = (world.kubernetes.clone(), world.fleet.clone());
    world.hooks.after("record Cancel", move || async move {
        fleet.lose_leave_requests(0);
        kubernetes.faults().clear();
    });
    begin(&mut world).await;
    world.until("it is asked", minutes(4), |world| world.hooks.times("Leave") == 1).await;
    let turned = |world: &World| world.hooks.times("record Cancel") == 1;
    let tried = world.until("it turns back", minutes(2), turned).await;
    assert!(tried >= seconds(80) && world.hooks.times("Leave") > 5, "{tried:?}\n{}", world.dump());
    let undone = |world: &World| outcome(world) == Some(Outcome::Cancelled);
    world.until("it is undone", minutes(1), undone).await;
    let reason = world.intent().and_then(|intent| intent.reason).unwrap_or_default();
    assert!(reason.starts_with("LeaveNotBegun: the leave of pod 2 has not begun in time"), "{reason}");
    assert!(serves(&world, 2) && sizes_written(&world).is_empty(), "{}", world.dump());
    let events = world.kubernetes.objects("events", NAMESPACE);
    assert!(events.iter().any(|event| event["reason"] == "LeaveNotBegun"), "nobody is told: {events:?}");
    ends_well(&mut world).await;
    assert!(world.condition("LeaveNotBegun").is_none(), "still told\n{}", world.dump());
}
