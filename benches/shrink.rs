//! What we add to the broker's own time when a node leaves, and how soon a jump of the load is
//! answered. In the virtual time of a paused runtime: not the machine is measured but our waits,
//! looks and round trips, so that the figures are the same everywhere.
//!
//! `cargo bench --bench shrink` prints the figures, and fails where one is over its budget.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[allow(dead_code, unused_imports, reason = "the world of the scenarios has more than this needs")]
#[path = "../tests/scenario"]
mod scenario {
    pub(crate) mod world;
}

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use vernescale::crd::Via;

use scenario::world::{World, minutes, seconds};

/// From the first `-k` to `spec.replicas` written, less the broker's own time until all survivors
/// agree: well inside the 1.7 s after which the container has ended (baseline.md §2.6).
const SHRINK: Duration = seconds(1);

/// Three samples and one tick, each 2 s. Counted from the jump of the load, which is up to one
/// sample before the first high one.
const PANIC: Duration = seconds(8);

/// How finely it is looked.
const GRAIN: Duration = Duration::from_millis(5);

/// Waits until something holds; how long that took.
async fn wait(world: &World, what: &str, holds: impl Fn(&World) -> bool) -> Duration {
    let began = world.clock.now();
    while !holds(world) {
        assert!(world.clock.now().since(began) < minutes(5), "{what} never comes\n{}", world.dump());
        tokio::time::sleep(GRAIN).await;
    }
    world.clock.now().since(began)
}

/// No survivor lists the last node any more.
fn agreed(world: &World, leaver: u32) -> bool {
    let Some(name) = world.node(leaver) else { return false };
    (0..leaver).filter_map(|ordinal| world.node(ordinal)).all(|survivor| {
        let view = world.fleet.with_model(|model, _| model.members_seen_by(&survivor));
        !view.contains_key(&name)
    })
}

/// From 3 to 2: (until all agree, until it is written).
async fn shrink(via: Via) -> (Duration, Duration) {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s", "window": "10s" });
    let mut world = World::builder(via).replicas(3).clients(2).spec(&spec).start().await;
    world.load(1.0).await;
    world.start_controller("a");
    wait(&world, "the leave", |world| world.taps.names().iter().any(|name| name == "Leave")).await;
    let asked = world.clock.now();
    let (mut all, mut written) = (None, None);
    while all.is_none() || written.is_none() {
        let now = world.clock.now().since(asked);
        assert!(now < minutes(5), "the leave does not end\n{}", world.dump());
        all = all.or(agreed(&world, 2).then_some(now));
        written = written.or((world.replicas() == 2).then_some(now));
        tokio::time::sleep(GRAIN).await;
    }
    (all.unwrap_or_default(), written.unwrap_or_default())
}

/// From a jump of the load to ten times the target until one node more is asked for.
async fn panic(via: Via, phase: Duration) -> Duration {
    let mut world = World::builder(via).replicas(1).start().await;
    world.load(3.0).await;
    world.start_controller("a");
    world.pass(minutes(2) + phase).await;
    assert_eq!(world.replicas(), 1, "nothing to do yet\n{}", world.dump());
    world.load(60.0).await;
    wait(&world, "the raise", |world| world.replicas() == 2).await
}

fn verdict(what: &str, took: Duration, budget: Duration) -> bool {
    let within = took < budget;
    let word = if within { "within" } else { "OVER" };
    println!("{what}: {:.3} s, {word} {:.3} s", took.as_secs_f64(), budget.as_secs_f64());
    within
}

async fn run() -> bool {
    let mut good = true;
    for via in [Via::ManagementApi, Via::Exec] {
        let (all, written) = shrink(via).await;
        println!("{via:?}: the survivors agree {all:?} after -k, replicas are written after {written:?}");
        let ours = written.saturating_sub(all);
        good &= verdict(&format!("{via:?}: ours between -k and the smaller size"), ours, SHRINK);
    }
    // The jump meets the samples at any phase.
    for phase in [0, 700, 1_400].map(Duration::from_millis) {
        let took = panic(Via::ManagementApi, phase).await;
        good &= verdict(&format!("from a jump of the load (phase {phase:?}) to the raise"), took, PANIC);
    }
    good
}

fn main() -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    let good = runtime.is_ok_and(|runtime| runtime.block_on(run()));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
