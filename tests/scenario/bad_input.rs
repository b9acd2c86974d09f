//! What people set that we cannot work with: a condition says what to do, the
//! size stays, and once it is put right all goes on without a restart.

use rstest::rstest;
use serde_json::{Value, json};
use vernescale::crd::Via;
use vernescale::standin::cluster_model::ManagementAuth;

use crate::world::{Builder, NAME, NAMESPACE, World, minutes, seconds};

/// Two nodes, of which one is no longer wanted as soon as the numbers are known.
fn two_nodes(via: Via) -> Builder {
    let spec = json!({ "wishFrom": "Scale", "replicas": 1, "window": "10s" });
    World::builder(via).replicas(2).spec(&spec).clients(1)
}

/// The condition stands, and nothing has moved.
async fn held_by(world: &mut World, condition: &str) {
    world.until(condition, minutes(2), |world| world.condition(condition).is_some()).await;
    let message = world.condition(condition).expect("just seen").message;
    assert!(message.len() > 60, "says what to do: {message}");
    world.pass(minutes(2)).await;
    assert_eq!(world.replicas(), 2, "{}", world.dump());
    assert!(world.condition(condition).is_some(), "{}", world.dump());
}

async fn goes_on(world: &mut World, condition: &str) {
    world.until("it goes on by itself", minutes(5), |world| world.settled(1)).await;
    assert!(world.condition(condition).is_none(), "{}", world.dump());
    world.assert_bars().await;
}

#[rstest]
#[case::parallel("/spec/podManagementPolicy", json!("OrderedReady"), json!("Parallel"), "PodManagementPolicy")]
#[case::on_delete("/spec/updateStrategy/type", json!("RollingUpdate"), json!("OnDelete"), "UpdateOnDelete")]
#[tokio::test(start_paused = true)]
async fn a_stateful_set_of_another_order(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[case] path: &str,
    #[case] right: Value,
    #[case] wrong: Value,
    #[case] condition: &str,
) {
    let mut world = two_nodes(via).start().await;
    let set = |world: &World, value: Value| {
        world.kubernetes.edit("statefulsets", NAMESPACE, NAME, |object| {
            // `updateStrategy` may not be there yet.
            if let Some(place) = object.pointer_mut(path) {
                *place = value;
            } else {
                object["spec"]["updateStrategy"] = json!({ "type": value });
            }
        })
    };
    assert!(set(&world, wrong));
    world.start_controller("a");
    held_by(&mut world, condition).await;
    assert!(set(&world, right));
    goes_on(&mut world, condition).await;
}

#[tokio::test(start_paused = true)]
async fn a_management_api_that_wants_a_key() {
    let builder = two_nodes(Via::ManagementApi);
    let mut world = builder.broker(|broker| broker.management_auth = ManagementAuth::Keys).start().await;
    world.start_controller("a");
    held_by(&mut world, "ManagementUnauthorized").await;
    world.fleet.with_model(|model, _| model.settings_mut().management_auth = ManagementAuth::Noauth);
    goes_on(&mut world, "ManagementUnauthorized").await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_leave_hook_is_told_from_the_first_look(#[case] via: Via) {
    let hook = "vmq-admin cluster leave node=VerneMQ@$HOSTNAME -k -i 1 -t 30";
    let hook = Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), hook.to_owned()]);
    let builder = World::builder(via).install(|install| install.pre_stop = hook);
    let mut world = builder.start().await;
    world.start_controller("a");
    world.until("told", seconds(5), |world| world.condition("PreStopLeaves").is_some()).await;
}
