//! Honest latency, under virtual time.

use std::time::Duration;

use loadgen::{Clock, Load, Plan, Stop, Until, run};

use crate::report;
use crate::scripted::{Fate, Scripted};

fn plan(load: Load, seconds: u64) -> Plan {
    let mut plan = Plan::new("latency", load, "t");
    plan.window = 20;
    plan.until.duration = Some(Duration::from_secs(seconds));
    plan
}

#[tokio::test(start_paused = true)]
async fn a_frozen_broker_shows_in_the_corrected_latency_only() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let handle = run(plan(Load::Rate(1_000.0), 4), broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.running >= Duration::from_secs(1)).await.unwrap();
    broker.frozen.send_replace(true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.frozen.send_replace(false);
    let report = handle.finish().await.unwrap();
    let (corrected, raw) = (report.latency_ms.corrected.unwrap(), report.latency_ms.raw.unwrap());
    let lag = report.latency_ms.send_lag.unwrap();
    // 300 of 4000 messages were due in the outage, but only a window of 20 was on the wire.
    assert!(corrected.p99 > 200.0 && corrected.p99 < 300.0, "{report}");
    assert!(raw.p99 < corrected.p99 / 10.0, "{report}");
    assert!(lag.p99 > 200.0 && raw.max > 200.0, "{report}");
    assert_eq!((report.messages.sent, report.messages.due), (4_000, Some(4_000)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_has_no_corrected_latency_and_says_so() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(Load::Flood, 60);
    plan.until.count = Some(500);
    let report = report(plan, broker.addresses()).await;
    assert_eq!((report.latency_ms.corrected, report.latency_ms.send_lag), (None, None));
    assert_eq!(report.latency_ms.raw.unwrap().count, 500);
    assert!(report.to_string().contains("flood (closed loop)"), "{report}");
    assert!(report.latency_ms.note.starts_with("closed loop"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_the_total_and_can_be_changed() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(Load::Rate(100.0), 10);
    plan.connections = 7;
    plan.subscribers = 1;
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    let mut live = handle.watch();
    live.wait_for(|live| live.running >= Duration::from_secs(4)).await.unwrap();
    let before = handle.live();
    assert!(before.sent >= 400 && before.sent <= 412, "{before:?}");
    assert!(handle.set_rate(1_000.0));
    live.wait_for(|live| live.running >= Duration::from_secs(6)).await.unwrap();
    assert!(handle.set_rate(0.0));
    let report = handle.finish().await.unwrap();
    // 4 s at 100, 2 s at 1000, then a pause; the watch is renewed every 100 ms.
    assert!((2_390..=2_520).contains(&report.messages.sent), "{report}");
    // One message may be due at the very moment of a change.
    assert!(report.messages.due.unwrap().abs_diff(report.messages.sent) <= 1, "{report}");
    assert!(report.is_clean() && report.latency_ms.end_to_end.unwrap().count + 1 >= report.messages.sent);
}

#[tokio::test(start_paused = true)]
async fn an_overload_reports_what_was_due_and_not_sent() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(Load::Rate(100.0), 2);
    plan.limits.drain = Duration::from_secs(1);
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    broker.frozen.send_replace(true);
    let report = handle.finish().await.unwrap();
    assert_eq!(report.messages.due, Some(200));
    assert!(report.messages.sent < 100 && report.messages.unacknowledged == 20, "{report}");
    assert!(report.to_string().contains("not sent in time"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn devices_keep_to_their_cycle() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let load = Load::Devices { cycle: Duration::from_secs(1), fixed_client_id: None };
    let mut plan = plan(load, 10);
    (plan.connections, plan.qos, plan.subscribers) = (5, 2, 1);
    let report = report(plan, broker.addresses()).await;
    assert_eq!((report.messages.acknowledged, report.connections.accepted), (50, 50), "{report}");
    assert_eq!((report.connections.retries, report.messages.cycles_missed), (0, 0));
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_in_good_order() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let stop = Stop::new();
    let mut plan = plan(Load::Rate(100.0), 3_600);
    (plan.subscribers, plan.until) = (1, Until::default());
    let handle = run(plan, broker.addresses(), Clock::start(), stop.clone()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    stop.stop();
    let report = handle.finish().await.unwrap();
    assert!(
        report.ended == "stopped" && report.is_clean() && report.messages.unacknowledged == 0,
        "{report}"
    );
}
