//! `Ready` says whether our resource does its job: `kubectl wait --for=condition=Ready` is an alarm, and one that
//! does not cry in an ordinary rollout.

use rstest::rstest;
use simulator::kubernetes::{Storage, VernemqInstall};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::gives_way::{restart_all, rolled_out};
use crate::steering::steered;
use crate::told::not_ready;
use crate::world::{World, minutes, seconds};

/// What stands and is Critical.
fn critical(world: &World) -> Vec<String> {
    let conditions = world.status().conditions.into_iter();
    let critical = conditions.filter(|one| one.status == "True" && one.reason == "Critical");
    critical.map(|one| format!("{}: {}", one.type_, one.message)).collect()
}

/// Each node is made again, with nothing on its volume.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn an_ordinary_rollout_is_no_alarm(#[case] via: Via) {
    let fresh = |install: &mut VernemqInstall| {
        install.storage = Storage::EmptyDir;
        install.probe_delay = seconds(10);
    };
    let mut world = steered(via, 3).install(fresh).start().await;
    world.start_controller("a");
    world.pass(seconds(10)).await;
    restart_all(&world);
    let began = world.clock.now();
    while !rolled_out(&world) || world.clock.now().since(began) < minutes(2) {
        assert!(world.clock.now().since(began) < minutes(10), "never rolled out\n{}", world.dump());
        assert_eq!((critical(&world), not_ready(&world)), (Vec::new(), None), "{}", world.dump());
        // Without the bars: a fresh node is ready before it has joined, whoever rolls out.
        sleep(seconds(1)).await;
    }
    assert_eq!(world.dead_members(), Vec::<String>::new());
}

// Without load and without the bars: a broker that is killed refuses and loses by itself.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn it_is_false_while_no_broker_can_be_read(#[case] via: Via) {
    let mut world = steered(via, 1).start().await;
    world.start_controller("a");
    world.pass(seconds(8)).await;
    assert_eq!(not_ready(&world), None, "{}", world.dump());
    let broken = break_for_good(&world, 0);
    let told = |world: &World| not_ready(world).as_deref() == Some("NoBrokerRead");
    let took = world.until("it is told", seconds(20), told).await;
    assert!(took >= seconds(8), "one that boots answers nothing for seconds: {took:?}");
    world.pass(minutes(1)).await;
    assert!(told(&world), "{}", world.dump());
    broken.abort();
    world.until("it works again", minutes(6), |world| not_ready(world).is_none()).await;
    assert!(world.condition("NoBrokerRead").is_none(), "{}", world.dump());
}

/// A controller that has never read a broker promises nothing.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn it_is_false_before_a_broker_was_read(#[case] via: Via) {
    let mut world = steered(via, 1).start().await;
    let broken = break_for_good(&world, 0);
    world.pass(seconds(1)).await;
    world.start_controller("a");
    world.until("a first status", seconds(5), |world| !world.status().conditions.is_empty()).await;
    assert_eq!(not_ready(&world).as_deref(), Some("NoBrokerRead"), "{}", world.dump());
    broken.abort();
}
