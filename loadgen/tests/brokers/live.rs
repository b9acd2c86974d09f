//! The prober, and addresses that change, under virtual time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen::{Clock, Load, Plan, ProbePlan, Stop, run};
use rumqttc::mqttbytes::v4::ConnectReturnCode;

use crate::scripted::{Fate, Scripted};

fn plan(seconds: u64) -> Plan {
    let mut plan = Plan::new("live", Load::Rate(20.0), "t");
    plan.subscribers = 1;
    plan.until.duration = Some(Duration::from_secs(seconds));
    plan
}

#[tokio::test(start_paused = true)]
async fn the_prober_counts_failures_by_kind_and_second() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(10);
    plan.probe = Some(ProbePlan::new("probe"));
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    let mut live = handle.watch();
    live.wait_for(|live| live.running >= Duration::from_millis(3_450)).await.unwrap();
    broker.refuse(|_| ConnectReturnCode::ServiceUnavailable);
    live.wait_for(|live| live.running >= Duration::from_millis(6_450)).await.unwrap();
    broker.refuse(|_| ConnectReturnCode::Success);
    let report = handle.finish().await.unwrap();
    let probes = report.probes.unwrap();
    let failed = probes.failures["CONNACK 3"];
    assert!((28..=32).contains(&failed), "{probes:?}");
    assert_eq!((probes.seconds_without_service, probes.seconds_with_failures), (2, 4), "{probes:?}");
    assert!(probes.succeeded > 60 && probes.failures.len() == 1, "{probes:?}");
    assert_eq!(report.connections.failures(), 0, "probes are not counted as publishers");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_come_back_fails_the_probe() {
    let broker =
        Scripted::start(|publish| if publish.topic.starts_with("probe") { Fate::Lose } else { Fate::Keep })
            .await;
    let mut plan = plan(12);
    plan.probe = Some(ProbePlan::new("probe"));
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    let probes = handle.finish().await.unwrap().probes.unwrap();
    assert!(probes.succeeded == 0 && probes.failures["own message did not come back"] > 50, "{probes:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_follow_the_addresses_as_they_change() {
    let first = Scripted::start(|_| Fate::Keep).await;
    let second = Scripted::start(|_| Fate::Keep).await;
    let known: Arc<Mutex<Vec<SocketAddr>>> = Arc::new(Mutex::new(vec![first.address]));
    let source = Arc::clone(&known);
    let mut plan = plan(20);
    plan.subscribers = 0;
    let handle = run(plan, move || source.lock().unwrap().clone(), Clock::start(), Stop::new()).unwrap();
    let mut live = handle.watch();
    live.wait_for(|live| live.acknowledged >= 50).await.unwrap();
    *known.lock().unwrap() = vec![];
    drop(first);
    live.wait_for(|live| live.connects_failed >= 2).await.unwrap();
    *known.lock().unwrap() = vec![second.address];
    let report = handle.finish().await.unwrap();
    assert_eq!(report.messages.acknowledged, 400, "{report}");
    assert!(report.connections.other_failures >= 2 && report.connections.tcp_refused == 0, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_ends_the_run() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let handle = run(plan(3_600), broker.addresses(), Clock::start(), Stop::new()).unwrap();
    let mut live = handle.watch();
    live.wait_for(|live| live.acknowledged >= 5).await.unwrap();
    drop(handle);
    while live.changed().await.is_ok() {}
}
