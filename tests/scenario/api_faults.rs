//! The API server refuses, hangs, cuts and lies on the way 2 → 1 → 2: it ends all
//! the same while that goes on, and nothing wrong is ever written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::api::{Api, DeleteParams};
use lifecycle::Time;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::kubernetes::{Fault, Kubernetes, Rule, Verb, Write};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use vernescale::api::{VerneMQAutoscaler, Via};
use vernescale::kubernetes::finalizer;

use crate::bad_input::two_and_one_too_many;
use crate::cluster::{Builder, Cluster, NAME, NAMESPACE, minutes, seconds};

/// One request goes wrong this often; a reconcile makes about six, five times a second at most.
const EVERY: Duration = Duration::from_millis(900);

/// A request that hangs costs 5 s, and the reconcile with it: some reconciles must be whole. Where none is, the
/// numbers are unknown, and nothing begins.
const BETWEEN_HANGS: Duration = Duration::from_secs(13);

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
    /// The lease cannot be renewed for longer than it lasts.
    Lease,
}

/// Of what the lease cannot be renewed, in turn.
const KEEPS_FROM_LEADING: [Fault; 3] = [Fault::Conflict, Fault::ServerError, Fault::Hang { applied: false }];

/// Makes trouble until it is aborted; counts it.
async fn make(trouble: Trouble, kubernetes: Kubernetes, made: Arc<AtomicU32>) {
    let faults = kubernetes.faults();
    for round in 0u32.. {
        made.store(round, Ordering::Relaxed);
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
            Trouble::Lease => {
                let fault = KEEPS_FROM_LEADING[round as usize % KEEPS_FROM_LEADING.len()];
                let rule = faults.add(Rule::new(fault).resource("leases"));
                sleep(seconds(13)).await;
                faults.remove(rule);
                sleep(seconds(9)).await;
                continue;
            }
        };
        // In turn: a next write, any next request; never a renewal of the lease, which every other one
        // would be: that is a trouble of its own.
        let rule = if round % 2 == 0 { Rule::new(fault).writes() } else { Rule::new(fault) };
        // Of each kind of request some: one that always met the first would see nothing but reads.
        let rule = faults.add(rule.except("leases").after(round / 2 % 7).times(1));
        // One that nobody has met stays for the next round.
        sleep(EVERY).await;
        while faults.hits(rule) == 0 {
            sleep(EVERY).await;
        }
        faults.remove(rule);
        if matches!(fault, Fault::Hang { .. }) {
            sleep(BETWEEN_HANGS).await;
        }
    }
}

/// Ends the trouble with the test.
pub(crate) struct Making(pub(crate) JoinHandle<()>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whatever was asked for while `wished` was wished: the size only towards it and by one, guarded by
/// uid and by the size that it comes from; nothing deleted but what belonged to ordinal 1, by uid; and
/// nothing at all that was not recorded before.
pub(crate) fn assert_right(writes: &[Write], wished: u64) {
    let mut recorded = None;
    for write in writes {
        let body = &write.body;
        let acts = ["statefulsets/scale", "pods", "pods/exec", "persistentvolumeclaims"];
        // A question to the newcomer, which goes through exec where all does.
        let asks = write.verb == Verb::Exec && write.body[2] == "swc_sync_status";
        if acts.contains(&write.resource.as_str()) && !asks {
            // None is asked for after a record that was refused. No answer may be none or a lost one.
            assert!(matches!(recorded, Some(200 | 0)), "after {recorded:?}: {write:?}");
        }
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
            ("statefulsets", verb) => {
                assert_eq!(verb, Verb::Patch, "{write:?}");
                recorded = Some(write.code);
            }
            _ => {}
        }
    }
}

/// Nothing but the election is asked for later than 10 s after the last renewal of the lease that was
/// asked for and answered. The times between renewals that were longer.
fn assert_led(writes: &[Write]) -> usize {
    let mut renewed: Option<Time> = None;
    let mut lost = 0;
    for write in writes {
        let since = renewed.map(|renewed| write.at.since(renewed));
        if write.resource != "leases" {
            assert!(since.is_some_and(|since| since <= seconds(10)), "{since:?} after a renewal: {write:?}");
        } else if matches!(write.code, 200 | 201) {
            lost += usize::from(since.is_some_and(|since| since > seconds(10)));
            renewed = Some(write.at);
        }
    }
    lost
}

/// Two nodes, and a newcomer that is ready as late as people's are. It is fenced by a reconcile after it was
/// made: reconciles that hang for longer than it takes to be ready leave it in the client Service meanwhile.
pub(crate) fn patient(via: Via) -> Builder {
    two_and_one_too_many(via).install(|install| install.probe_delay = seconds(30))
}

/// From where it is to this size, and nothing wrong is written on the way.
pub(crate) async fn to(cluster: &mut Cluster, size: u64) {
    let before = cluster.kubernetes.log().len();
    cluster.wish(size);
    let what = format!("{size} serve");
    let settled = |cluster: &Cluster| {
        assert!(held(cluster) || !active(cluster), "our resource can be deleted\n{}", cluster.dump());
        assert!(fenced(cluster), "clients are sent to a node that leaves\n{}", cluster.dump());
        cluster.settled(size)
    };
    cluster.until(&what, minutes(15), settled).await;
    assert_right(&cluster.kubernetes.log()[before..], size);
}

/// Our resource stays, whoever deletes it.
fn held(cluster: &Cluster) -> bool {
    cluster.resource().is_some_and(|resource| finalizer::held(&resource))
}

/// The pod that is to go is out of the client Service before anything is done to its broker.
fn fenced(cluster: &Cluster) -> bool {
    let steps = ["Suspend", "Drain", "Leave", "Verify", "Shrink"];
    let pod = cluster.kubernetes.object("pods", NAMESPACE, &format!("{NAME}-1"));
    let label = pod.as_ref().and_then(|pod| pod.pointer("/metadata/labels/vernescale.dev~1serving"));
    !cluster.step().is_some_and(|step| steps.contains(&step.as_str()))
        || label.is_none_or(|label| label == "false")
}

/// A change is under way.
fn active(cluster: &Cluster) -> bool {
    cluster.intent().is_some_and(|intent| intent.active())
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn the_api_server_makes_trouble(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(
        Trouble::Conflict,
        Trouble::TooMany,
        Trouble::ServerError,
        Trouble::Hangs,
        Trouble::HangsDone,
        Trouble::CutDone,
        Trouble::Watches,
        Trouble::Stale,
        Trouble::Lease
    )]
    trouble: Trouble,
) {
    // Where reconciles hang, there are too few of them for a rate over 10 s.
    let hangs = matches!(trouble, Trouble::Hangs | Trouble::HangsDone);
    let spec = json!({ "window": if hangs { "1m" } else { "10s" } });
    let mut cluster = patient(via).spec(&spec).start().await;
    cluster.load(1.0).await;
    let made = Arc::<AtomicU32>::default();
    let making = Making(tokio::spawn(make(trouble, cluster.kubernetes.clone(), Arc::clone(&made))));
    cluster.start_controller("a");
    to(&mut cluster, 1).await;
    to(&mut cluster, 2).await;
    drop(making);
    cluster.kubernetes.faults().clear();
    let made = made.load(Ordering::Relaxed);
    assert!(made >= 3, "only {made} times");
    let lost = assert_led(&cluster.kubernetes.log());
    let expected = if matches!(trouble, Trouble::Lease) { made as usize - 1 } else { 0 };
    assert!(lost >= expected, "the lease was lost {lost} times in {made} troubles");
    cluster.assert_invariants().await;
}

/// The things that a change consists of, on the way down.
const SHRINK: [&str; 14] = [
    "hold",
    "record Fence",
    "LabelServing",
    "record Suspend",
    "Suspend",
    "record Drain",
    "record Leave",
    "Leave",
    "record Shrink",
    "SetReplicas",
    "record Volume",
    "DeleteClaim",
    "record Quiet",
    "record Done",
];

/// On the way up.
const GROWTH: [&str; 11] = [
    "hold",
    "record Raise",
    "SetReplicas",
    "record FenceNewcomer",
    "LabelServing",
    "record Join",
    "record RoutingProbe",
    "RoutingProbe",
    "record Serve",
    "record Settle",
    "record Done",
];

/// Right after each of the things that a change consists of the lease cannot be renewed any more: whoever
/// did it stops there, and goes on from there when it leads again.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_lease_is_lost_after_each_thing(#[case] via: Via) {
    let mut cluster = patient(via).start().await;
    cluster.load(1.0).await;
    cluster.start_controller("a");
    for (size, things) in [(1, &SHRINK[..]), (2, &GROWTH[..])] {
        for thing in things {
            lose_the_lease_after(&cluster, thing);
        }
        to(&mut cluster, size).await;
        // A growth that began before would find it held.
        cluster.until("our resource can be deleted", seconds(30), |cluster| !held(cluster)).await;
    }
    // The last one ends after the scenario.
    cluster.pass(seconds(20)).await;
    let lost = assert_led(&cluster.kubernetes.log());
    assert_eq!(lost, SHRINK.len() + GROWTH.len(), "{:?}", cluster.hooks.names());
    cluster.assert_invariants().await;
}

/// It is made while every watch is silent, as behind a connection that has died.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_resource_that_no_watch_tells_of(#[case] via: Via) {
    let mut cluster = two_and_one_too_many(via).start().await;
    let object = cluster.kubernetes.object("vernemqautoscalers", NAMESPACE, NAME).expect("it is there");
    let resources = Api::<VerneMQAutoscaler>::namespaced(cluster.kubernetes.client(), NAMESPACE);
    resources.delete(NAME, &DeleteParams::default()).await.expect("it is deleted");
    cluster.start_controller("a");
    cluster.pass(seconds(5)).await;
    cluster.kubernetes.faults().silence_watches(true);
    let metadata = json!({ "name": NAME, "namespace": NAMESPACE });
    let again = json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "spec": object["spec"] });
    cluster.kubernetes.apply(&again).expect("it is made again");
    cluster.until("it is seen", seconds(15), |cluster| cluster.hooks.times("owner") == 1).await;
}

fn lose_the_lease_after(cluster: &Cluster, thing: &str) {
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after(thing, move || async move {
        let rule = kubernetes.faults().add(Rule::new(Fault::ServerError).resource("leases"));
        // Whoever has done it ends with its lease, before this does.
        tokio::spawn(async move {
            sleep(seconds(11)).await;
            kubernetes.faults().remove(rule);
        });
        sleep(seconds(12)).await;
    });
}
