//! Another hand changes the size, or the cluster, in the middle of a change of ours.

use rstest::rstest;
use serde_json::json;
use vernescale::crd::Via;

use crate::one_leave::{begin, three};
use crate::world::{NAME, NAMESPACE, minutes, seconds};

/// As `kubectl scale` on the StatefulSet, between our look and our patch: by one less than what was
/// seen, the patch would take two.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_size_that_was_raised_before_the_patch_is_not_lowered_by_it(#[case] via: Via) {
    let mut world = three(via).start().await;
    let kubernetes = world.kubernetes.clone();
    world.taps.after("record Shrink", move || async move {
        kubernetes.edit("statefulsets", NAMESPACE, NAME, |set| set["spec"]["replicas"] = json!(4));
    });
    begin(&mut world).await;
    world.until("it is raised", minutes(6), |world| world.replicas() == 4).await;
    // Without the bars: what comes by that hand is served by its template at once, joined or not.
    tokio::time::sleep(seconds(2)).await;
    let patch = world.kubernetes.log().into_iter().find(|write| write.resource == "statefulsets/scale");
    assert!(patch.as_ref().is_some_and(|patch| [409, 422].contains(&patch.code)), "{patch:?}");
    assert_eq!(world.replicas(), 4, "{}", world.dump());
    assert!(world.condition("ForeignScale").is_some(), "{}", world.dump());
}
