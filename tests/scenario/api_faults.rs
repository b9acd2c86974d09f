//! The API server refuses, hangs, cuts and lies on the way 2 → 1 → 2: it ends all
//! the same while that goes on, and nothing wrong is ever written.

use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use vernescale::crd::Via;
use vernescale::standin::kubernetes::{Fault, Kubernetes, Rule, Verb, Write};

use crate::bad_input::two_and_one_too_many;
use crate::world::{World, minutes, seconds};

/// One request goes wrong this often; a look makes about six, five times a second at most.
const EVERY: Duration = Duration::from_millis(900);

#[allow(
    dead_code,
    reason = "the refusals meet every renewal of the lease: they are to let some writes pass first"
)]
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// 409.
    Conflict,
    /// 429.
    TooMany,
    /// 500.
    ServerError,
    /// No answer, nothing done.
    Hangs,
    /// No answer, but done.
    HangsDone,
    /// Cut, but done.
    CutDone,
    /// Watches are dropped, and what they missed is forgotten.
    Watches,
    /// Reads answer what was true some seconds ago.
    Stale,
}

/// Makes trouble until it is aborted.
async fn make(trouble: Trouble, kubernetes: Kubernetes) {
    let faults = kubernetes.faults();
    for round in 0u32.. {
        let fault = match trouble {
            Trouble::Conflict => Fault::Conflict,
            Trouble::TooMany => Fault::TooManyRequests(1),
            Trouble::ServerError => Fault::ServerError,
            Trouble::Hangs => Fault::Hang { applied: false },
            Trouble::HangsDone => Fault::Hang { applied: true },
            Trouble::CutDone => Fault::Cut { applied: true },
            Trouble::Watches => {
                faults.silence_watches(round % 4 == 0);
                faults.drop_watches();
                kubernetes.compact();
                sleep(EVERY).await;
                continue;
            }
            Trouble::Stale => {
                let before = kubernetes.revision();
                sleep(seconds(3)).await;
                let reads = Rule::new(Fault::Stale(before)).verb(Verb::Get).verb(Verb::List);
                let rule = faults.add(reads);
                sleep(seconds(2)).await;
                faults.remove(rule);
                continue;
            }
        };
        // In turn: the next write, any next request.
        let rule = if round % 2 == 0 { Rule::new(fault).writes() } else { Rule::new(fault) };
        let rule = faults.add(rule.times(1));
        // One that nobody has met stays for the next round.
        sleep(EVERY).await;
        while faults.hits(rule) == 0 {
            sleep(EVERY).await;
        }
        faults.remove(rule);
    }
}

/// Ends the trouble with the test.
struct Making(JoinHandle<()>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whatever was asked for while `wished` was wished: the size only towards it and by one, guarded by
/// uid and by the size that it comes from; nothing deleted but what belonged to ordinal 1, by uid.
fn assert_right(writes: &[Write], wished: u64) {
    for write in writes {
        let body = &write.body;
        match (write.resource.as_str(), write.verb) {
            ("statefulsets/scale", _) => {
                let value = |op: &str, path: &str| {
                    let operations = body.as_array().into_iter().flatten();
                    let mut found = operations.filter(|one| one["op"] == op && one["path"] == path);
                    found.next().map(|one| one["value"].clone())
                };
                assert!(value("test", "/metadata/uid").is_some(), "{write:?}");
                let from = value("test", "/spec/replicas").and_then(|value| value.as_u64());
                let to = value("replace", "/spec/replicas").and_then(|value| value.as_u64());
                assert_eq!((from, to), (Some(3 - wished), Some(wished)), "{write:?}");
            }
            ("pods" | "persistentvolumeclaims", Verb::Delete) => {
                assert!(["vmq-1", "data-vmq-1"].contains(&write.name.as_str()), "{write:?}");
                assert!(body.pointer("/preconditions/uid").is_some_and(Value::is_string), "{write:?}");
                assert_eq!(wished, 1, "{write:?}");
            }
            ("statefulsets", verb) => assert_eq!(verb, Verb::Patch, "{write:?}"),
            _ => {}
        }
    }
}

async fn there_and_back(world: &mut World) {
    for size in [1, 2] {
        world.kubernetes.clear_log();
        world.wish(size);
        let what = format!("{size} serve");
        world.until(&what, minutes(15), |world| world.settled(size)).await;
        assert_right(&world.kubernetes.log(), size);
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn the_api_server_makes_trouble(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(Trouble::Watches, Trouble::Stale)] trouble: Trouble,
) {
    let mut world = two_and_one_too_many(via).start().await;
    world.load(1.0).await;
    let making = Making(tokio::spawn(make(trouble, world.kubernetes.clone())));
    world.start_controller("a");
    there_and_back(&mut world).await;
    drop(making);
    world.kubernetes.faults().clear();
    world.assert_bars().await;
}
