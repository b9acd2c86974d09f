//! An object of our kind that this version cannot read: one that is older than the rule which would refuse it, or that a
//! later version has written. It is told on that object, and nobody else is kept from anything.

use rstest::rstest;
use serde_json::{Value, json};
use vernescale::api::Via;

use crate::bad_input::{two_and_one_too_many, works_again};
use crate::metrics::gauges;
use crate::one_leave::{begin, ends_well, three};
use crate::our_resource::told;
use crate::steering::{asked_to_leave, draining, edit, serves, sizes_written, until_step};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// More than 32 bits.
const TOO_LARGE: u64 = 5_000_000_000;

/// A second resource, which nobody can read, with a StatefulSet of its own or with that of the first.
fn second(world: &World, target: &str, online_at_kill: u64) {
    let mut object =
        Value::clone(&world.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("the first"));
    object["metadata"] = json!({ "name": "second", "namespace": NAMESPACE });
    object["status"] = Value::Null;
    object["spec"]["targetRef"]["name"] = target.into();
    object["spec"]["leave"]["maxOnlineAtKill"] = online_at_kill.into();
    world.kubernetes.apply(&object).expect("without the rule it is taken");
}

/// What stands on the object and in the metrics.
fn is_told(world: &World, resource: &str) -> bool {
    let gauge = format!(r#"vernescale_condition{{condition="SpecInvalid",name="{resource}"}} 1"#);
    let said = told(world, resource, "SpecInvalid").unwrap_or_default();
    said.starts_with("spec.leave.maxOnlineAtKill: ")
        && said.contains("5000000000")
        && said.contains("correct this field")
        && world.metrics("a").contains(&gauge)
}

/// It comes in the middle of a shrink; whoever starts anew afterwards goes on as well.
#[rstest]
#[tokio::test(start_paused = true)]
async fn another_resource_stops_nobody(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values("elsewhere", NAME)] target: &str,
) {
    let mut world = three(via).start().await;
    begin(&mut world).await;
    until_step(&mut world, "Drain").await;
    second(&world, target, TOO_LARGE);
    world.until("it is told on that one", seconds(20), |world| is_told(world, "second")).await;
    world.kill_controller("a").await;
    world.start_controller("a");
    ends_well(&mut world).await;
    assert_eq!(told(&world, NAME, "ReconcileFailed"), None, "{}", world.dump());
    assert!(is_told(&world, "second"), "{}", world.dump());
    let events = world.kubernetes.objects("events", NAMESPACE);
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
    let mut world = draining(via).await;
    edit(&world, &json!({ "leave": { "maxOnlineAtKill": TOO_LARGE } }));
    world.until("it is told", seconds(5), |world| is_told(world, NAME)).await;
    second(&world, NAME, 50);
    for restart in [false, true] {
        if restart {
            world.kill_controller("a").await;
            world.start_controller("a");
        }
        world.pass(seconds(30)).await;
        assert!(is_told(&world, NAME), "told no more\n{}", world.dump());
        assert_eq!(told(&world, NAME, "ReconcileFailed"), None);
        assert!(
            told(&world, "second", "TargetTaken").is_some(),
            "whose target it is, is known\n{}",
            world.dump()
        );
        assert_eq!(world.step().as_deref(), Some("Drain"), "{}", world.dump());
        let shown = gauges(&world, "a");
        let known =
            |line: &&String| line.contains(&format!(r#"name="{NAME}""#)) && !line.contains("condition");
        assert_eq!(shown.iter().find(known), None, "what is not known is not shown");
        assert!(!asked_to_leave(&world) && sizes_written(&world).is_empty(), "{}", world.dump());
    }
    edit(&world, &json!({ "leave": { "maxOnlineAtKill": 50 } }));
    world.until("nothing is told", seconds(5), |world| told(world, NAME, "SpecInvalid").is_none()).await;
    world.until("two nodes", minutes(4), |world| world.settled(2)).await;
    assert!(serves(&world, 0) && serves(&world, 1), "{}", world.dump());
    world.assert_bars().await;
}

/// What a later version has remembered in the status: it is not the truth about anything, and is written anew.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_status_of_a_later_version_is_written_anew(#[case] via: Via) {
    let mut world = two_and_one_too_many(via).start().await;
    let status = json!({
        "conditions": [], "wanted": "more", "intent": { "step": "Teleport" }, "history": { "leaves": "two" },
    });
    assert!(world.edit(|resource| resource["status"] = status));
    world.load(1.0).await;
    world.start_controller("a");
    works_again(&mut world).await;
    assert!(world.resource().is_some_and(|resource| resource.status.is_some()), "it can be read again");
}
