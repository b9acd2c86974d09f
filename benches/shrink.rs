//! What we add to the broker's own time when a node leaves, and how soon a jump of the load is answered: the
//! real controller against the simulators.
//!
//! `cargo bench --bench shrink` prints the figures. It fails only beyond twice a budget: a shared machine is
//! noisy, and a regression that matters is larger than that. The figures are made of waits and round trips, so
//! that `cargo bench --workspace --profile dev --bench shrink`, which builds no dependency anew, says nearly the same.
//!
//! The time from `Done` to the smaller size is measured over 40 leaves by the management API, beside the time until the
//! first survivor that counts has dropped the leaver. To see another build beside this one, copy this file (and
//! `tests/scenario/cluster`, `simulator`, where they differ) over a worktree of it, build it there by
//! `cargo bench --workspace --no-run --profile dev --bench shrink`, and run
//! `cargo bench --workspace --profile dev --bench shrink -- --beside PATH-OF-THAT-EXECUTABLE`.
//!
//! Each round has a cluster and a runtime of its own. A paused clock brings it to the point of interest; from
//! there on time is real, and everything that the simulators cost is in the figures too.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[allow(dead_code, unused_imports, reason = "the cluster of the scenarios has more than this needs")]
#[path = "../tests/scenario"]
mod scenario {
    pub(crate) mod cluster;
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use simulator::kubernetes::{Fault, Rule};
use vernescale::api::Via;

use scenario::cluster::{Cluster, NAME, minutes, seconds};

const ROUNDS: usize = 5;

/// Leaves whose time from `Done` to the smaller size is measured.
const LEAVES: usize = 40;

/// The same with an API server that takes its time, to be looked at.
const SLOW_LEAVES: usize = 10;
const SLOW_API: Duration = Duration::from_millis(100);

/// From `Done` to `spec.replicas` written, in a leave of either mode: well before its process has ended, 1.1 to 1.7 s
/// after `Done`.
const SHRINK_S: f64 = 1.0;

/// From `Done` to `spec.replicas` written: median, and the slowest of all. 1.1 to 1.7 s after `Done` the process has
/// ended, and its container runs again soon.
const AFTER_DONE_S: (f64, f64) = (0.3, 1.0);

/// From the first high sample to the patch. The third sample comes two intervals of 2 s after the first, and a
/// tick is 2 s as well.
const PANIC_S: f64 = 6.0;

/// How finely it is looked.
const GRAIN: Duration = Duration::from_millis(2);

/// Everything that is waited for comes within this time, or never.
const DEADLINE: Duration = minutes(5);

/// From the `-k` on: when `Done` was heard, when the survivor that counts and when the last one had dropped the
/// leaver, and when the smaller size was written.
struct Shrink {
    done: f64,
    witness: f64,
    agreed: f64,
    written: f64,
}

impl Shrink {
    fn since_done(&self) -> f64 {
        self.written - self.done
    }
}

/// Waits until something holds; how long that took.
async fn wait(cluster: &Cluster, what: &str, holds: impl Fn(&Cluster) -> bool) -> Duration {
    let began = cluster.clock.now();
    while !holds(cluster) {
        assert!(cluster.clock.now().since(began) < DEADLINE, "{what} never comes\n{}", cluster.dump());
        tokio::time::sleep(GRAIN).await;
    }
    cluster.clock.now().since(began)
}

/// This survivor does not list the node of the leaver any more.
fn dropped(cluster: &Cluster, survivor: u32, leaver: u32) -> bool {
    let (Some(name), Some(survivor)) = (cluster.node(leaver), cluster.node(survivor)) else { return false };
    let view = cluster.fleet.with_model(|model, _| model.members_seen_by(&survivor));
    !view.contains_key(&name)
}

/// From 3 to 2, asked of pod 0: the word of pod 1 counts.
async fn shrink(via: Via, number: usize, api: Duration) -> Shrink {
    let spec = json!({ "wishFrom": "Scale", "replicas": 2, "settle": "1s" });
    let seed = u64::try_from(number).expect("few rounds") + 1;
    let builder = Cluster::builder(via).replicas(3).clients(2).spec(&spec);
    let mut cluster = builder.broker(|broker| broker.seed = seed).start().await;
    cluster.load(1.0).await;
    cluster.hooks.after("record Leave", || async { tokio::time::resume() });
    if !api.is_zero() {
        cluster.kubernetes.faults().add(Rule::new(Fault::Slow(api)).client("a"));
    }
    cluster.start_controller("a");
    wait(&cluster, "the leave", |cluster| cluster.hooks.times("Leave") > 0).await;
    let asked = cluster.clock.now();
    let (mut done, mut witness, mut all, mut written) = (None, None, None, None);
    while done.is_none() || witness.is_none() || all.is_none() || written.is_none() {
        let took = cluster.clock.now().since(asked);
        assert!(took < DEADLINE, "the leave does not end\n{}", cluster.dump());
        done = done.or((cluster.hooks.times("Leave answered") > 0).then_some(took));
        witness = witness.or(dropped(&cluster, 1, 2).then_some(took));
        all = all.or((dropped(&cluster, 0, 2) && dropped(&cluster, 1, 2)).then_some(took));
        written = written.or((cluster.replicas() == 2).then_some(took));
        tokio::time::sleep(GRAIN).await;
    }
    let seconds = |took: Option<Duration>| took.unwrap_or_default().as_secs_f64();
    Shrink { done: seconds(done), witness: seconds(witness), agreed: seconds(all), written: seconds(written) }
}

/// Reconciles that have ended, and the time that all of them took.
fn reconciles(cluster: &Cluster) -> (f64, f64) {
    let page = cluster.metrics("a");
    let value = |part: &str| -> f64 {
        let start = format!("vernescale_reconcile_duration_seconds_{part}{{name=\"{NAME}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    (value("count"), value("sum"))
}

/// Waits until one more reconcile has ended; how long ago it began.
async fn next_reconcile(cluster: &Cluster) -> Duration {
    let (count, before) = reconciles(cluster);
    wait(cluster, "a reconcile", |cluster| reconciles(cluster).0 > count).await;
    Duration::from_secs_f64(reconciles(cluster).1 - before)
}

/// From the first high sample until one node more is asked for. `phase` is between a sample and the jump.
async fn panic(phase: Duration) -> f64 {
    // Half a second of the jump makes the mean of ten seconds twice the target; ten seconds of it leave that of five
    // minutes below, so that nothing but panic raises the size.
    let spec = json!({ "window": "5m", "metrics": [{ "type": "Pods", "pods": {
        "metric": { "name": "mqtt_publish_received" },
        "target": { "type": "AverageValue", "averageValue": "2" },
    }}]});
    let mut cluster = Cluster::builder(Via::ManagementApi).replicas(1).spec(&spec).start().await;
    cluster.load(0.4).await;
    cluster.start_controller("a");
    cluster.pass(minutes(6)).await;
    assert_eq!(cluster.replicas(), 1, "the load before the jump asks for more\n{}", cluster.dump());
    tokio::time::resume();
    next_reconcile(&cluster).await;
    tokio::time::sleep(phase).await;
    cluster.load(60.0).await;
    let took = next_reconcile(&cluster).await;
    assert_eq!(cluster.replicas(), 1, "one sample is no panic\n{}", cluster.dump());
    let took = took + wait(&cluster, "the raise", |cluster| cluster.replicas() == 2).await;
    next_reconcile(&cluster).await;
    assert!(cluster.metrics("a").contains(r#"veto="Panic""#), "raised by something else\n{}", cluster.dump());
    took.as_secs_f64()
}

/// One figure a round, each in a runtime of its own: what one leaves behind cannot disturb the next.
fn rounds<T, F: Future<Output = T>>(what: &str, count: usize, round: impl Fn(usize) -> F) -> Vec<T> {
    let one = |number: usize| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
        let scenario = AssertUnwindSafe(|| runtime.block_on(round(number)));
        catch_unwind(scenario)
            .unwrap_or_else(|_| panic!("{what}: round {number} of {count} failed, see the message above"))
    };
    (0..count).map(one).collect()
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

/// How long the size takes after `Done`, where each answer of the API server comes after `api`.
fn after_done(build: &str, leaves: usize, api: Duration) -> bool {
    let all = rounds("after Done", leaves, |number| shrink(Via::ManagementApi, number, api));
    println!("{build}, {leaves} leaves by the management API, an API server that answers after {api:?}:");
    spread(
        "  from Done until a survivor that counts has dropped it (the broker's)",
        all.iter().map(|one| (one.witness - one.done).max(0.0)),
    );
    let [_, median, slowest] =
        spread("  from Done until the smaller size is written", all.iter().map(Shrink::since_done));
    let late = all.iter().filter(|one| one.since_done() > 1.7).count();
    println!("  {late} of {leaves} later than 1.7 s after Done");
    median <= AFTER_DONE_S.0 && slowest <= AFTER_DONE_S.1
}

/// The same of another build of this benchmark, in a process of its own.
fn beside(path: &str) {
    let ran = std::process::Command::new(path).args(["--bench", "--only-after-done", path]).status();
    assert!(ran.is_ok_and(|status| status.success()), "{path} is no other build of this benchmark");
}

fn main() -> ExitCode {
    // `cargo test --benches` runs this too.
    let arguments: Vec<String> = std::env::args().collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let value = |flag: &str| {
        let mut rest = arguments.iter().skip_while(|argument| *argument != flag);
        rest.next().and(rest.next()).map(String::as_str)
    };
    if let Some(build) = value("--only-after-done") {
        // Its figures are looked at; only this build's are judged.
        after_done(build, LEAVES, Duration::ZERO);
        after_done(build, SLOW_LEAVES, SLOW_API);
        return ExitCode::SUCCESS;
    }
    let mut fine = after_done("this build", LEAVES, Duration::ZERO);
    after_done("this build", SLOW_LEAVES, SLOW_API);
    if let Some(path) = value("--beside") {
        beside(path);
        return if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    println!("{ROUNDS} rounds each");
    for via in [Via::ManagementApi, Via::Exec] {
        let all = rounds(&format!("{via:?}"), ROUNDS, |number| shrink(via, number, Duration::ZERO));
        spread(&format!("{via:?}: from -k until all survivors agree"), all.iter().map(|one| one.agreed));
        spread(
            &format!("{via:?}: from -k until the smaller size is written"),
            all.iter().map(|one| one.written),
        );
        let ours = all.iter().map(Shrink::since_done);
        fine &= judge(&format!("{via:?}: from Done until the smaller size is written"), ours, SHRINK_S);
    }
    // The jump comes at any time between two samples.
    let phase = |number: usize| seconds(2) / 8 * u32::try_from(number).expect("few rounds");
    let took = rounds("panic", ROUNDS, |number| panic(phase(number)));
    fine &= judge("from the first high sample to the patch of a raise by panic", took.into_iter(), PANIC_S);
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
