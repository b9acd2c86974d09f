//! Watches: from a version on, bookmarks, 410, drops.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use simulator::kubernetes::{Kubernetes, Storage};

use super::{Cluster, soon};

fn map(name: &str, label: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"a": label}}})).unwrap()
}

async fn maps() -> (Cluster, Api<ConfigMap>) {
    let cluster = Cluster::of(1, Storage::EmptyDir).await;
    let api = Api::namespaced(cluster.kubernetes.client(), "mqtt");
    (cluster, api)
}

/// The next event in words.
async fn next(
    stream: &mut (impl futures::Stream<Item = kube::Result<WatchEvent<ConfigMap>>> + Unpin),
) -> String {
    let name = |map: ConfigMap| map.metadata.name.unwrap();
    match soon(stream.next()).await {
        Some(Ok(WatchEvent::Added(map))) => format!("added {}", name(map)),
        Some(Ok(WatchEvent::Modified(map))) => format!("modified {}", name(map)),
        Some(Ok(WatchEvent::Deleted(map))) => format!("deleted {}", name(map)),
        Some(Ok(WatchEvent::Bookmark(_))) => "bookmark".to_owned(),
        Some(Ok(WatchEvent::Error(status))) => format!("error {}", status.code),
        Some(Err(error)) => error.to_string(),
        None => "end".to_owned(),
    }
}

fn relabel(kubernetes: &Kubernetes, name: &str, label: &str) {
    assert!(kubernetes.edit("configmaps", "mqtt", name, |map| map["metadata"]["labels"]["a"] = label.into()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_resumes_where_a_list_ended() {
    let (cluster, api) = maps().await;
    let post = PostParams::default();
    api.create(&post, &map("a", "x")).await.unwrap();
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&post, &map("b", "x")).await.unwrap();
    let stream = api.watch(&WatchParams::default(), &version).await.unwrap();
    let mut stream = Box::pin(stream);
    assert_eq!(next(&mut stream).await, "added b", "what came between list and watch is not lost");
    relabel(&cluster.kubernetes, "a", "y");
    assert_eq!(next(&mut stream).await, "modified a");
    api.delete("b", &kube::api::DeleteParams::default()).await.unwrap();
    assert_eq!(next(&mut stream).await, "deleted b");
    assert_eq!(next(&mut stream).await, "bookmark");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_ceases_to_match_is_a_deleted_one() {
    let (cluster, api) = maps().await;
    let params = WatchParams::default().labels("a=x");
    let mut stream = Box::pin(api.watch(&params, "0").await.unwrap());
    api.create(&PostParams::default(), &map("a", "y")).await.unwrap();
    relabel(&cluster.kubernetes, "a", "x");
    assert_eq!(next(&mut stream).await, "added a");
    relabel(&cluster.kubernetes, "a", "y");
    assert_eq!(next(&mut stream).await, "deleted a");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_version_is_answered_410() {
    let (cluster, api) = maps().await;
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&PostParams::default(), &map("a", "x")).await.unwrap();
    cluster.kubernetes.compact();
    let mut stream = Box::pin(api.watch(&WatchParams::default(), &version).await.unwrap());
    assert_eq!(next(&mut stream).await, "error 410");
    assert_eq!(next(&mut stream).await, "end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let (_cluster, api) = maps().await;
    let params = WatchParams::default().timeout(30);
    let mut stream = Box::pin(api.watch(&params, "0").await.unwrap());
    assert_eq!(next(&mut stream).await, "bookmark");
    assert_eq!(next(&mut stream).await, "end");
}

#[tokio::test(start_paused = true)]
async fn dropped_watches_are_cut_and_silent_ones_say_nothing() {
    let (cluster, api) = maps().await;
    let faults = cluster.kubernetes.faults();
    let mut stream = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    faults.silence_watches(true);
    api.create(&PostParams::default(), &map("a", "x")).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_mins(2), stream.next()).await;
    assert!(quiet.is_err(), "neither events nor bookmarks: {quiet:?}");
    faults.clear();
    assert_eq!(next(&mut stream).await, "added a");
    assert_eq!(next(&mut stream).await, "bookmark", "overdue");
    let cut = cluster.clock.now();
    faults.drop_watches();
    // The client takes an end in the middle of a chunk for an end.
    assert_eq!(next(&mut stream).await, "end");
    assert!(cluster.clock.now().since(cut) < Duration::from_secs(1), "long before its time is up");
}

/// The runtime's own watcher gets over a cut, a 410 and both ways of listing.
#[tokio::test(start_paused = true)]
async fn the_runtimes_watcher_survives_cuts_and_compaction() {
    let cluster = Cluster::of(2, Storage::EmptyDir).await;
    let plain = watcher::Config::default();
    for (label, config) in [("list", plain.clone()), ("stream", plain.streaming_lists())] {
        let api: Api<Pod> = Api::namespaced(cluster.kubernetes.client(), "mqtt");
        let stream = watcher(api, config).default_backoff().applied_objects();
        let mut pods = Box::pin(stream.map_ok(|pod| pod.metadata.name.unwrap()));
        let mut seen = Vec::new();
        while seen.len() < 2 {
            seen.extend(soon(pods.next()).await.unwrap());
        }
        assert_eq!(seen, ["vmq-0", "vmq-1"]);
        cluster.kubernetes.faults().drop_watches();
        cluster.kubernetes.compact();
        cluster.kubernetes.edit("pods", "mqtt", "vmq-1", |pod| pod["metadata"]["labels"]["n"] = label.into());
        cluster.kubernetes.compact();
        let found = soon(async {
            loop {
                if pods.next().await.unwrap().is_ok_and(|name| name == "vmq-1") {
                    return true;
                }
            }
        });
        assert!(found.await);
    }
}
