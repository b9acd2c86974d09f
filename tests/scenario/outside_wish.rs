//! Who wishes a size from outside does not see what we see: HPA counts the pods that are still there, and our way
//! down takes its time.

use autoscaler::decide::hpa::{Hpa, Settings};
use rstest::rstest;
use serde_json::json;
use vernescale::api::Via;

use crate::cluster::{Cluster, minutes, seconds};
use crate::steering::{sizes_written, steered};

/// What HPA wishes of these pods at a target of six a second, where the wish of now is `wish`.
fn hpa(wish: u32, pods: usize, load: f64) -> u32 {
    let each = vec![load / pods as f64; pods];
    Hpa::desired(&Settings::new(1, 10, 6.0), wish, &each).expect("every pod answers")
}

/// The recorded lag (`disc2_hpa_scale_lag.txt`): the wish of 1 is made at a sixth of the target; after the first leave
/// the churn budget holds the next, and the load rises to exactly the target of the pods that are there. HPA leaves
/// the wish alone, without an Event.
#[rstest]
#[case(Via::ManagementApi)]
#[case(Via::Exec)]
#[tokio::test(start_paused = true)]
async fn a_wish_that_hpa_has_locked_in_is_not_followed(#[case] via: Via) {
    let spec = json!({ "churn": [{ "leaves": 1, "per": "3m" }] });
    let mut cluster = steered(via, 3).clients(6).spec(&spec).start().await;
    cluster.load(3.0).await;
    cluster.start_controller("a");
    cluster.pass(seconds(20)).await;
    assert!(
        cluster.condition("MetricsMissing").is_some(),
        "people know what holds a fall\n{}",
        cluster.dump()
    );
    assert_eq!(hpa(3, 3, 3.0), 1);
    cluster.wish(1);
    cluster.until("the first leave", minutes(3), |cluster| cluster.settled(2)).await;
    cluster.load(12.0).await;
    assert_eq!(
        hpa(1, 2, 12.0),
        1,
        "both pods are at their target, and HPA sees no reason to change its wish"
    );
    // Until the budget is free again, and as long once more.
    cluster.pass(minutes(5)).await;
    assert_eq!(sizes_written(&cluster), [2], "12 messages a second on a node for six\n{}", cluster.dump());
    let told = cluster.condition("WishOutdated").expect("it is told").message;
    assert!(told.contains("mqtt_publish_received") && told.contains("spec.metrics"), "{told}");
    cluster.load(2.0).await;
    cluster.until("the load has fallen: one node", minutes(5), |cluster: &Cluster| cluster.settled(1)).await;
    cluster.assert_invariants().await;
}
