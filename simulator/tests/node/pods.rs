//! Nodes as containers, the way the official image runs them.

use std::{collections::BTreeMap, time::Duration};

use lifecycle::Time;
use net::Clock;
use simulator::{
    fleet::Fleet,
    kubernetes::{Container, Containers},
    pods::Pods,
};
use tokio::time::sleep;

use crate::support::{get, loopback, no_key};

fn container(ordinal: u8, volume: &str) -> Container {
    let discovery = ("DOCKER_VERNEMQ_DISCOVERY_KUBERNETES".to_owned(), "1".to_owned());
    Container {
        pod: format!("vmq-{ordinal}"),
        namespace: "ns".into(),
        uid: format!("uid-{ordinal}"),
        ordinal: ordinal.into(),
        address: loopback(140, 10 + ordinal),
        volume: volume.into(),
        hostname: format!("vmq-{ordinal}"),
        subdomain: "vmq-headless".into(),
        image: "vernemq:2.1.2".into(),
        env: BTreeMap::from([discovery]),
    }
}

async fn members(ordinal: u8) -> usize {
    let address = (loopback(140, 10 + ordinal), 8888).into();
    let Ok(page) = get(address, "/api/v1/cluster/show").await else { return 0 };
    page.body.matches("\"Running\":true").count()
}

#[tokio::test(start_paused = true)]
async fn containers_find_each_other_leave_and_come_back_as_singletons_on_old_disks() {
    let pods = Pods::new(Fleet::start(Clock::starting_at(Time(0)), no_key()));
    for ordinal in 0..2 {
        pods.start(container(ordinal, &format!("data-vmq-{ordinal}"))).await;
        sleep(Duration::from_secs(30)).await;
        assert!(pods.ready(&format!("vmq-{ordinal}")).await);
    }
    let name = "VerneMQ@vmq-1.vmq-headless.ns.svc.cluster.local";
    assert_eq!(pods.node_of("vmq-1").unwrap().0, name);
    assert_eq!((members(0).await, members(1).await), (2, 2));
    let leave = ["vmq-admin", "cluster", "leave", &format!("node={name}"), "-k", "-i", "1", "-t", "30"];
    let output = pods.exec("vmq-0", leave.map(Into::into).to_vec()).await;
    assert_eq!((output.stdout.lines().last(), output.code), (Some("Done"), 0));
    assert_eq!(pods.exited("vmq-1").await, 0);
    assert!(!pods.ready("vmq-1").await);
    // Kubelet restarts the container on the same disk: alone, and it stays alone
    // (docs/broker/join.md, "A node that has left").
    pods.start(container(1, "data-vmq-1")).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!((members(0).await, members(1).await), (1, 1));
    pods.stop("vmq-1", Duration::from_secs(30)).await;
    // A new disk: a member again.
    pods.delete_volume("data-vmq-1");
    pods.start(container(1, "data-vmq-1")).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!((members(0).await, members(1).await), (2, 2));
    assert_eq!(pods.exec("vmq-1", vec!["ls".into()]).await.code, 127);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_ends_with_its_pod_is_empty_for_the_next() {
    let pods = Pods::new(Fleet::start(Clock::starting_at(Time(0)), no_key()));
    let mut alone = container(5, "emptydir-uid-1");
    pods.start(alone.clone()).await;
    sleep(Duration::from_secs(10)).await;
    let key = ["vmq-admin", "api-key", "add", "key=k", "scope=mgmt"];
    assert_eq!(pods.exec("vmq-5", key.map(Into::into).to_vec()).await.stdout, "ok\n");
    let show = || async {
        pods.exec("vmq-5", ["vmq-admin", "api-key", "show"].map(Into::into).to_vec()).await.stdout
    };
    for (volume, kept) in [("emptydir-uid-1", true), ("emptydir-uid-2", false)] {
        pods.stop("vmq-5", Duration::from_secs(30)).await;
        alone.volume = volume.into();
        pods.start(alone.clone()).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(show().await.contains("| k "), kept, "{volume}");
    }
}
