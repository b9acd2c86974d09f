//! The controller's own metrics, against what has happened.

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use vernescale::api::Via;

use crate::bad_input::two_and_one_too_many;
use crate::cluster::{Cluster, NAME, minutes, seconds};
use crate::steering::{annotation, draining};
use crate::told::annotate;

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
pub(crate) fn gauges(cluster: &Cluster, identity: &str) -> Vec<String> {
    let about = ["wanted", "replicas", "members", "step", "veto", "condition"];
    let about = about.map(|gauge| format!("vernescale_{gauge}{{"));
    let page = cluster.metrics(identity);
    let lines = page.lines().filter(|line| about.iter().any(|gauge| line.starts_with(gauge)));
    lines.map(str::to_owned).collect()
}

/// Whether a line of the page begins so; labels are in alphabetical order.
fn shows(cluster: &Cluster, series: &str) -> bool {
    cluster.metrics("a").lines().any(|line| line.starts_with(series))
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_and_a_fault_are_counted(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    cluster.kubernetes.faults().add(Rule::new(Fault::ServerError).resource("pods").verb(Verb::List).times(1));
    cluster.load(1.0).await;
    cluster.start_controller("a");
    let leaving = format!(r#"vernescale_step{{name="{NAME}",step="Leave"}} 1"#);
    cluster.until("the leave is shown", minutes(4), |cluster| shows(cluster, &leaving)).await;
    assert!(shows(&cluster, &format!(r#"vernescale_wanted{{name="{NAME}"}} 1"#)), "{}", cluster.metrics("a"));
    let both = format!(r#"vernescale_replicas{{name="{NAME}"}} 2"#);
    assert!(shows(&cluster, &both), "{}", cluster.metrics("a"));

    let counted = format!(r#"vernescale_changes_total{{kind="Shrink",name="{NAME}",outcome="Completed"}} 1"#);
    cluster.until("the shrink is counted", minutes(4), |cluster| shows(cluster, &counted)).await;
    cluster.pass(seconds(5)).await;
    for gauge in ["wanted", "replicas", "members"] {
        let one = format!(r#"vernescale_{gauge}{{name="{NAME}"}} 1"#);
        assert!(shows(&cluster, &one), "{one} is not in {}", cluster.metrics("a"));
    }
    // The simulator has no autoscalers: each list of them is a call that failed.
    let unlisted = r#"vernescale_errors_total{kind="NotFound"} "#;
    for series in ["vernescale_leading 1", r#"vernescale_errors_total{kind="Unknown"} 1"#, unlisted] {
        assert!(shows(&cluster, series), "{series} is not in {}", cluster.metrics("a"));
    }
    assert!(!shows(&cluster, "vernescale_step{"), "no step is under way: {}", cluster.metrics("a"));

    cluster.edit_spec(&json!({ "mode": "GrowOnly" }));
    cluster.wish(2);
    let veto = format!(r#"vernescale_veto{{name="{NAME}",veto="GrowOnly"}} 1"#);
    let both = |cluster: &Cluster| shows(cluster, &veto) && shows(cluster, "vernescale_step{");
    cluster.until("a veto and a step are shown", minutes(1), both).await;
    let page = cluster.metrics("a");
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
    let mut cluster = draining(via).await;
    let known = |cluster: &Cluster| {
        let page = gauges(cluster, "a");
        let both = ["vernescale_wanted{", "vernescale_step{"];
        both.iter().all(|gauge| page.iter().any(|line| line.starts_with(gauge)))
    };
    cluster.until("the drain is shown", seconds(5), known).await;
    let record = annotation(&cluster).expect("it drains");
    let condition = match blocks {
        Blocks::Look => {
            cluster.kubernetes.faults().add(Rule::new(Fault::Forbidden).resource("pods").verb(Verb::List));
            "ReconcileFailed"
        }
        Blocks::Record => {
            annotate(&cluster, Some("{}"));
            "IntentUnreadable"
        }
    };
    cluster.until("it is told", seconds(5), |cluster| cluster.condition(condition).is_some()).await;
    let told = format!(r#"vernescale_condition{{condition="{condition}",name="{NAME}"}} 1"#);
    let (conditions, rest): (Vec<_>, Vec<_>) =
        gauges(&cluster, "a").into_iter().partition(|line| line.starts_with("vernescale_condition{"));
    assert!(conditions.contains(&told), "{told} is not in {conditions:?}");
    assert_eq!(rest, Vec::<String>::new(), "nothing else is known");
    cluster.kubernetes.faults().clear();
    annotate(&cluster, Some(&record));
    let again = |cluster: &Cluster| shows(cluster, &format!(r#"vernescale_replicas{{name="{NAME}"}}"#));
    cluster.until("it is shown again", seconds(10), again).await;
    cluster.until("two nodes are left", minutes(3), |cluster| cluster.settled(2)).await;
    cluster.assert_invariants().await;
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
    let spec = json!({ "routingProbeSecretRef": { "name": "routing-probe" } });
    let mut cluster = two_and_one_too_many(via).spec(&spec).start().await;
    let rule = Rule::new(Fault::Forbidden).resource(resource).verb(verb).client("a").times(1);
    let rule = cluster.kubernetes.faults().add(rule);
    cluster.load(1.0).await;
    cluster.start_controller("a");
    let met = |cluster: &Cluster| cluster.kubernetes.faults().hits(rule) == 1;
    cluster.until("it is refused", minutes(2), met).await;
    cluster.pass(seconds(1)).await;
    let counted = r#"vernescale_errors_total{kind="Forbidden"} 1"#;
    assert!(shows(&cluster, counted), "{counted} is not in {}", cluster.metrics("a"));
}
