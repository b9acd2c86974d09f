//! The controller's own metrics, against what has happened.

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;

use crate::bad_input::two_and_one_too_many;
use crate::steering::{annotation, draining};
use crate::told::annotate;
use crate::world::{NAME, World, minutes, seconds};

/// The series of `:8889/metrics`, as people are told.
fn documented() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once(":8889/metrics").expect("README speaks of the controller's metrics");
    let (table, _) = table.split_once("\n## ").expect("another chapter follows");
    let names: Vec<_> = table
        .split('`')
        .filter(|quoted| quoted.starts_with("vernescale_"))
        .map(|quoted| quoted.split('{').next().unwrap_or(quoted))
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    names
}

/// The gauges about a resource on the page of this controller; what is counted stays counted.
pub(crate) fn gauges(world: &World, identity: &str) -> Vec<String> {
    let about = ["wanted", "replicas", "members", "step", "veto", "condition"];
    let about = about.map(|gauge| format!("vernescale_{gauge}{{"));
    let page = world.metrics(identity);
    let lines = page.lines().filter(|line| about.iter().any(|gauge| line.starts_with(gauge)));
    lines.map(str::to_owned).collect()
}

/// Whether a line of the page begins so; labels are in alphabetical order.
fn shows(world: &World, series: &str) -> bool {
    world.metrics("a").lines().any(|line| line.starts_with(series))
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_and_a_fault_are_counted(#[case] via: Via) {
    let mut world = two_and_one_too_many(via).start().await;
    world.kubernetes.faults().add(Rule::new(Fault::ServerError).resource("pods").verb(Verb::List).times(1));
    world.load(1.0).await;
    world.start_controller("a");
    let leaving = format!(r#"vernescale_step{{name="{NAME}",step="Leave"}} 1"#);
    world.until("the leave is shown", minutes(4), |world| shows(world, &leaving)).await;
    assert!(shows(&world, &format!(r#"vernescale_wanted{{name="{NAME}"}} 1"#)), "{}", world.metrics("a"));
    let both = format!(r#"vernescale_replicas{{name="{NAME}"}} 2"#);
    assert!(shows(&world, &both), "{}", world.metrics("a"));

    let counted = format!(r#"vernescale_changes_total{{kind="Shrink",name="{NAME}",outcome="Completed"}} 1"#);
    world.until("the shrink is counted", minutes(4), |world| shows(world, &counted)).await;
    world.pass(seconds(5)).await;
    for gauge in ["wanted", "replicas", "members"] {
        let one = format!(r#"vernescale_{gauge}{{name="{NAME}"}} 1"#);
        assert!(shows(&world, &one), "{one} is not in {}", world.metrics("a"));
    }
    // The simulator has no autoscalers: each list of them is a call that failed.
    let unlisted = r#"vernescale_errors_total{kind="NotFound"} "#;
    for series in ["vernescale_leading 1", r#"vernescale_errors_total{kind="Unknown"} 1"#, unlisted] {
        assert!(shows(&world, series), "{series} is not in {}", world.metrics("a"));
    }
    assert!(!shows(&world, "vernescale_step{"), "no step is under way: {}", world.metrics("a"));

    world.edit_spec(&json!({ "mode": "GrowOnly" }));
    world.wish(2);
    let veto = format!(r#"vernescale_veto{{name="{NAME}",veto="GrowOnly"}} 1"#);
    let both = |world: &World| shows(world, &veto) && shows(world, "vernescale_step{");
    world.until("a veto and a step are shown", minutes(1), both).await;
    let page = world.metrics("a");
    for name in documented() {
        assert!(page.contains(name), "{name} is in README and not in {page}");
    }
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(documented().contains(&name), "{name} is not in README");
    }
}

/// What keeps a reconcile from its end while a node drains.
#[derive(Clone, Copy, Debug)]
enum Blocks {
    /// The API server does not let us list the pods.
    Look,
    /// The record cannot be read.
    Record,
}

/// What is not known any more is not shown, and shown again once it is.
#[rstest]
#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_not_shown(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Blocks::Look, Blocks::Record)] blocks: Blocks,
) {
    let mut world = draining(via).await;
    let known = |world: &World| {
        let page = gauges(world, "a");
        let both = ["vernescale_wanted{", "vernescale_step{"];
        both.iter().all(|gauge| page.iter().any(|line| line.starts_with(gauge)))
    };
    world.until("the drain is shown", seconds(5), known).await;
    let record = annotation(&world).expect("it drains");
    let condition = match blocks {
        Blocks::Look => {
            world.kubernetes.faults().add(Rule::new(Fault::Forbidden).resource("pods").verb(Verb::List));
            "ReconcileFailed"
        }
        Blocks::Record => {
            annotate(&world, Some("{}"));
            "IntentUnreadable"
        }
    };
    world.until("it is told", seconds(5), |world| world.condition(condition).is_some()).await;
    let told = format!(r#"vernescale_condition{{condition="{condition}",name="{NAME}"}} 1"#);
    let (conditions, rest): (Vec<_>, Vec<_>) =
        gauges(&world, "a").into_iter().partition(|line| line.starts_with("vernescale_condition{"));
    assert!(conditions.contains(&told), "{told} is not in {conditions:?}");
    assert_eq!(rest, Vec::<String>::new(), "nothing else is known");
    world.kubernetes.faults().clear();
    annotate(&world, Some(&record));
    let again = |world: &World| shows(world, &format!(r#"vernescale_replicas{{name="{NAME}"}}"#));
    world.until("it is shown again", seconds(10), again).await;
    world.until("two nodes are left", minutes(3), |world| world.settled(2)).await;
    world.assert_bars().await;
}

/// Each kind of call that no reconcile fails by; where it goes wrong once, one is counted.
#[rstest]
#[case::lease("leases", Verb::Update)]
#[case::event("events", Verb::Create)]
#[case::service("services", Verb::Get)]
#[case::secret("secrets", Verb::Get)]
#[tokio::test(start_paused = true)]
async fn a_call_that_no_reconcile_fails_by_is_counted(
    #[case] resource: &str,
    #[case] verb: Verb,
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
) {
    let spec = json!({ "canarySecretRef": { "name": "canary" } });
    let mut world = two_and_one_too_many(via).spec(&spec).start().await;
    let rule = Rule::new(Fault::Forbidden).resource(resource).verb(verb).client("a").times(1);
    let rule = world.kubernetes.faults().add(rule);
    world.load(1.0).await;
    world.start_controller("a");
    let met = |world: &World| world.kubernetes.faults().hits(rule) == 1;
    world.until("it is refused", minutes(2), met).await;
    world.pass(seconds(1)).await;
    let counted = r#"vernescale_errors_total{kind="Forbidden"} 1"#;
    assert!(shows(&world, counted), "{counted} is not in {}", world.metrics("a"));
}
