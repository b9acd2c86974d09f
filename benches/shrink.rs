//! What we add to the broker's own time when a node leaves, and how soon a jump of the load is answered: the
//! real controller against the stand-ins.
//!
//! `cargo bench --bench shrink` prints the figures. It fails only beyond twice a budget: a shared machine is
//! noisy, and a regression that matters is larger than that. The figures are made of waits and round trips, so
//! that `cargo bench --workspace --profile dev --bench shrink`, which builds no dependency anew, says nearly the same.
//!
//! Each round has a world and a runtime of its own. A paused clock brings it to the point of interest; from
//! there on time is real, and everything that the stand-ins cost is in the figures too.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[allow(dead_code, unused_imports, reason = "the world of the scenarios has more than this needs")]
#[path = "../tests/scenario"]
mod scenario {
    pub(crate) mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use vernescale::crd::Via;

use scenario::world::{NAME, World, minutes, seconds};

const ROUNDS: usize = 5;

/// From the first `-k` to `spec.replicas` written, less the broker's own time until all survivors agree: well
/// inside the 1.7 s after which the container has ended and would run again (baseline.md §2.6).
const SHRINK_S: f64 = 1.0;

/// From the first high sample to the patch. The third sample comes two intervals of 2 s after the first, and a
/// tick is 2 s as well.
const PANIC_S: f64 = 6.0;

/// How finely it is looked.
const GRAIN: Duration = Duration::from_millis(2);

/// Everything that is waited for comes within this time, or never.
const DEADLINE: Duration = minutes(5);

/// From the `-k` on: when the last survivor had dropped the leaver, and when the smaller size was written.
struct Shrink {
    agreed: f64,
    written: f64,
}

/// Waits until something holds; how long that took.
async fn wait(world: &World, what: &str, holds: impl Fn(&World) -> bool) -> Duration {
    let began = world.clock.now();
    while !holds(world) {
        assert!(world.clock.now().since(began) < DEADLINE, "{what} never comes\n{}", world.dump());
        tokio::time::sleep(GRAIN).await;
    }
    world.clock.now().since(began)
}

/// No survivor lists this node any more.
fn agreed(world: &World, leaver: u32) -> bool {
    let Some(name) = world.node(leaver) else { return false };
    (0..leaver).filter_map(|ordinal| world.node(ordinal)).all(|survivor| {
        let view = world.fleet.with_model(|model, _| model.members_seen_by(&survivor));
        !view.contains_key(&name)
    })
}

/// From 3 to 2.
async fn shrink(via: Via) -> Shrink {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let mut world = World::builder(via).replicas(3).clients(2).spec(&spec).start().await;
    world.load(1.0).await;
    world.taps.after("record Leave", || async { tokio::time::resume() });
    world.start_controller("a");
    wait(&world, "the leave", |world| world.taps.times("Leave") > 0).await;
    let asked = world.clock.now();
    let (mut all, mut written) = (None, None);
    while all.is_none() || written.is_none() {
        let took = world.clock.now().since(asked);
        assert!(took < DEADLINE, "the leave does not end\n{}", world.dump());
        all = all.or(agreed(&world, 2).then_some(took));
        written = written.or((world.replicas() == 2).then_some(took));
        tokio::time::sleep(GRAIN).await;
    }
    let seconds = |took: Option<Duration>| took.unwrap_or_default().as_secs_f64();
    Shrink { agreed: seconds(all), written: seconds(written) }
}

/// Looks that have ended, and the time that all of them took.
fn looks(world: &World) -> (f64, f64) {
    let page = world.metrics("a");
    let value = |part: &str| -> f64 {
        let start = format!("vernescale_look_seconds_{part}{{name=\"{NAME}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    (value("count"), value("sum"))
}

/// Waits until one more look has ended; how long ago it began.
async fn next_look(world: &World) -> Duration {
    let (count, before) = looks(world);
    wait(world, "a look", |world| looks(world).0 > count).await;
    Duration::from_secs_f64(looks(world).1 - before)
}

/// From the first high sample until one node more is asked for. `phase` is between a sample and the jump.
async fn panic(phase: Duration) -> f64 {
    // Half a second of the jump makes the mean of ten seconds twice the target; ten seconds of it leave that of five
    // minutes below, so that nothing but panic raises the size.
    let spec = json!({ "window": "5m", "metrics": [{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "2" },
    }}]});
    let mut world = World::builder(Via::ManagementApi).replicas(1).spec(&spec).start().await;
    world.load(0.4).await;
    world.start_controller("a");
    world.pass(minutes(6)).await;
    assert_eq!(world.replicas(), 1, "the load before the jump asks for more\n{}", world.dump());
    tokio::time::resume();
    next_look(&world).await;
    tokio::time::sleep(phase).await;
    world.load(60.0).await;
    let took = next_look(&world).await;
    assert_eq!(world.replicas(), 1, "one sample is no panic\n{}", world.dump());
    let took = took + wait(&world, "the raise", |world| world.replicas() == 2).await;
    next_look(&world).await;
    assert!(world.metrics("a").contains(r#"veto="Panic""#), "raised by something else\n{}", world.dump());
    took.as_secs_f64()
}

/// One figure a round, each in a runtime of its own: what one leaves behind cannot disturb the next.
fn rounds<T, F: Future<Output = T>>(what: &str, round: impl Fn(usize) -> F) -> Vec<T> {
    let one = |number: usize| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        let story = AssertUnwindSafe(|| runtime.block_on(round(number)));
        catch_unwind(story)
            .unwrap_or_else(|_| panic!("{what}: round {number} of {ROUNDS} failed, see the message above"))
    };
    (0..ROUNDS).map(one).collect()
}

/// Prints fastest, median and slowest.
fn spread(what: &str, figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    let three = [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]];
    println!("{what}: fastest {:.3} s, median {:.3} s, slowest {:.3} s", three[0], three[1], three[2]);
    three
}

/// Prints the figures; says whether the median is within twice the budget.
fn judge(what: &str, figures: impl Iterator<Item = f64>, budget: f64) -> bool {
    let [_, median, slowest] = spread(what, figures);
    let verdict = if slowest <= budget { "within" } else { "OVER" };
    println!("  ({verdict} the budget of {budget} s)");
    median <= budget * 2.0
}

fn main() -> ExitCode {
    // `cargo test --benches` runs this too.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    println!("{ROUNDS} rounds each");
    let mut fine = true;
    for via in [Via::ManagementApi, Via::Exec] {
        let all = rounds(&format!("{via:?}"), |_| shrink(via));
        spread(&format!("{via:?}: from -k until all survivors agree"), all.iter().map(|one| one.agreed));
        spread(
            &format!("{via:?}: from -k until the smaller size is written"),
            all.iter().map(|one| one.written),
        );
        let ours = all.iter().map(|one| one.written - one.agreed);
        fine &= judge(&format!("{via:?}: ours, the difference"), ours, SHRINK_S);
    }
    // The jump comes at any time between two samples.
    let phase = |number: usize| seconds(2) / 8 * u32::try_from(number).expect("few rounds");
    let took = rounds("panic", |number| panic(phase(number)));
    fine &= judge("from the first high sample to the patch of a raise by panic", took.into_iter(), PANIC_S);
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
