//! An object that is older than the rule which would refuse it, or of a later version.

use std::cell::Cell;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, NAME};

/// A real API server refuses what our types do not take; where it was taken before the rule came, it is told on the
/// object, whose status the API server lets us write all the same.
#[tokio::test]
async fn an_object_that_is_older_than_its_rule() {
    let Some(cluster) = Cluster::start().await else { return };
    let (resources, params) = (cluster.resources(), PatchParams::default());
    let set = |spec: Value| {
        let (resources, params) = (resources.clone(), params.clone());
        async move { resources.patch(NAME, &params, &Patch::Merge(json!({ "spec": spec }))).await }
    };
    let kill = |online: u64| set(json!({ "leave": { "maxOnlineAtKill": online } }));
    let target = json!({ "type": "AverageValue", "averageValue": -5 });
    let negative =
        json!([{ "type": "Pods", "pods": { "metric": { "name": "queue_processes" }, "target": target } }]);
    let refusal = set(json!({ "metrics": negative })).await.expect_err("a negative target").to_string();
    assert!(refusal.contains("averageValue"), "{refusal}");
    let refusal = kill(5_000_000_000).await.expect_err("more than 32 bits").to_string();
    assert!(refusal.contains("maxOnlineAtKill") && refusal.contains("4294967295"), "{refusal}");

    cluster.define(|text| text.replace("maximum: 4294967295", "maximum: 9000000000")).await;
    let taken = || async { kill(5_000_000_000).await.map(drop).map_err(|error| error.to_string()) };
    cluster.until_ok(taken).await;
    cluster.define(str::to_owned).await;
    // Another value each time: one that was taken in the last moment of the old rule may stay as it is.
    let next = Cell::new(6_000_000_000);
    cluster.until_refused(|| kill(next.replace(next.get() + 1))).await;

    let controller = cluster.start_controller().await;
    let told = || async {
        let object = resources.get(NAME).await.ok()?;
        let conditions = object.data.pointer("/status/conditions")?.as_array()?.clone();
        let one =
            conditions.into_iter().find(|one| one["type"] == "SpecInvalid" && one["status"] == "True")?;
        one["message"].as_str().map(str::to_owned)
    };
    let named = |message: &Option<String>| {
        message.as_ref().is_some_and(|message| message.starts_with("spec.leave.maxOnlineAtKill: "))
    };
    cluster.until_told("it is told", told, named).await;
    kill(50).await.expect("it is corrected");
    cluster.until_told("it is told no more", told, Option::is_none).await;
    cluster.wish(2).await;
    cluster.until("two nodes serve", |w| w.serving == 2 && w.agreed(2)).await;
    controller.abort();
}
