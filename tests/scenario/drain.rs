//! The clients of a node on its way out: nobody new comes, those who are there go one batch after the
//! other, and the leave finds none of them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lifecycle::Time;
use rstest::rstest;
use serde_json::json;
use simulator::fleet::Fleet;
use simulator::kubernetes::{Fault, Rule, Verb};
use simulator::model::{Connect, Protocol};
use vernescale::api::Via;

use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, node, queues, three};
use crate::steering::until_step;

/// More than a leave may kill, 50 as people have it.
const VISITORS: usize = 60;

/// The least pace is ten a second in one call (docs/broker/drain.md, "A safe pace"); a second that is looked
/// at may hold the beginning of one call and the end of the next.
const GO_IN_A_SECOND: usize = 20;

fn visitor(number: usize) -> String {
    format!("visitor-{number}")
}

/// Clients with these ids connect to the leaver.
fn visit(cluster: &Cluster, ids: impl Iterator<Item = String>) {
    visit_in(cluster, "", ids);
}

/// The same by a listener with this mountpoint.
fn visit_in(cluster: &Cluster, mountpoint: &str, ids: impl Iterator<Item = String>) {
    let leaver = node(cluster, 2);
    for id in ids {
        let connect = Connect { mountpoint: mountpoint.into(), ..Connect::new(id, Protocol::V4, true) };
        cluster.fleet.with_model(|model, now| model.connect(&leaver, connect, now));
    }
}

/// Of those who came to see the leaver.
fn online(fleet: &Fleet) -> usize {
    let there =
        |number: &usize| fleet.with_model(|model, _| model.connection_of(&visitor(*number))).is_some();
    (0..VISITORS).filter(there).count()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn they_go_slowly_and_the_leave_finds_none(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    let leaver = node(&cluster, 2);
    visit(&cluster, (0..VISITORS).map(visitor));
    let at_leave = Arc::new(AtomicUsize::new(usize::MAX));
    let (fleet, left) = (cluster.fleet.clone(), Arc::clone(&at_leave));
    cluster.hooks.after("record Leave", move || async move { left.store(online(&fleet), Ordering::Relaxed) });
    begin(&mut cluster).await;
    let seen: RefCell<Vec<(Time, usize)>> = RefCell::default();
    cluster
        .until("the leave is asked", minutes(6), |cluster| {
            seen.borrow_mut().push((cluster.clock.now(), online(&cluster.fleet)));
            let listens = cluster.fleet.with_model(|model, _| model.listening(&leaver));
            let draining = cluster.step().as_deref() == Some("Drain");
            assert!(!(draining && listens), "new clients come to a node that is drained\n{}", cluster.dump());
            cluster.hooks.times("Leave") == 1
        })
        .await;
    assert_eq!(at_leave.load(Ordering::Relaxed), 0, "so many are killed by the leave\n{}", cluster.dump());
    let seen = seen.into_inner();
    assert_eq!(seen[0].1, VISITORS, "they were there");
    for (at, before) in &seen {
        let after =
            seen.iter().rfind(|(then, _)| then.since(*at) <= seconds(1)).map_or(*before, |last| last.1);
        assert!(before - after <= GO_IN_A_SECOND, "{before} were online at {at:?}, {after} a second later");
    }
    ends_well(&mut cluster).await;
}

/// A disconnect without the mountpoint of a session says `Done` and does nothing.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn each_mountpoint_is_drained_by_its_name(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    visit(&cluster, (0..VISITORS / 2).map(visitor));
    visit_in(&cluster, "tenant-b", (VISITORS / 2..VISITORS).map(visitor));
    let at_leave = Arc::new(AtomicUsize::new(usize::MAX));
    let (fleet, left) = (cluster.fleet.clone(), Arc::clone(&at_leave));
    cluster.hooks.after("record Leave", move || async move { left.store(online(&fleet), Ordering::Relaxed) });
    begin(&mut cluster).await;
    cluster.until("it is asked to leave", minutes(2), |cluster| cluster.hooks.times("Leave") > 0).await;
    assert_eq!(at_leave.load(Ordering::Relaxed), 0, "so many are killed by the leave\n{}", cluster.dump());
    ends_well(&mut cluster).await;
}

/// The broker's command line splits a word at each `=`: what it cannot carry is not asked for, and told by name. They
/// are few enough for a leave to end them.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_mountpoint_that_no_command_can_carry_is_named(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    visit(&cluster, (0..10).map(visitor));
    visit_in(&cluster, "tenant=b", (10..13).map(visitor));
    begin(&mut cluster).await;
    let stay =
        |cluster: &Cluster| cluster.condition("SessionsStay").map(|told| told.message).unwrap_or_default();
    cluster.until("it is told", minutes(1), |cluster| !stay(cluster).is_empty()).await;
    // How many it says is what the first list had room for.
    let told = stay(&cluster);
    assert!(told.contains("sessions of pod 2") && told.contains(r#"of mountpoint "tenant=b""#), "{told}");
    cluster.until("it is asked to leave", minutes(2), |cluster| cluster.hooks.times("Leave") > 0).await;
    assert_eq!(cluster.condition("DrainSlow"), None, "{}", cluster.dump());
    ends_well(&mut cluster).await;
}

/// What the broker itself may lose is said before the first session moves.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn what_it_may_cost_is_told_first(#[case] via: Via) {
    let mut cluster = three(via).clients(0).start().await;
    visit(&cluster, (0..VISITORS).map(visitor));
    cluster.start_controller("a");
    let told = |cluster: &Cluster| {
        let events = cluster.kubernetes.log().into_iter().filter(|write| write.resource == "events");
        let mut began = events.filter(|write| write.body["reason"] == "ShrinkBegan");
        began.find_map(|write| write.body["message"].as_str().map(str::to_owned))
    };
    cluster.until("it is told", minutes(6), |cluster| told(cluster).is_some()).await;
    assert_eq!(cluster.hooks.times("DrainBatch"), 0, "{}", cluster.dump());
    let message = told(&cluster).unwrap_or_default();
    assert!(message.contains("60 sessions move to other nodes: some 2 of their messages"), "{message}");
    assert!(message.contains("3 in 120 moves"), "{message}");
}

/// Sixty at 100 % a second are paced as six thousand at 1 % are: five lists a second, each of which may take as long.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_quick_pace_ends_with_the_last_session(#[case] via: Via) {
    let mut cluster = three(via).spec(&json!({ "drain": { "percentPerSecond": 100 } })).start().await;
    visit(&cluster, (0..VISITORS).map(visitor));
    begin(&mut cluster).await;
    until_step(&mut cluster, "Drain").await;
    cluster.until("nobody is there", minutes(1), |cluster| online(&cluster.fleet) == 0).await;
    cluster.until("it is asked to leave", seconds(10), |cluster| cluster.hooks.times("Leave") > 0).await;
    ends_well(&mut cluster).await;
}

/// Each has an id that is disconnected by a command of its own, and each command takes its time: they are too many
/// for one call, which has to end before the lease may be another's.
#[tokio::test(start_paused = true)]
async fn a_batch_of_slow_commands_ends_in_time() {
    let mut cluster = three(Via::Exec).start().await;
    visit(&cluster, (0..3).map(|visitor| format!("visitor,{visitor}")));
    let slow = Rule::new(Fault::Slow(seconds(4))).resource("pods/exec").verb(Verb::Exec);
    cluster.kubernetes.faults().add(slow);
    begin(&mut cluster).await;
    until_step(&mut cluster, "Drain").await;
    let mut since = None;
    while cluster.step().as_deref() == Some("Drain") {
        let batch = cluster.hooks.times("DrainBatch");
        let runs = batch > cluster.hooks.times("DrainBatch answered");
        since = since.filter(|(of, _)| runs && *of == batch).or(runs.then(|| (batch, cluster.clock.now())));
        let lasts = since.map_or(Duration::ZERO, |(_, since)| cluster.clock.now().since(since));
        assert!(lasts <= seconds(10), "a batch has run for {lasts:?}\n{}", cluster.dump());
        cluster.pass(Duration::from_millis(100)).await;
    }
    cluster.kubernetes.faults().clear();
    ends_well(&mut cluster).await;
}

/// More than a second's worth of the fastest pace that there is.
const CROWD: usize = 3_000;

/// The broker takes some 700 a second: 50 ids cost 69 ms (`disconnect_cost.txt`). What is asked for is reached, and
/// told while it goes on, at its end, and on the record.
#[tokio::test(start_paused = true)]
async fn five_hundred_a_second_are_reached_and_told() {
    let pace = json!({ "drain": { "percentPerSecond": 100, "maxPerSecond": 500 } });
    let mut cluster = three(Via::ManagementApi).spec(&pace).start().await;
    visit(&cluster, (0..CROWD).map(visitor));
    let crowd = i64::try_from(CROWD).expect("few");
    cluster.until("they are there", seconds(10), |cluster| queues(cluster, 2) >= crowd).await;
    begin(&mut cluster).await;
    until_step(&mut cluster, "Drain").await;
    let paced = |cluster: &Cluster| {
        cluster.metrics("a").contains(r#"vernescale_drain_sessions_per_second{name="vmq"} "#)
    };
    // Its share of the load has queues there, too.
    let gone = |cluster: &Cluster| queues(cluster, 2) <= 6;
    let shown = cluster.until("its pace is shown", seconds(5), paced).await;
    let took = shown + cluster.until("nobody is there", minutes(2), gone).await;
    // At this pace it takes six seconds.
    assert!(took <= seconds(7), "{CROWD} sessions took {took:?}\n{}", cluster.dump());
    cluster.until("it is asked to leave", seconds(10), |cluster| cluster.hooks.times("Leave") > 0).await;
    ends_well(&mut cluster).await;
    let reached = cluster.intent().and_then(|intent| intent.drained_per_second);
    assert!(reached.is_some_and(|reached| (430..=560).contains(&reached)), "{reached:?}\n{}", cluster.dump());
    let told = cluster.kubernetes.objects("events", NAMESPACE);
    let told = told.iter().find(|event| event["reason"] == "Drained").expect("an Event says so");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("(500 asked for)")), "{told}");
    assert!(!paced(&cluster), "no pace is shown without a drain");
}

/// It would be undone at its end, and everybody that it had moved, moved for nothing.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_its_budget_does_not_hold_is_not_begun(#[case] via: Via) {
    let slow = json!({ "drain": { "maxPerSecond": 1, "budget": "30s" } });
    let mut cluster = three(via).spec(&slow).start().await;
    visit(&cluster, (0..VISITORS).map(visitor));
    begin(&mut cluster).await;
    cluster.until("it is told", minutes(1), |cluster| cluster.condition("DrainTooLong").is_some()).await;
    let told = cluster.condition("DrainTooLong").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("longer than spec.drain.budget (30 s)"), "{told}");
    cluster.pass(minutes(1)).await;
    assert_eq!(
        (online(&cluster.fleet), cluster.hooks.times("record Fence")),
        (VISITORS, 0),
        "{}",
        cluster.dump()
    );
    cluster.edit_spec(&json!({ "drain": { "maxPerSecond": 100, "budget": "30s" } }));
    ends_well(&mut cluster).await;
}
