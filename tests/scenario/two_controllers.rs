//! Two controllers and one lease: one acts.

use rstest::rstest;
use serde_json::Value;
use simulator::kubernetes::{Fault, Rule, Verb, Write};
use vernescale::api::Via;

use crate::cluster::{Cluster, NAME, NAMESPACE, minutes, seconds};
use crate::metrics::gauges;
use crate::steering::{annotation, steered};

/// Three nodes, `a` leads, `b` waits.
async fn two(via: Via) -> Cluster {
    let mut cluster = steered(via, 3).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(6)).await;
    cluster.start_controller("b");
    cluster.pass(seconds(6)).await;
    assert_eq!(holder(&cluster), "a");
    cluster
}

fn holder(cluster: &Cluster) -> String {
    let lease = cluster.kubernetes.object("leases", NAMESPACE, "vernescale").expect("the lease is there");
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Who wrote the intent last, and the change that it is about.
fn writer(cluster: &Cluster) -> (String, u64) {
    let text = annotation(cluster).unwrap_or_default();
    let record: Value = serde_json::from_str(&text).unwrap_or_default();
    (record["writer"].as_str().unwrap_or_default().to_owned(), record["epoch"].as_u64().unwrap_or(0))
}

/// Everything but the election that this controller has asked for.
fn acts(cluster: &Cluster, identity: &str) -> Vec<Write> {
    let log = cluster.kubernetes.log().into_iter();
    log.filter(|write| write.client == identity && write.resource != "leases").collect()
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn the_other_takes_over_from_a_leader_that_is_killed(#[case] via: Via) {
    let mut cluster = two(via).await;
    cluster.wish(2);
    cluster.until("a drains", minutes(1), |cluster| cluster.step().as_deref() == Some("Drain")).await;
    let (first, epoch) = writer(&cluster);
    assert_eq!(first, "a");
    assert_eq!(acts(&cluster, "b"), [], "b only waits");
    cluster.kill_controller("a").await;
    // 15 s of a lease that does not change, and an attempt every 2 s.
    cluster.until("b leads", seconds(20), |cluster| holder(cluster) == "b").await;
    cluster.until("two nodes", minutes(3), |cluster| cluster.settled(2)).await;
    assert_eq!(writer(&cluster), ("b".to_owned(), epoch), "the same change was finished");
    cluster.assert_invariants().await;
}

#[rstest]
#[case(Via::ManagementApi, Fault::ServerError)]
#[case(Via::Exec, Fault::ServerError)]
#[case(Via::ManagementApi, Fault::Hang { applied: false })]
#[case(Via::Exec, Fault::Hang { applied: false })]
#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_the_other_begins(#[case] via: Via, #[case] fault: Fault) {
    let mut cluster = two(via).await;
    let faults = cluster.kubernetes.faults();
    let cut_off = faults.add(Rule::new(fault).resource("leases").client("a"));
    let since = cluster.clock.now();
    // It believes that it leads for up to 10 s more: the change is in the middle when that ends.
    cluster.pass(seconds(5)).await;
    cluster.wish(2);
    cluster.until("a begins", seconds(5), |cluster| writer(cluster).0 == "a").await;
    let epoch = writer(&cluster).1;
    cluster.until("b leads", seconds(20), |cluster| holder(cluster) == "b").await;
    assert!(cluster.kubernetes.faults().hits(cut_off) > 0);
    cluster.until("b shows the size", seconds(5), |cluster| !gauges(cluster, "b").is_empty()).await;
    assert_eq!(gauges(&cluster, "a"), Vec::<String>::new(), "a shows what it does not look at any more");
    cluster.until("two nodes", minutes(3), |cluster| cluster.settled(2)).await;
    assert_eq!(writer(&cluster), ("b".to_owned(), epoch), "the same change was finished\n{}", cluster.dump());

    let (last, first) = (acts(&cluster, "a").last().expect("it led").at, acts(&cluster, "b")[0].at);
    assert!(last.since(since) <= seconds(10), "a acts for {:?} after its last renewal", last.since(since));
    assert!(first.since(last) >= seconds(3), "a acted {:?} before b", first.since(last));

    // It can reach the lease again, and does not take it back.
    cluster.kubernetes.faults().remove(cut_off);
    let before = acts(&cluster, "a").len();
    cluster.wish(1);
    cluster.until("one node", minutes(3), |cluster| cluster.settled(1)).await;
    assert_eq!((holder(&cluster).as_str(), acts(&cluster, "a").len()), ("b", before));
    cluster.assert_invariants().await;
}

/// Both see at the same time that the lease has run out.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn of_two_that_wait_one_takes_over(#[case] via: Via) {
    let mut cluster = two(via).await;
    cluster.kill_controller("b").await;
    for waits in ["b", "c"] {
        cluster.start_controller(waits);
    }
    cluster.pass(seconds(6)).await;
    cluster.kill_controller("a").await;
    cluster.until("another leads", seconds(20), |cluster| holder(cluster) != "a").await;
    cluster.wish(2);
    cluster.until("two nodes", minutes(3), |cluster| cluster.settled(2)).await;
    let leader = holder(&cluster);
    let other = if leader == "b" { "c" } else { "b" };
    assert_eq!(acts(&cluster, other), [], "{leader} leads");
    cluster.assert_invariants().await;
}

/// The record was read, another has written it, and only then the write of the first arrives.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_record_that_comes_late_is_refused(#[case] via: Via) {
    let mut cluster = two(via).await;
    cluster.wish(2);
    cluster.until("a drains", minutes(1), |cluster| cluster.step().as_deref() == Some("Drain")).await;
    let slow = Rule::new(Fault::Slow(seconds(2))).resource("statefulsets").verb(Verb::Patch).client("a");
    let slow = cluster.kubernetes.faults().add(slow.times(1));
    let on_its_way = |cluster: &Cluster| cluster.kubernetes.faults().hits(slow) == 1;
    cluster.until("a write is on its way", seconds(20), on_its_way).await;
    let mut record: Value = serde_json::from_str(&annotation(&cluster).expect("a drains")).expect("JSON");
    record["writer"] = "somebody".into();
    record["write"] = (record["write"].as_u64().expect("counted") + 1).into();
    let text = record.to_string();
    cluster.kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| {
        set["metadata"]["annotations"]["vernescale.dev/intent"] = text.clone().into();
    });
    let calls = cluster.hooks.names().len();
    cluster.pass(seconds(2)).await;
    let late =
        acts(&cluster, "a").into_iter().rfind(|write| write.resource == "statefulsets").expect("it came");
    assert!([409, 422].contains(&late.code), "{late:?}");
    let done = cluster.hooks.names().split_off(calls);
    assert_eq!(done, Vec::<String>::new(), "nothing was asked of a broker with it");
    cluster.until("two nodes", minutes(3), |cluster| cluster.settled(2)).await;
    cluster.assert_invariants().await;
}
