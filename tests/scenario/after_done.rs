//! From `Done` to the smaller size: 1.1 to 1.7 s later the leaver's process has ended and would run again. Survivors
//! list it until then, so that its own silence is the witness.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lifecycle::Time;
use rstest::rstest;
use serde_json::json;
use simulator::kubernetes::{Fault, Rule, Verb};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::bad_answers::{Answer, ELSEWHERE, Now, answer_at, ports};
use crate::cluster::{Cluster, minutes, seconds};
use crate::one_leave::{begin, ends_well, node, three};

/// The question, the record and the patch, all of them on this machine, and the 0.05 s until nobody listens.
const FROM_DONE: Duration = Duration::from_millis(300);

/// Two questions, the record and the patch.
const OURS: Duration = Duration::from_millis(150);

/// From the moment when the broker had said `Done`, and this survivor had dropped the leaver where there is one that
/// counts, to the write of the smaller size.
async fn lowered_after(cluster: &mut Cluster, leaver: u32, witness: Option<u32>) -> Duration {
    let said: Arc<Mutex<Option<Time>>> = Arc::default();
    let (clock, heard) = (cluster.clock, Arc::clone(&said));
    cluster.hooks.after("Leave answered", move || async move {
        *heard.lock().expect("not poisoned") = Some(clock.now());
    });
    begin(cluster).await;
    cluster.until("the leave is asked", minutes(6), |cluster| cluster.hooks.times("Leave") == 1).await;
    let lists = |cluster: &Cluster, witness| {
        let (name, witness) = (node(cluster, leaver), node(cluster, witness));
        cluster.fleet.with_model(|model, _| model.members_seen_by(&witness).contains_key(&name))
    };
    let mut dropped = None;
    let began = cluster.clock.now();
    while u64::from(leaver) < cluster.replicas() {
        assert!(cluster.clock.now().since(began) < seconds(20), "never lowered\n{}", cluster.dump());
        let counts = witness.is_some_and(|witness| !lists(cluster, witness));
        dropped = dropped.or(counts.then(|| cluster.clock.now()));
        sleep(Duration::from_millis(5)).await;
    }
    let said = said.lock().expect("not poisoned").expect("it was answered");
    let log = cluster.kubernetes.log();
    let lowered = log.iter().find(|write| write.resource == "statefulsets/scale" && write.code == 200);
    let lowered = lowered.expect("the size was written").at;
    if witness.is_none() {
        return lowered.since(said);
    }
    lowered.since(said.max(dropped.expect("the broker had dropped it before")))
}

/// Whatever else a reconcile reads takes three seconds from the question on; not the leaver's pod alone, which is read
/// right before the size is lowered.
#[rstest]
#[tokio::test(start_paused = true)]
async fn what_else_a_reconcile_reads_is_not_waited_for(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(1, 2, 3)] seed: u64,
) {
    let mut cluster = three(via).broker(|broker| broker.seed = seed).start().await;
    let kubernetes = cluster.kubernetes.clone();
    cluster.hooks.after("Leave", move || async move {
        let slow = || Rule::new(Fault::Slow(seconds(3))).client("a");
        kubernetes.faults().add(slow().verb(Verb::List));
        kubernetes.faults().add(slow().verb(Verb::Get).except("pods"));
    });
    let took = lowered_after(&mut cluster, 2, None).await;
    assert!(took <= FROM_DONE, "lowered {took:?} after Done\n{}", cluster.dump());
    cluster.kubernetes.faults().clear();
    ends_well(&mut cluster).await;
}

/// Something in the leaver's pod listens on after its broker, and one of the survivors does not answer from when the
/// leave is under way: the word of the other suffices.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_survivor_that_hangs_is_not_waited_for(#[case] via: Via) {
    let spec = json!({ "replicas": 3 });
    let mut cluster = three(via).replicas(4).spec(&spec).spec(&ports(via, ELSEWHERE)).start().await;
    let now = Now::default();
    let _front = answer_at(&cluster, &now, |ordinal| ordinal == 1).await;
    let hangs = Arc::clone(&now);
    cluster.hooks.after("Leave under way", move || async move {
        *hangs.lock().expect("not poisoned") = Some(Answer::Silence);
    });
    let took = lowered_after(&mut cluster, 3, Some(2)).await;
    assert!(took <= OURS, "lowered {took:?} after it was known to have left\n{}", cluster.dump());
    *now.lock().expect("not poisoned") = None;
    cluster.until("three nodes are left", minutes(2), |cluster| cluster.settled(3)).await;
    cluster.assert_invariants().await;
}
