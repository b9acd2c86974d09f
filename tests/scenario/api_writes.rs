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
use crate::late_shrink::set_ready;
use crate::one_leave::node;
use crate::steering::claim;
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

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
fn assert_met(world: &World, rule: RuleId, ways: usize) {
    let hits = world.kubernetes.faults().hits(rule) as usize;
    assert!(hits >= ways, "only {hits} met a fault\n{}", world.dump());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_write_goes_wrong_in_every_way(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Kind::Hold, Kind::Intent, Kind::Scale, Kind::Label, Kind::Claim, Kind::Status)] kind: Kind,
) {
    // Where most reconciles hang, there are too few of them for a rate over 10 s.
    let window = if matches!(kind, Kind::Intent | Kind::Status) { "1m" } else { "10s" };
    let mut world = patient(via).spec(&json!({ "window": window })).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    for ways in rows() {
        for size in [1, 2] {
            let rule = world.kubernetes.faults().add(kind.goes_wrong(ways));
            to(&mut world, size).await;
            let told = |world: &World| {
                let status = world.status();
                status.replicas.map(u64::from) == Some(size) && status.step.is_none()
            };
            world.until("the status says so", seconds(30), told).await;
            if size == 1 || kind.grows() {
                assert_met(&world, rule, ways.len());
            }
            world.kubernetes.faults().remove(rule);
        }
    }
    // Each is counted once, whatever became of the record of its end.
    let page = world.metrics("a");
    let completed: Vec<_> = page.lines().filter(|line| line.contains(r#"outcome="Completed""#)).collect();
    let twice = |change| {
        format!(r#"vernescale_changes_total{{kind="{change}",name="{NAME}",outcome="Completed"}} 2"#)
    };
    assert_eq!(completed, ["Grow", "Shrink"].map(twice));
    world.assert_bars().await;
}

/// Nobody repeats an Event, and nothing waits for one.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn every_event_goes_wrong(#[case] via: Via) {
    let mut world = patient(via).start().await;
    world.load(1.0).await;
    let rule = world.kubernetes.faults().add(in_turn(&WAYS).resource("events").verb(Verb::Create));
    world.start_controller("a");
    for size in [1, 2, 1, 2] {
        to(&mut world, size).await;
    }
    assert_met(&world, rule, WAYS.len());
    world.assert_bars().await;
    let log = world.kubernetes.log();
    for reason in ["ShrinkBegan", "ShrinkCompleted", "GrowBegan", "GrowCompleted"] {
        let told = log.iter().filter(|write| write.resource == "events" && write.body["reason"] == reason);
        assert_eq!(told.count(), 2, "{reason} is told once a change");
    }
    let page = world.metrics("a");
    let reconciles =
        |series: &str| page.lines().find_map(|line| line.strip_prefix(series)?.parse::<u32>().ok());
    let quick =
        reconciles(&format!(r#"vernescale_reconcile_duration_seconds_bucket{{name="{NAME}",le="2"}} "#));
    let all = reconciles(&format!(r#"vernescale_reconcile_duration_seconds_count{{name="{NAME}"}} "#));
    assert!(all > Some(100) && quick == all, "{quick:?} of {all:?} reconciles did not wait for an Event");
}

fn epoch_of(world: &World) -> u64 {
    world.intent().map_or(0, |intent| intent.epoch)
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
    let mut world = patient(Via::Exec).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    for way in WAYS {
        let (epoch, leaves) = (epoch_of(&world), world.hooks.times("Leave"));
        // The others have moved away with the first leave.
        let (node, visitor) = (node(&world, 1), Connect::new("visitor", Protocol::V4, true));
        world.fleet.with_model(|model, now| model.connect(&node, visitor, now));
        let kubernetes = world.kubernetes.clone();
        let before = kubernetes.log().len();
        world.hooks.after(&format!("record {step}"), move || async move {
            let command = Rule::new(way).resource("pods/exec").verb(Verb::Exec);
            kubernetes.faults().add(command.times(1));
        });
        to(&mut world, 1).await;
        let log = world.kubernetes.log();
        let mut commands = log[before..].iter().filter(|write| write.resource == "pods/exec");
        // A command that is carried out is answered by the upgrade, and loses its output after it.
        let code = match way {
            Fault::Conflict => 409,
            Fault::TooManyRequests(_) => 429,
            Fault::ServerError => 500,
            Fault::Hang { applied: false } => 0,
            _ => 101,
        };
        assert!(commands.any(|command| command.code == code), "nobody met {way:?}\n{}", world.dump());
        let begun = (epoch_of(&world) - epoch, world.hooks.times("Leave") - leaves);
        assert_eq!(begun, expected(step, way), "shrinks and leaves, with {way:?}\n{}", world.dump());
        world.kubernetes.faults().clear();
        to(&mut world, 2).await;
    }
    world.assert_bars().await;
}

/// A pod is deleted only where its controller waits for an unhealthy lower ordinal.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_deletion_of_a_pod_goes_wrong_in_every_way(#[case] via: Via) {
    // The first probe comes in time, the next after the story: readiness is ours.
    let mut world = patient(via).install(|install| install.probe_period = minutes(600)).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    for ways in rows() {
        let row = u32::try_from(ways.len()).expect("a handful");
        let delete = in_turn(ways).resource("pods").verb(Verb::Delete).times(row);
        let rule = world.kubernetes.faults().add(delete);
        let kubernetes = world.kubernetes.clone();
        world.hooks.after("record Shrink", move || async move {
            set_ready(&kubernetes, 0, false);
            sleep(Duration::from_millis(100)).await;
        });
        let before = world.kubernetes.log().len();
        world.wish(1);
        world.until("the pod is gone", minutes(15), |world| world.pod_count() == 1).await;
        assert_met(&world, rule, ways.len());
        set_ready(&world.kubernetes, 0, true);
        world.until("1 serves", minutes(2), |world| world.settled(1)).await;
        assert_right(&world.kubernetes.log()[before..], 1);
        to(&mut world, 2).await;
    }
    world.assert_bars().await;
}

/// A list of claims that was not read is not an empty one: the claim of the node that has left goes.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_list_of_claims_goes_wrong_in_every_way(#[case] via: Via) {
    let mut world = patient(via).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    world.wish(1);
    world.until("the size is lowered", minutes(3), |world| world.replicas() == 1).await;
    let row = u32::try_from(WAYS.len()).expect("a handful");
    let list = in_turn(&WAYS).resource("persistentvolumeclaims").verb(Verb::List).times(row);
    let rule = world.kubernetes.faults().add(list);
    to(&mut world, 1).await;
    assert_eq!(claim(&world, 1), None, "its volume must not be used again\n{}", world.dump());
    assert_met(&world, rule, WAYS.len());
}

/// The StatefulSet's status changes fifty times a second, and what was read of it is always older.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_statefulset_that_never_rests(#[case] via: Via) {
    let mut world = patient(via).replicas(1).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    world.until("it is taken", seconds(10), |world| world.hooks.times("owner") == 1).await;
    let late = Rule::new(Fault::Slow(Duration::from_millis(50))).resource("pods").verb(Verb::List);
    world.kubernetes.faults().add(late);
    let kubernetes = world.kubernetes.clone();
    let _busy = Making(tokio::spawn(async move {
        for change in 0u32.. {
            kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
                set["status"]["collisionCount"] = change.into();
            });
            sleep(Duration::from_millis(20)).await;
        }
    }));
    for (size, step) in [(2, "Raise"), (1, "Fence")] {
        world.wish(size);
        let recorded = |world: &World| world.hooks.times(&format!("record {step}")) == 1;
        world.until("it is recorded", seconds(20), recorded).await;
        to(&mut world, size).await;
    }
    world.assert_bars().await;
}
