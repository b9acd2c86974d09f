//! Leaves whose answer says nothing: lost, cut at 60 s, never to come. What has
//! become of them is read from the cluster.

use lifecycle::Outcome;
use rstest::rstest;
use vernescale::crd::Via;
use vernescale::standin::cluster_model::{Fault as BrokerFault, Signal};
use vernescale::standin::kubernetes::{Fault, Rule, Verb};

use crate::one_leave::{begin, node, outcome, park, queues, three};
use crate::world::{World, minutes, seconds};

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
        world.taps.after("record Leave", move || async move {
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
    world.until("two nodes are left", minutes(2), |world| world.settled(2)).await;
    assert_eq!(world.taps.times("Leave"), 1, "asked again\n{}", world.dump());
    assert_eq!(outcome(&world), Some(Outcome::Completed));
    world.assert_bars().await;
}
