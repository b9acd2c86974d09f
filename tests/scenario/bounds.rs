//! The live size is outside [min, max]: it moves towards it, one at a time (I7).

use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::cluster::{minutes, seconds};
use crate::steering::{sizes_written, steered};

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn below_min_it_grows_one_at_a_time(#[case] via: Via) {
    let spec = json!({ "minReplicas": 3, "maxReplicas": 5 });
    let mut cluster = steered(via, 1).spec(&spec).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.until("it is told", seconds(10), |cluster| cluster.condition("SizeBelowMin").is_some()).await;
    cluster.until("three nodes", minutes(5), |cluster| cluster.settled(3)).await;
    cluster.pass(seconds(10)).await;
    assert_eq!(sizes_written(&cluster), [2, 3]);
    assert!(cluster.condition("SizeBelowMin").is_none());
    cluster.assert_invariants().await;
}

#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn above_max_it_shrinks_one_at_a_time(#[case] via: Via) {
    let spec = json!({ "minReplicas": 1, "maxReplicas": 1 });
    let mut cluster = steered(via, 3).spec(&spec).start().await;
    cluster.load(2.0).await;
    cluster.start_controller("a");
    cluster.until("it is told", seconds(10), |cluster| cluster.condition("SizeAboveMax").is_some()).await;
    cluster.until("one node", minutes(5), |cluster| cluster.settled(1)).await;
    cluster.pass(seconds(10)).await;
    assert_eq!(sizes_written(&cluster), [2, 1]);
    assert!(cluster.condition("SizeAboveMax").is_none());
    cluster.assert_invariants().await;
}
