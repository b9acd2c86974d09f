//! `Ready` says whether our resource does its job: `kubectl wait --for=condition=Ready` is an alarm, and one that
//! does not cry in an ordinary rollout.

use rstest::rstest;
use simulator::kubernetes::{Storage, VernemqInstall};
use tokio::time::sleep;
use vernescale::api::Via;

use crate::broken_top::break_for_good;
use crate::cluster::{Cluster, minutes, seconds};
use crate::gives_way::{restart_all, rolled_out};
use crate::steering::steered;
use crate::told::not_ready;

/// What stands and is Critical.
fn critical(cluster: &Cluster) -> Vec<String> {
    let conditions = cluster.status().conditions.into_iter();
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
    let mut cluster = steered(via, 3).install(fresh).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(10)).await;
    restart_all(&cluster);
    let began = cluster.clock.now();
    while !rolled_out(&cluster) || cluster.clock.now().since(began) < minutes(2) {
        assert!(cluster.clock.now().since(began) < minutes(10), "never rolled out\n{}", cluster.dump());
        assert_eq!((critical(&cluster), not_ready(&cluster)), (Vec::new(), None), "{}", cluster.dump());
        // Without the invariants: a fresh node is ready before it has joined, whoever rolls out.
        sleep(seconds(1)).await;
    }
    assert_eq!(cluster.dead_members(), Vec::<String>::new());
}

// Without load and without the invariants: a broker that is killed refuses and loses by itself.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn it_is_false_while_no_broker_can_be_read(#[case] via: Via) {
    let mut cluster = steered(via, 1).start().await;
    cluster.start_controller("a");
    cluster.pass(seconds(8)).await;
    assert_eq!(not_ready(&cluster), None, "{}", cluster.dump());
    let broken = break_for_good(&cluster, 0);
    let told = |cluster: &Cluster| not_ready(cluster).as_deref() == Some("NoBrokerRead");
    let took = cluster.until("it is told", seconds(20), told).await;
    assert!(took >= seconds(8), "one that boots answers nothing for seconds: {took:?}");
    cluster.pass(minutes(1)).await;
    assert!(told(&cluster), "{}", cluster.dump());
    broken.abort();
    cluster.until("it works again", minutes(6), |cluster| not_ready(cluster).is_none()).await;
    assert!(cluster.condition("NoBrokerRead").is_none(), "{}", cluster.dump());
}

/// A controller that has never read a broker promises nothing.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn it_is_false_before_a_broker_was_read(#[case] via: Via) {
    let mut cluster = steered(via, 1).start().await;
    let broken = break_for_good(&cluster, 0);
    cluster.pass(seconds(1)).await;
    cluster.start_controller("a");
    cluster.until("a first status", seconds(5), |cluster| !cluster.status().conditions.is_empty()).await;
    assert_eq!(not_ready(&cluster).as_deref(), Some("NoBrokerRead"), "{}", cluster.dump());
    broken.abort();
}
