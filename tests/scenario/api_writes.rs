//! Each kind of write that a change consists of goes wrong in every way, the one after the other: the
//! change ends all the same, and nothing wrong is written.

use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, RuleId, Verb};
use simulator::model::{Connect, Protocol};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::api_faults::{Making, assert_right, patient, to};
use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::late_shrink::set_ready;
use crate::one_leave::node;
use crate::steering::claim;

/// What an API server does to a write. The last two have done it.
const WAYS: [Fault; 6] = [
    Fault::Conflict,
    Fault::TooManyRequests(1),
    Fault::ServerError,
    Fault::Hang { applied: false },
    Fault::Hang { applied: true },
    Fault::Cut { applied: true },
];

/// In rows: what is done is not asked for again.
fn rows() -> [&'static [Fault]; 2] {
    let (row, last) = WAYS.split_at(5);
    [row, last]
}

/// One after the other.
fn in_turn(ways: &[Fault]) -> Rule {
    ways[1..].iter().fold(Rule::new(ways[0]), |rule, way| rule.or(*way))
}

/// A kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of the finalizer on our resource.
    Hold,
    /// Of the annotation on the StatefulSet.
    Intent,
    Scale,
    Label,
    Claim,
    Status,
}

impl Kind {
    /// All ways in a row where a change has one or two such writes; else some pass between.
    fn goes_wrong(self, ways: &[Fault]) -> Rule {
        let row = u32::try_from(ways.len()).expect("a handful");
        let rule = in_turn(ways);
        match self {
            Self::Hold => rule.resource("vernemqautoscalers").verb(Verb::Patch).times(row),
            Self::Intent => rule.resource("statefulsets").verb(Verb::Patch).times(2).then_pass(1),
            Self::Scale => rule.resource("statefulsets/scale").verb(Verb::Patch).times(row),
            Self::Label => rule.resource("pods").verb(Verb::Patch).times(row),
            Self::Claim => rule.resource("persistentvolumeclaims").verb(Verb::Delete).times(row),
            Self::Status => {
                rule.resource("vernemqautoscalers/status").verb(Verb::Update).times(2).then_pass(1)
            }
        }
    }

    /// A growth consists of it, too.
    fn grows(self) -> bool {
        self != Self::Claim
    }
}

/// Every way was met.
fn assert_met(cluster: &Cluster, rule: RuleId, ways: usize) {
    let hits = cluster.kubernetes.faults().hits(rule) as usize;
    assert!(hits >= ways, "only {hits} met a fault\n{}", cluster.dump());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_write_goes_wrong_in_every_way(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Kind::Hold, Kind::Intent, Kind::Scale, Kind::Label, Kind::Claim, Kind::Status)] kind: Kind,
) {
    // Where most reconciles hang, there are too few of them for a rate over 10 s.
    let window = if matches!(kind, Kind::Intent | Kind::Status) { "1m" } else { "10s" };
    let mut cluster = patient(via).spec(&json!({ "window": window })).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    for ways in rows() {
        for size in [1, 2] {
            let rule = cluster.kubernetes.faults().add(kind.goes_wrong(ways));
            to(&mut cluster, size).await;
            let told = |cluster: &Cluster| {
                let status = cluster.status();
                status.replicas.map(u64::from) == Some(size) && status.step.is_none()
            };
            cluster.until("the status says so", seconds(30), told).await;
            if size == 1 || kind.grows() {
                assert_met(&cluster, rule, ways.len());
            }
            cluster.kubernetes.faults().remove(rule);
        }
    }
    // Each is counted once, whatever became of the record of its end.
    let page = cluster.metrics("a");
    let completed: Vec<_> = page.lines().filter(|line| line.contains(r#"outcome="Completed""#)).collect();
    let twice = |change| {
        format!(r#"vernescale_changes_total{{kind="{change}",name="{NAME}",outcome="Completed"}} 2"#)
    };
    assert_eq!(completed, ["Grow", "Shrink"].map(twice));
    cluster.assert_invariants().await;
}

/// Nobody repeats an Event, and nothing waits for one.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn every_event_goes_wrong(#[case] via: Via) {
    let mut cluster = patient(via).start().await;
    cluster.load(1.0).await;
    let rule = cluster.kubernetes.faults().add(in_turn(&WAYS).resource("events").verb(Verb::Create));
    cluster.start_controller("a");
    for size in [1, 2, 1, 2] {
        to(&mut cluster, size).await;
    }
    assert_met(&cluster, rule, WAYS.len());
    cluster.assert_invariants().await;
    let log = cluster.kubernetes.log();
    for reason in ["ShrinkBegan", "ShrinkCompleted", "GrowBegan", "GrowCompleted"] {
        let told = log.iter().filter(|write| write.resource == "events" && write.body["reason"] == reason);
        assert_eq!(told.count(), 2, "{reason} is told once a change");
    }
    let page = cluster.metrics("a");
    let reconciles =
        |series: &str| page.lines().find_map(|line| line.strip_prefix(series)?.parse::<u32>().ok());
    let quick =
        reconciles(&format!(r#"vernescale_reconcile_duration_seconds_bucket{{name="{NAME}",le="2"}} "#));
    let all = reconciles(&format!(r#"vernescale_reconcile_duration_seconds_count{{name="{NAME}"}} "#));
    assert!(all > Some(100) && quick == all, "{quick:?} of {all:?} reconciles did not wait for an Event");
}

fn epoch_of(cluster: &Cluster) -> u64 {
    cluster.intent().map_or(0, |intent| intent.epoch)
}

/// The shrinks that it takes, and the leaves that are asked for. Only a leave that was certainly not taken is
/// undone; of one that may have been taken the nodes tell.
fn expected(step: &str, way: Fault) -> (u64, usize) {
    match (step, way) {
        ("Leave", Fault::Conflict | Fault::TooManyRequests(_)) => (2, 2),
        ("Leave", Fault::ServerError | Fault::Hang { applied: false }) => (1, 2),
        _ => (1, 1),
    }
}

/// The first command of each step that is made of commands.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_command_goes_wrong_in_every_way(#[values("Suspend", "Drain", "Leave")] step: &str) {
    let mut cluster = patient(Via::Exec).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    for way in WAYS {
        let (epoch, leaves) = (epoch_of(&cluster), cluster.hooks.times("Leave"));
        // The others have moved away with the first leave.
        let (node, visitor) = (node(&cluster, 1), Connect::new("visitor", Protocol::V4, true));
        cluster.fleet.with_model(|model, now| model.connect(&node, visitor, now));
        let kubernetes = cluster.kubernetes.clone();
        let before = kubernetes.log().len();
        cluster.hooks.after(&format!("record {step}"), move || async move {
            let command = Rule::new(way).resource("pods/exec").verb(Verb::Exec);
            kubernetes.faults().add(command.times(1));
        });
        to(&mut cluster, 1).await;
        let log = cluster.kubernetes.log();
        let mut commands = log[before..].iter().filter(|write| write.resource == "pods/exec");
        // A command that is carried out is answered by the upgrade, and loses its output after it.
        let code = match way {
            Fault::Conflict => 409,
            Fault::TooManyRequests(_) => 429,
            Fault::ServerError => 500,
            Fault::Hang { applied: false } => 0,
            _ => 101,
        };
        assert!(commands.any(|command| command.code == code), "nobody met {way:?}\n{}", cluster.dump());
        let begun = (epoch_of(&cluster) - epoch, cluster.hooks.times("Leave") - leaves);
        assert_eq!(begun, expected(step, way), "shrinks and leaves, with {way:?}\n{}", cluster.dump());
        cluster.kubernetes.faults().clear();
        to(&mut cluster, 2).await;
    }
    cluster.assert_invariants().await;
}

/// A pod is deleted only where its controller waits for an unhealthy lower ordinal.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_deletion_of_a_pod_goes_wrong_in_every_way(#[case] via: Via) {
    // The first probe comes in time, the next after the scenario: readiness is ours.
    let mut cluster = patient(via).install(|install| install.probe_period = minutes(600)).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    for ways in rows() {
        let row = u32::try_from(ways.len()).expect("a handful");
        let delete = in_turn(ways).resource("pods").verb(Verb::Delete).times(row);
        let rule = cluster.kubernetes.faults().add(delete);
        let kubernetes = cluster.kubernetes.clone();
        cluster.hooks.after("record Shrink", move || async move {
            set_ready(&kubernetes, 0, false);
            sleep(Duration::from_millis(100)).await;
        });
        let before = cluster.kubernetes.log().len();
        cluster.wish(1);
        cluster.until("the pod is gone", minutes(15), |cluster| cluster.pod_count() == 1).await;
        assert_met(&cluster, rule, ways.len());
        set_ready(&cluster.kubernetes, 0, true);
        cluster.until("1 serves", minutes(2), |cluster| cluster.settled(1)).await;
        assert_right(&cluster.kubernetes.log()[before..], 1);
        to(&mut cluster, 2).await;
    }
    cluster.assert_invariants().await;
}

/// A list of claims that was not read is not an empty one: the claim of the node that has left goes.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_list_of_claims_goes_wrong_in_every_way(#[case] via: Via) {
    let mut cluster = patient(via).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    cluster.wish(1);
    cluster.until("the size is lowered", minutes(3), |cluster| cluster.replicas() == 1).await;
    let row = u32::try_from(WAYS.len()).expect("a handful");
    let list = in_turn(&WAYS).resource("persistentvolumeclaims").verb(Verb::List).times(row);
    let rule = cluster.kubernetes.faults().add(list);
    to(&mut cluster, 1).await;
    assert_eq!(claim(&cluster, 1), None, "its volume must not be used again\n{}", cluster.dump());
    assert_met(&cluster, rule, WAYS.len());
}

/// The StatefulSet's status changes fifty times a second, and what was read of it is always older.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_statefulset_that_never_rests(#[case] via: Via) {
    let mut cluster = patient(via).replicas(1).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    cluster.until("it is taken", seconds(10), |cluster| cluster.hooks.times("owner") == 1).await;
    let late = Rule::new(Fault::Slow(Duration::from_millis(50))).resource("pods").verb(Verb::List);
    cluster.kubernetes.faults().add(late);
    let kubernetes = cluster.kubernetes.clone();
    let _busy = Making(tokio::spawn(async move {
        for change in 0u32.. {
            kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
                set["status"]["collisionCount"] = change.into();
            });
            sleep(Duration::from_millis(20)).await;
        }
    }));
    for (size, step) in [(2, "Raise"), (1, "Fence")] {
        cluster.wish(size);
        let recorded = |cluster: &Cluster| cluster.hooks.times(&format!("record {step}")) == 1;
        cluster.until("it is recorded", seconds(20), recorded).await;
        to(&mut cluster, size).await;
    }
    cluster.assert_invariants().await;
}
