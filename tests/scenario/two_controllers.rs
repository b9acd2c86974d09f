//! Two controllers and one lease: one acts.

use rstest::rstest;
use serde_json::Value;
use simulator::kubernetes::{Fault, Rule, Verb, Write};
use vernescale::api::Via;

use crate::metrics::gauges;
use crate::steering::{annotation, steered};
use crate::world::{NAME, NAMESPACE, World, minutes, seconds};

/// Three nodes, `a` leads, `b` waits.
async fn two(via: Via) -> World {
    let mut world = steered(via, 3).start().await;
    world.load(2.0).await;
    world.start_controller("a");
    world.pass(seconds(6)).await;
    world.start_controller("b");
    world.pass(seconds(6)).await;
    assert_eq!(holder(&world), "a");
    world
}

fn holder(world: &World) -> String {
    let lease = world.kubernetes.object("leases", NAMESPACE, "vernescale").expect("the lease is there");
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Who wrote the intent last, and the change that it is about.
fn writer(world: &World) -> (String, u64) {
    let text = annotation(world).unwrap_or_default();
    let record: Value = serde_json::from_str(&text).unwrap_or_default();
    (record["writer"].as_str().unwrap_or_default().to_owned(), record["epoch"].as_u64().unwrap_or(0))
}

/// Everything but the election that this controller has asked for.
fn acts(world: &World, identity: &str) -> Vec<Write> {
    let log = world.kubernetes.log().into_iter();
    log.filter(|write| write.client == identity && write.resource != "leases").collect()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_other_takes_over_from_a_leader_that_is_killed(#[case] via: Via) {
    let mut world = two(via).await;
    world.wish(2);
    world.until("a drains", minutes(1), |world| world.step().as_deref() == Some("Drain")).await;
    let (first, epoch) = writer(&world);
    assert_eq!(first, "a");
    assert_eq!(acts(&world, "b"), [], "b only waits");
    world.kill_controller("a").await;
    // 15 s of a lease that does not change, and an attempt every 2 s.
    world.until("b leads", seconds(20), |world| holder(world) == "b").await;
    world.until("two nodes", minutes(3), |world| world.settled(2)).await;
    assert_eq!(writer(&world), ("b".to_owned(), epoch), "the same change was finished");
    world.assert_bars().await;
}

#[rstest]
#[case(Via::ManagementApi, Fault::ServerError)]
#[case(Via::Exec, Fault::ServerError)]
#[case(Via::ManagementApi, Fault::Hang { applied: false })]
#[case(Via::Exec, Fault::Hang { applied: false })]
#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_the_other_begins(#[case] via: Via, #[case] fault: Fault) {
    let mut world = two(via).await;
    let faults = world.kubernetes.faults();
    let cut_off = faults.add(Rule::new(fault).resource("leases").client("a"));
    let since = world.clock.now();
    // It believes that it leads for up to 10 s more: the change is in the middle when that ends.
    world.pass(seconds(5)).await;
    world.wish(2);
    world.until("a begins", seconds(5), |world| writer(world).0 == "a").await;
    let epoch = writer(&world).1;
    world.until("b leads", seconds(20), |world| holder(world) == "b").await;
    assert!(world.kubernetes.faults().hits(cut_off) > 0);
    world.until("b shows the size", seconds(5), |world| !gauges(world, "b").is_empty()).await;
    assert_eq!(gauges(&world, "a"), Vec::<String>::new(), "a shows what it does not look at any more");
    world.until("two nodes", minutes(3), |world| world.settled(2)).await;
    assert_eq!(writer(&world), ("b".to_owned(), epoch), "the same change was finished\n{}", world.dump());

    let (last, first) = (acts(&world, "a").last().expect("it led").at, acts(&world, "b")[0].at);
    assert!(last.since(since) <= seconds(10), "a acts for {:?} after its last renewal", last.since(since));
    assert!(first.since(last) >= seconds(3), "a acted {:?} before b", first.since(last));

    // It can reach the lease again, and does not take it back.
    world.kubernetes.faults().remove(cut_off);
    let before = acts(&world, "a").len();
    world.wish(1);
    world.until("one node", minutes(3), |world| world.settled(1)).await;
    assert_eq!((holder(&world).as_str(), acts(&world, "a").len()), ("b", before));
    world.assert_bars().await;
}

/// Both see at the same time that the lease has run out.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn of_two_that_wait_one_takes_over(#[case] via: Via) {
    let mut world = two(via).await;
    world.kill_controller("b").await;
    for waits in ["b", "c"] {
        world.start_controller(waits);
    }
    world.pass(seconds(6)).await;
    world.kill_controller("a").await;
    world.until("another leads", seconds(20), |world| holder(world) != "a").await;
    world.wish(2);
    world.until("two nodes", minutes(3), |world| world.settled(2)).await;
    let leader = holder(&world);
    let other = if leader == "b" { "c" } else { "b" };
    assert_eq!(acts(&world, other), [], "{leader} leads");
    world.assert_bars().await;
}

/// The record was read, another has written it, and only then the write of the first arrives.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_comes_late_is_refused(#[case] via: Via) {
    let mut world = two(via).await;
    world.wish(2);
    world.until("a drains", minutes(1), |world| world.step().as_deref() == Some("Drain")).await;
    let slow = Rule::new(Fault::Slow(seconds(2))).resource("statefulsets").verb(Verb::Patch).client("a");
    let slow = world.kubernetes.faults().add(slow.times(1));
    let on_its_way = |world: &World| world.kubernetes.faults().hits(slow) == 1;
    world.until("a write is on its way", seconds(20), on_its_way).await;
    let mut record: Value = serde_json::from_str(&annotation(&world).expect("a drains")).expect("JSON");
    record["writer"] = "somebody".into();
    record["write"] = (record["write"].as_u64().expect("counted") + 1).into();
    let text = record.to_string();
    world.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
        set["metadata"]["annotations"]["vernescale.dev/intent"] = text.clone().into();
    });
    let calls = world.hooks.names().len();
    world.pass(seconds(2)).await;
    let late =
        acts(&world, "a").into_iter().rfind(|write| write.resource == "statefulsets").expect("it came");
    assert!([409, 422].contains(&late.code), "{late:?}");
    let done = world.hooks.names().split_off(calls);
    assert_eq!(done, Vec::<String>::new(), "nothing was asked of a broker with it");
    world.until("two nodes", minutes(3), |world| world.settled(2)).await;
    world.assert_bars().await;
}
