//! What keeps the controller from its work without any broker being wrong: each is told by its name, holds what it
//! must, and is told no more once it is mended, without a restart of the controller.

use lifecycle::Outcome;
use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;
use vernescale::kubernetes::intent_record::INTENT;

use crate::bad_input::{stands, two_and_one_too_many, works_again};
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, outcome, three};
use crate::steering::{annotation, asked_to_leave, draining, edit, serves, sizes_written, until_undone};

/// A right that the controller's role lacks.
fn forbidden(resource: &str, verb: Verb) -> Rule {
    Rule::new(Fault::Forbidden).resource(resource).verb(verb).client("a")
}

/// It is told no more.
async fn until_silent(cluster: &mut Cluster, condition: &str) {
    let silent = |cluster: &Cluster| cluster.condition(condition).is_none();
    cluster.until("nothing is told", seconds(20), silent).await;
}

/// Why our resource is not ready, where it is not.
pub(crate) fn not_ready(cluster: &Cluster) -> Option<String> {
    let conditions = cluster.status().conditions;
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
    let mut cluster = two_and_one_too_many(via).start().await;
    cluster.wish(2);
    cluster.load(1.0).await;
    if !from_the_first {
        cluster.start_controller("a");
        cluster.pass(seconds(5)).await;
    }
    let rule = cluster.kubernetes.faults().add(forbidden("pods", Verb::List));
    if from_the_first {
        cluster.start_controller("a");
    } else {
        cluster.wish(1);
    }
    stands(&mut cluster, "ReconcileFailed", "list pods: not allowed").await;
    assert_eq!(not_ready(&cluster).as_deref(), Some("ReconcileFailed"));
    cluster.wish(2);
    cluster.kubernetes.faults().remove(rule);
    until_silent(&mut cluster, "ReconcileFailed").await;
    works_again(&mut cluster).await;
}

/// The pod's label cannot be set: nothing that comes after it is done.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_call_that_fails(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    let rule = cluster.kubernetes.faults().add(forbidden("pods", Verb::Patch));
    begin(&mut cluster).await;
    let told = |cluster: &Cluster| cluster.condition("CallFailed");
    cluster.until("it is told", minutes(4), |cluster| told(cluster).is_some()).await;
    let message = told(&cluster).expect("it stands").message;
    assert!(message.contains("label pod: not allowed") && message.contains("ServiceAccount"), "{message}");
    for _ in 0..20 {
        cluster.pass(seconds(1)).await;
        assert!(told(&cluster).is_some(), "told no more\n{}", cluster.dump());
        assert_eq!((cluster.step().as_deref(), cluster.serving()), (Some("Fence"), 3), "{}", cluster.dump());
    }
    assert_eq!(cluster.hooks.times("Suspend"), 0, "its listeners were closed before nobody comes any more");
    cluster.kubernetes.faults().remove(rule);
    until_silent(&mut cluster, "CallFailed").await;
    ends_well(&mut cluster).await;
}

/// Writes the record on the StatefulSet, or takes it away, as `kubectl annotate` does.
pub(crate) fn annotate(cluster: &Cluster, record: Option<&str>) {
    let patch = json!({ "metadata": { "annotations": { INTENT: record } } });
    assert!(cluster.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| json_patch::merge(set, &patch)));
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_of_somebody_elses(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    annotate(&cluster, Some("by hand"));
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "IntentUnreadable", "delete it when no node is leaving").await;
    assert_eq!(annotation(&cluster).as_deref(), Some("by hand"), "it is not ours to write over");
    cluster.wish(2);
    annotate(&cluster, None);
    until_silent(&mut cluster, "IntentUnreadable").await;
    works_again(&mut cluster).await;
}

/// The same while a node leaves. What the condition advises is done: it is restored from the status.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_is_lost_while_a_node_leaves(#[case] via: Via) {
    let mut cluster = draining(via).await;
    annotate(&cluster, Some("{}"));
    let told = |cluster: &Cluster| cluster.condition("IntentUnreadable");
    cluster.until("it is told", seconds(5), |cluster| told(cluster).is_some()).await;
    for _ in 0..20 {
        cluster.pass(seconds(1)).await;
        assert!(
            told(&cluster).is_some() && not_ready(&cluster).is_some(),
            "told no more\n{}",
            cluster.dump()
        );
        assert_eq!(
            (asked_to_leave(&cluster), sizes_written(&cluster)),
            (false, vec![]),
            "{}",
            cluster.dump()
        );
    }
    let message = told(&cluster).expect("it stands").message;
    assert!(message.contains("restore it from `status.intent`"), "{message}");
    let intent = cluster.status().intent.expect("the status has it");
    annotate(&cluster, Some(&serde_json::to_string(&intent).expect("JSON")));
    until_silent(&mut cluster, "IntentUnreadable").await;
    ends_well(&mut cluster).await;
}

/// An object that is older than the rule which would refuse it.
fn set_bounds(cluster: &Cluster, min: u32, max: u32) {
    edit(cluster, &json!({ "minReplicas": min, "maxReplicas": max }));
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_spec_that_nothing_can_be_decided_by(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    set_bounds(&cluster, 5, 3);
    cluster.load(1.0).await;
    cluster.start_controller("a");
    stands(&mut cluster, "SpecInvalid", "5 is larger than maxReplicas 3; swap them").await;
    assert_eq!(not_ready(&cluster).as_deref(), Some("SpecInvalid"));
    cluster.wish(2);
    set_bounds(&cluster, 1, 10);
    until_silent(&mut cluster, "SpecInvalid").await;
    works_again(&mut cluster).await;
}

/// It becomes so during the drain: the leaver stays.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_spec_that_becomes_so_before_the_leave(#[case] via: Via) {
    let mut cluster = draining(via).await;
    set_bounds(&cluster, 5, 3);
    until_undone(&mut cluster, "").await;
    cluster.until("the leaver serves", seconds(3), |cluster| serves(cluster, 2)).await;
    cluster.pass(seconds(10)).await;
    assert!(cluster.settled(3) && cluster.condition("SpecInvalid").is_some(), "{}", cluster.dump());
    set_bounds(&cluster, 1, 10);
    until_silent(&mut cluster, "SpecInvalid").await;
    ends_well(&mut cluster).await;
}

/// No request reaches the broker that is asked: it is asked again for a minute and a half, then the leaver serves again.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_that_does_not_begin(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    let (kubernetes, fleet) = (cluster.kubernetes.clone(), cluster.fleet.clone());
    cluster.hooks.after("record Leave", move || async move {
        fleet.lose_leave_requests(u32::MAX);
        let cut = Rule::new(Fault::Cut { applied: false });
        kubernetes.faults().add(cut.resource("pods/exec").verb(Verb::Exec));
    });
    let (kubernetes, fleet) = (cluster.kubernetes.clone(), cluster.fleet.clone());
    cluster.hooks.after("record Cancel", move || async move {
        fleet.lose_leave_requests(0);
        kubernetes.faults().clear();
    });
    begin(&mut cluster).await;
    cluster.until("it is asked", minutes(4), |cluster| cluster.hooks.times("Leave") == 1).await;
    let turned = |cluster: &Cluster| cluster.hooks.times("record Cancel") == 1;
    let tried = cluster.until("it turns back", minutes(2), turned).await;
    assert!(tried >= seconds(80) && cluster.hooks.times("Leave") > 5, "{tried:?}\n{}", cluster.dump());
    let undone = |cluster: &Cluster| outcome(cluster) == Some(Outcome::Cancelled);
    cluster.until("it is undone", minutes(1), undone).await;
    let reason = cluster.intent().and_then(|intent| intent.reason).unwrap_or_default();
    assert!(reason.starts_with("LeaveNotBegun: the leave of pod 2 has not begun in time"), "{reason}");
    assert!(serves(&cluster, 2) && sizes_written(&cluster).is_empty(), "{}", cluster.dump());
    let events = cluster.kubernetes.objects("events", NAMESPACE);
    assert!(events.iter().any(|event| event["reason"] == "LeaveNotBegun"), "nobody is told: {events:?}");
    ends_well(&mut cluster).await;
    assert!(cluster.condition("LeaveNotBegun").is_none(), "still told\n{}", cluster.dump());
}
