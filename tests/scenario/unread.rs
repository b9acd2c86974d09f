//! A list of the API server cannot be read in the middle of a shrink: what was not read is not empty.

use lifecycle::Outcome;
use rstest::rstest;
use vernescale::crd::Via;
use vernescale::standin::kubernetes::{Fault, Rule, Verb};

use crate::one_leave::{begin, ends_well, outcome, three};
use crate::steering::until_step;
use crate::world::{World, minutes, seconds};

/// Longer than what any of these steps waits for anything.
const TROUBLE: u64 = 90;

/// Empty, each would say that its step is through: nobody is sent there any more, the pod is gone, its claim is.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_shrink_waits_for_the_list(
    #[values(Via::ManagementApi, Via::Exec)] via: Via,
    #[values(("Fence", "endpointslices"), ("PodGone", "pods"), ("Volume", "persistentvolumeclaims"))] at: (
        &'static str,
        &'static str,
    ),
) {
    let (step, list) = at;
    let mut world = three(via).start().await;
    let kubernetes = world.kubernetes.clone();
    world.taps.after(&format!("record {step}"), move || async move {
        kubernetes.faults().add(Rule::new(Fault::ServerError).resource(list).verb(Verb::List));
    });
    begin(&mut world).await;
    until_step(&mut world, step).await;
    let told = |world: &World| world.condition("LookFailed").is_some_and(|told| told.message.contains(list));
    world.until("it is told", seconds(10), told).await;
    world.pass(seconds(TROUBLE)).await;
    assert_eq!((world.step().as_deref(), outcome(&world)), (Some(step), None), "{}", world.dump());
    assert!(told(&world), "it is told as long as it lasts: {}", world.dump());

    world.kubernetes.faults().clear();
    world.until("it goes on", minutes(2), |world| outcome(world) == Some(Outcome::Completed)).await;
    ends_well(&mut world).await;
}
