//! An object of our kind that this version cannot read: one that is older than the rule which would refuse it, or that a
//! later version has written. It is told on that object, and nobody else is kept from anything.

use rstest::rstest;
use serde_json::{Value, json};
use vernescale::api::Via;

use crate::bad_input::{two_and_one_too_many, works_again};
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::metrics::gauges;
use crate::one_leave::{begin, ends_well, three};
use crate::our_resource::told;
use crate::steering::{asked_to_leave, draining, edit, serves, sizes_written, until_step};

/// More than 32 bits.
const TOO_LARGE: u64 = 5_000_000_000;

/// A second resource, which nobody can read, with a StatefulSet of its own or with that of the first.
fn second(cluster: &Cluster, target: &str, online_at_kill: u64) {
    let mut object =
        Value::clone(&cluster.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("the first"));
    object["metadata"] = json!({ "name": "second", "namespace": NAMESPACE });
    object["status"] = Value::Null;
    object["spec"]["targetRef"]["name"] = target.into();
    object["spec"]["leave"]["maxOnlineAtKill"] = online_at_kill.into();
    cluster.kubernetes.apply(&object).expect("without the rule it is taken");
}

/// What stands on the object and in the metrics.
fn is_told(cluster: &Cluster, resource: &str) -> bool {
    let gauge = format!(r#"vernescale_condition{{condition="SpecInvalid",name="{resource}"}} 1"#);
    let said = told(cluster, resource, "SpecInvalid").unwrap_or_default();
    said.starts_with("spec.leave.maxOnlineAtKill: ")
        && said.contains("5000000000")
        && said.contains("correct this field")
        && cluster.metrics("a").contains(&gauge)
}

/// It comes in the middle of a shrink; whoever starts anew afterwards goes on as well.
#[rstest]
#[tokio::test(start_paused = true)]
async fn another_resource_stops_nobody(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("elsewhere", NAME)] target: &str,
) {
    let mut cluster = three(via).start().await;
    begin(&mut cluster).await;
    until_step(&mut cluster, "Drain").await;
    second(&cluster, target, TOO_LARGE);
    cluster.until("it is told on that one", seconds(20), |cluster| is_told(cluster, "second")).await;
    cluster.kill_controller("a").await;
    cluster.start_controller("a");
    ends_well(&mut cluster).await;
    assert_eq!(told(&cluster, NAME, "ReconcileFailed"), None, "{}", cluster.dump());
    assert!(is_told(&cluster, "second"), "{}", cluster.dump());
    let events = cluster.kubernetes.objects("events", NAMESPACE);
    let of = |event: &Value| event["reason"] == "SpecInvalid" && event["involvedObject"]["name"] == "second";
    assert_eq!(events.iter().filter(|event| of(event)).count(), 1, "{events:?}");
}

/// One's own, in the middle of a drain: everything stays as it is, also by the hand of a controller that starts
/// meanwhile, and no other resource takes its target; mended, it goes on.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_worker_holds_while_its_own_is_so(#[case] via: Via) {
    let mut cluster = draining(via).await;
    edit(&cluster, &json!({ "leave": { "maxOnlineAtKill": TOO_LARGE } }));
    cluster.until("it is told", seconds(5), |cluster| is_told(cluster, NAME)).await;
    second(&cluster, NAME, 50);
    for restart in [false, true] {
        if restart {
            cluster.kill_controller("a").await;
            cluster.start_controller("a");
        }
        cluster.pass(seconds(30)).await;
        assert!(is_told(&cluster, NAME), "told no more\n{}", cluster.dump());
        assert_eq!(told(&cluster, NAME, "ReconcileFailed"), None);
        assert!(
            told(&cluster, "second", "TargetTaken").is_some(),
            "whose target it is, is known\n{}",
            cluster.dump()
        );
        assert_eq!(cluster.step().as_deref(), Some("Drain"), "{}", cluster.dump());
        let shown = gauges(&cluster, "a");
        let known =
            |line: &&String| line.contains(&format!(r#"name="{NAME}""#)) && !line.contains("condition");
        assert_eq!(shown.iter().find(known), None, "what is not known is not shown");
        assert!(!asked_to_leave(&cluster) && sizes_written(&cluster).is_empty(), "{}", cluster.dump());
    }
    edit(&cluster, &json!({ "leave": { "maxOnlineAtKill": 50 } }));
    cluster
        .until("nothing is told", seconds(5), |cluster| told(cluster, NAME, "SpecInvalid").is_none())
        .await;
    cluster.until("two nodes", minutes(4), |cluster| cluster.settled(2)).await;
    assert!(serves(&cluster, 0) && serves(&cluster, 1), "{}", cluster.dump());
    cluster.assert_invariants().await;
}

/// What a later version has remembered in the status: it is not the truth about anything, and is written anew.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_status_of_a_later_version_is_written_anew(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    let status = json!({
        "conditions": [], "wanted": "more", "intent": { "step": "Teleport" }, "history": { "leaves": "two" },
    });
    assert!(cluster.edit(|resource| resource["status"] = status));
    cluster.load(1.0).await;
    cluster.start_controller("a");
    works_again(&mut cluster).await;
    assert!(cluster.resource().is_some_and(|resource| resource.status.is_some()), "it can be read again");
}
