//! Leaves whose answer says nothing: lost, cut at 60 s, never to come. What has
//! become of them is read from the cluster.

use std::time::Duration;

use kube::Api;
use lifecycle::{NodeName, Outcome};
use rstest::rstest;
use simulator::kubernetes::{Fault, Rule, Verb};
use simulator::model::{Fault as BrokerFault, Signal, Spread};
use vernescale::api::Via;
use vernescale::kubernetes::exec;

use crate::bad_answers::{ELSEWHERE, Now, answer_at, ports};
use crate::cluster::{Cluster, NAMESPACE, minutes, seconds};
use crate::one_leave::{begin, ends_well, node, outcome, park, queues, three};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_no_failure_and_no_success(#[case] via: Via) {
    let mut cluster = three(via).start().await;
    if via == Via::ManagementApi {
        cluster.fleet.lose_leave_replies(1);
    } else {
        // The next command that runs in a container after this is the leave.
        let kubernetes = cluster.kubernetes.clone();
        cluster.hooks.after("record Leave", move || async move {
            let cut = Rule::new(Fault::Cut { applied: true });
            kubernetes.faults().add(cut.resource("pods/exec").verb(Verb::Exec).times(1));
        });
    }
    begin(&mut cluster).await;
    let (survivor, leaver) = (node(&cluster, 1), node(&cluster, 2));
    let left = |cluster: &Cluster| {
        cluster.fleet.with_model(|model, _| !model.members_seen_by(&survivor).contains_key(&leaver))
    };
    cluster.until("it has left", minutes(6), left).await;
    let took = cluster.until("the size is lowered", seconds(4), |cluster| cluster.replicas() == 2).await;
    // Then its container exits, at 2 s it would run again.
    assert!(took <= seconds(2), "lowered {took:?} after it had left");
    ends_well(&mut cluster).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn one_that_is_cut_at_60_s_and_takes_three_minutes_is_waited_for(#[case] via: Via) {
    let slow = three(via).broker(|broker| {
        broker.rates.migrate = 1;
        broker.rates.migrate_empty = 1;
    });
    let mut cluster = slow.start().await;
    park(&mut cluster, 2, 180).await;
    begin(&mut cluster).await;
    cluster.until("the leave is asked", minutes(6), |cluster| cluster.hooks.times("Leave") == 1).await;
    let cut =
        cluster.until("it is cut", seconds(70), |cluster| cluster.hooks.times("Leave answered") == 1).await;
    assert!(cut >= seconds(59), "answered after {cut:?}\n{}", cluster.dump());
    // Every look of it: it is not stuck, not undone, and nothing shrinks before the last queue has moved.
    let rest = cluster
        .until("the size is lowered", minutes(3), |cluster| {
            assert!(cluster.condition("LeaveStuck").is_none(), "its queues do move\n{}", cluster.dump());
            assert!(cluster.hooks.times("record Cancel") == 0, "undone\n{}", cluster.dump());
            assert!(cluster.condition("VerifyFailed").is_none(), "it has not left yet\n{}", cluster.dump());
            cluster.replicas() == 2
        })
        .await;
    assert!(cut + rest >= minutes(3), "lowered after {:?}", cut + rest);
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
    assert!(queues(&cluster, 0) + queues(&cluster, 1) >= 180, "every queue has moved");
    ends_well(&mut cluster).await;
}

/// A leave that does not get on, since one of three sessions has this fault at the leaver: said after a
/// minute, and nothing is shrunk.
async fn stuck(via: Via, fault: impl FnOnce(NodeName) -> BrokerFault) -> Cluster {
    let mut cluster = three(via).start().await;
    park(&mut cluster, 2, 3).await;
    let fault = fault(node(&cluster, 2));
    cluster.fleet.with_model(|model, now| model.fault(&fault, now));
    begin(&mut cluster).await;
    cluster
        .until("it is said to be stuck", minutes(3), |cluster| cluster.condition("LeaveStuck").is_some())
        .await;
    let until = cluster.clock.now() + seconds(15);
    while cluster.clock.now() < until {
        cluster.pass(seconds(1)).await;
        assert_eq!((cluster.replicas(), cluster.serving()), (3, 2), "{}", cluster.dump());
        assert_eq!(cluster.step().as_deref(), Some("Leave"), "{}", cluster.dump());
        assert!(cluster.condition("LeaveStuck").is_some(), "said no more\n{}", cluster.dump());
    }
    cluster
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_move_is_told_and_a_restart_ends_it(#[case] via: Via) {
    let stick = |node| BrokerFault::StickQueue { node, client_id: "parked-1".into(), on: true };
    let mut cluster = stuck(via, stick).await;

    // As the condition says: the container is restarted, and comes back as a member.
    cluster.fleet.signal(&node(&cluster, 2), Signal::Kill);
    let back = |cluster: &Cluster| outcome(cluster) == Some(Outcome::Cancelled);
    cluster.until("the shrink is undone", minutes(2), back).await;
    assert_eq!((cluster.replicas(), cluster.dead_members()), (3, Vec::new()), "{}", cluster.dump());
    assert!(cluster.condition("LeaveStuck").is_none(), "still said\n{}", cluster.dump());
    // The restart has unstuck the queue, too: the next leave goes through.
    cluster.until("two nodes are left", minutes(6), |cluster| cluster.settled(2)).await;
    cluster.assert_invariants().await;
}

/// The other way that the condition names: stopped gracefully, the leaver leaves without what is stuck.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_graceful_stop_makes_a_stuck_leave_fire(#[case] via: Via) {
    let stick = |node| BrokerFault::StickQueue { node, client_id: "parked-1".into(), on: true };
    let mut cluster = stuck(via, stick).await;
    let told = cluster.condition("LeaveStuck").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("(SIGTERM) has two ends, and neither is promised"), "{told}");

    cluster.fleet.signal(&node(&cluster, 2), Signal::Term);
    let lowered = |cluster: &Cluster| {
        assert!(cluster.condition("LeaveOutcomeUnknown").is_none(), "late at once\n{}", cluster.dump());
        cluster.replicas() == 2
    };
    cluster.until("the size is lowered", seconds(4), lowered).await;
    ends_well(&mut cluster).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_end_is_told_and_asked_for_again(#[case] via: Via) {
    let pin = |node, on| BrokerFault::PinSession { node, client_id: "parked-1".into(), on };
    let mut cluster = stuck(via, |node| pin(node, true)).await;
    assert!(cluster.hooks.times("Leave") > 1, "`still online queues` is an answer to ask again after");

    let loose = pin(node(&cluster, 2), false);
    cluster.fleet.with_model(|model, now| model.fault(&loose, now));
    ends_well(&mut cluster).await;
}

/// One survivor drops the leaver at once, the other goes on listing it as running for six seconds, as recorded once
/// (`leave_edge_cases.txt` F2), while something in its pod listens on. Where it is the coordinator, the word of the other
/// suffices; where it is not, it is waited for.
#[rstest]
#[tokio::test(start_paused = true)]
async fn survivors_that_disagree_for_six_seconds(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(0, 1)] late: u32,
) {
    let slow = three(via).broker(|broker| {
        broker.timing.leave_seen = Spread::exactly(80);
        broker.rates.leave_told_percent = 100;
        broker.timing.leave_exit = Spread::exactly(6_000);
    });
    let mut cluster = slow.spec(&ports(via, ELSEWHERE)).start().await;
    let _front = answer_at(&cluster, &Now::default(), |_| false).await;
    let (survivors, leaver) = ([node(&cluster, 0), node(&cluster, 1)], node(&cluster, 2));
    let deaf = BrokerFault::DeafToLeaves { node: node(&cluster, late), on: true };
    cluster.fleet.with_model(|model, now| model.fault(&deaf, now));
    begin(&mut cluster).await;
    let lists = |cluster: &Cluster| {
        survivors.each_ref().map(|survivor| {
            cluster.fleet.with_model(|model, _| model.members_seen_by(survivor).contains_key(&leaver))
        })
    };
    cluster.until("one of them drops it", minutes(6), |cluster| lists(cluster) != [true, true]).await;
    let apart = cluster
        .until("they agree", seconds(10), |cluster| {
            let [_, other] = lists(cluster);
            assert!(
                cluster.replicas() == 3 || !other,
                "lowered on the coordinator's word\n{}",
                cluster.dump()
            );
            assert!(cluster.condition("VerifyFailed").is_none(), "told too soon\n{}", cluster.dump());
            lists(cluster) == [false, false]
        })
        .await;
    assert!(apart >= Duration::from_millis(5_800), "apart for {apart:?} only");
    cluster.until("the size is lowered", seconds(2), |cluster| cluster.replicas() == 2).await;
    ends_well(&mut cluster).await;
    assert_eq!(cluster.hooks.times("Leave"), 1, "asked again\n{}", cluster.dump());
}

/// The client of `pods/exec` ends without closing its pipes: what is read from them would never end.
#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_not_waited_for() {
    let cluster = Cluster::builder(Via::Exec).replicas(1).clients(0).start().await;
    cluster.kubernetes.faults().add(Rule::new(Fault::Cut { applied: true }).resource("pods/exec"));
    let pods = Api::namespaced(cluster.kubernetes.client(), NAMESPACE);
    let argv = ["vmq-admin", "cluster", "show"].map(str::to_owned);
    let cut = exec::run(&pods, "vmq-0", "vernemq", &argv, Duration::from_hours(1));
    let cut = tokio::time::timeout(minutes(10), cut).await.expect("it is not waited for");
    assert_eq!(cut, Ok(exec::Output::default()));
}
