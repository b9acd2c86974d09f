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
use crate::one_leave::{begin, ends_well, node, outcome, park, queues, three};
use crate::world::{NAMESPACE, World, minutes, seconds};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_no_failure_and_no_success(#[case] via: Via) {
    let mut world = three(via).start().await;
    if via == Via::ManagementApi {
        world.fleet.lose_leave_replies(1);
    } else {
        // The next command that runs in a container after this is the leave.
        let kubernetes = world.kubernetes.clone();
        world.hooks.after("record Leave", move || async move {
            let cut = Rule::new(Fault::Cut { applied: true });
            kubernetes.faults().add(cut.resource("pods/exec").verb(Verb::Exec).times(1));
        });
    }
    begin(&mut world).await;
    let (survivor, leaver) = (node(&world, 1), node(&world, 2));
    let left = |world: &World| {
        world.fleet.with_model(|model, _| !model.members_seen_by(&survivor).contains_key(&leaver))
    };
    world.until("it has left", minutes(6), left).await;
    let took = world.until("the size is lowered", seconds(4), |world| world.replicas() == 2).await;
    // Then its container exits, at 2 s it would run again.
    assert!(took <= seconds(2), "lowered {took:?} after it had left");
    ends_well(&mut world).await;
    assert_eq!(world.hooks.times("Leave"), 1, "asked again\n{}", world.dump());
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
    let mut world = slow.start().await;
    park(&mut world, 2, 180).await;
    begin(&mut world).await;
    world.until("the leave is asked", minutes(6), |world| world.hooks.times("Leave") == 1).await;
    let cut = world.until("it is cut", seconds(70), |world| world.hooks.times("Leave answered") == 1).await;
    assert!(cut >= seconds(59), "answered after {cut:?}\n{}", world.dump());
    // Every look of it: it is not stuck, not undone, and nothing shrinks before the last queue has moved.
    let rest = world
        .until("the size is lowered", minutes(3), |world| {
            assert!(world.condition("LeaveStuck").is_none(), "its queues do move\n{}", world.dump());
            assert!(world.hooks.times("record Cancel") == 0, "undone\n{}", world.dump());
            assert!(world.condition("VerifyFailed").is_none(), "it has not left yet\n{}", world.dump());
            world.replicas() == 2
        })
        .await;
    assert!(cut + rest >= minutes(3), "lowered after {:?}", cut + rest);
    assert_eq!(world.hooks.times("Leave"), 1, "asked again\n{}", world.dump());
    assert!(queues(&world, 0) + queues(&world, 1) >= 180, "every queue has moved");
    ends_well(&mut world).await;
}

/// A leave that does not get on, since one of three sessions has this fault at the leaver: said after a
/// minute, and nothing is shrunk.
async fn stuck(via: Via, fault: impl FnOnce(NodeName) -> BrokerFault) -> World {
    let mut world = three(via).start().await;
    park(&mut world, 2, 3).await;
    let fault = fault(node(&world, 2));
    world.fleet.with_model(|model, now| model.fault(&fault, now));
    begin(&mut world).await;
    world.until("it is said to be stuck", minutes(3), |world| world.condition("LeaveStuck").is_some()).await;
    let until = world.clock.now() + seconds(15);
    while world.clock.now() < until {
        world.pass(seconds(1)).await;
        assert_eq!((world.replicas(), world.serving()), (3, 2), "{}", world.dump());
        assert_eq!(world.step().as_deref(), Some("Leave"), "{}", world.dump());
        assert!(world.condition("LeaveStuck").is_some(), "said no more\n{}", world.dump());
    }
    world
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_move_is_told_and_a_restart_ends_it(#[case] via: Via) {
    let stick = |node| BrokerFault::StickQueue { node, client_id: "parked-1".into(), on: true };
    let mut world = stuck(via, stick).await;

    // As the condition says: the container is restarted, and comes back as a member.
    world.fleet.signal(&node(&world, 2), Signal::Kill);
    let back = |world: &World| outcome(world) == Some(Outcome::Cancelled);
    world.until("the shrink is undone", minutes(2), back).await;
    assert_eq!((world.replicas(), world.dead_members()), (3, Vec::new()), "{}", world.dump());
    assert!(world.condition("LeaveStuck").is_none(), "still said\n{}", world.dump());
    // The restart has unstuck the queue, too: the next leave goes through.
    world.until("two nodes are left", minutes(6), |world| world.settled(2)).await;
    world.assert_bars().await;
}

/// The other way that the condition names: stopped gracefully, the leaver leaves without what is stuck.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_graceful_stop_makes_a_stuck_leave_fire(#[case] via: Via) {
    let stick = |node| BrokerFault::StickQueue { node, client_id: "parked-1".into(), on: true };
    let mut world = stuck(via, stick).await;
    let told = world.condition("LeaveStuck").map(|told| told.message).unwrap_or_default();
    assert!(told.contains("(SIGTERM) has two ends, and neither is promised"), "{told}");

    world.fleet.signal(&node(&world, 2), Signal::Term);
    let lowered = |world: &World| {
        assert!(world.condition("LeaveOutcomeUnknown").is_none(), "late at once\n{}", world.dump());
        world.replicas() == 2
    };
    world.until("the size is lowered", seconds(4), lowered).await;
    ends_well(&mut world).await;
    assert_eq!(world.hooks.times("Leave"), 1, "asked again\n{}", world.dump());
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_end_is_told_and_asked_for_again(#[case] via: Via) {
    let pin = |node, on| BrokerFault::PinSession { node, client_id: "parked-1".into(), on };
    let mut world = stuck(via, |node| pin(node, true)).await;
    assert!(world.hooks.times("Leave") > 1, "`still online queues` is an answer to ask again after");

    let loose = pin(node(&world, 2), false);
    world.fleet.with_model(|model, now| model.fault(&loose, now));
    ends_well(&mut world).await;
}

/// One survivor drops the leaver at once, the other goes on listing it as running for six seconds, as recorded once
/// (`leave_edge_cases.txt` F2), while something in its pod listens on. Where it is the asker, the word of the other
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
    let mut world = slow.spec(&ports(via, ELSEWHERE)).start().await;
    let _front = answer_at(&world, &Now::default(), |_| false).await;
    let (survivors, leaver) = ([node(&world, 0), node(&world, 1)], node(&world, 2));
    let deaf = BrokerFault::DeafToLeaves { node: node(&world, late), on: true };
    world.fleet.with_model(|model, now| model.fault(&deaf, now));
    begin(&mut world).await;
    let lists = |world: &World| {
        survivors.each_ref().map(|survivor| {
            world.fleet.with_model(|model, _| model.members_seen_by(survivor).contains_key(&leaver))
        })
    };
    world.until("one of them drops it", minutes(6), |world| lists(world) != [true, true]).await;
    let apart = world
        .until("they agree", seconds(10), |world| {
            let [_, other] = lists(world);
            assert!(world.replicas() == 3 || !other, "lowered on the asker's word\n{}", world.dump());
            assert!(world.condition("VerifyFailed").is_none(), "told too soon\n{}", world.dump());
            lists(world) == [false, false]
        })
        .await;
    assert!(apart >= Duration::from_millis(5_800), "apart for {apart:?} only");
    world.until("the size is lowered", seconds(2), |world| world.replicas() == 2).await;
    ends_well(&mut world).await;
    assert_eq!(world.hooks.times("Leave"), 1, "asked again\n{}", world.dump());
}

/// The client of `pods/exec` ends without closing its pipes: what is read from them would never end.
#[tokio::test(start_paused = true)]
async fn a_cut_connection_is_not_waited_for() {
    let world = World::builder(Via::Exec).replicas(1).clients(0).start().await;
    world.kubernetes.faults().add(Rule::new(Fault::Cut { applied: true }).resource("pods/exec"));
    let pods = Api::namespaced(world.kubernetes.client(), NAMESPACE);
    let argv = ["vmq-admin", "cluster", "show"].map(str::to_owned);
    let cut = exec::run(&pods, "vmq-0", "vernemq", &argv, Duration::from_hours(1));
    let cut = tokio::time::timeout(minutes(10), cut).await.expect("it is not waited for");
    assert_eq!(cut, Ok(exec::Output::default()));
}
