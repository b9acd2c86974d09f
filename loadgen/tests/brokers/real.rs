//! Runs against rumqttd and mosquitto in real time. Nothing here asserts a time.

use std::net::SocketAddr;
use std::time::Duration;

use loadgen::Protocol::{V4, V5};
use loadgen::{Addresses, Clock, Load, Plan, Protocol, Report, Stop, Template, Until, check, run};
use net::{Login, Secret};
use rstest::rstest;

use crate::mosquitto::Mosquitto;
use crate::proxy::Proxy;
use crate::rumqttd;

fn plan(name: &str, load: Load, count: u64, qos: u8, protocol: Protocol) -> Plan {
    let mut plan = Plan::new(format!("real/{name}"), load, name);
    (plan.qos, plan.protocol) = (qos, protocol);
    plan.window = Plan::usual_window(qos, protocol);
    plan.connections = 3;
    plan.subscribers = 2;
    plan.until.count = Some(count);
    plan.limits.settle = Duration::from_secs(30);
    plan
}

/// Carries out `plan`. The deadline is for a run that hangs: it says where.
async fn report(plan: Plan, addresses: impl Addresses) -> Report {
    let handle = run(plan, addresses, Clock::start(), Stop::new()).unwrap();
    let live = handle.watch();
    let report = tokio::time::timeout(Duration::from_mins(3), handle.finish()).await;
    report.unwrap_or_else(|_| panic!("hangs: {:?}", live.borrow())).unwrap()
}

/// Everything sent once, acknowledged (above QoS 0) and delivered once.
fn all_arrived(report: &Report, count: u64) {
    let ledger = report.ledger.as_ref().unwrap();
    let promised = if report.settings.qos == 0 { 0 } else { count };
    assert_eq!((report.messages.sent, report.messages.acknowledged), (count, promised), "{report}");
    assert_eq!((ledger.delivered, ledger.unacknowledged_delivered), (promised, count - promised), "{report}");
    assert_eq!((ledger.lost, ledger.duplicated, ledger.foreign), (0, 0, 0), "{report}");
    assert!(report.is_clean(), "{report}");
}

#[rstest]
#[case(0, V4)]
#[case(1, V4)]
#[case(2, V4)]
#[case(0, V5)]
#[case(1, V5)]
#[case(2, V5)]
#[tokio::test]
async fn every_message_arrives_once(#[case] qos: u8, #[case] protocol: Protocol) {
    let plan = plan(&format!("once{qos}{protocol:?}"), Load::Rate(2_000.0), 600, qos, protocol);
    let address = rumqttd::address(protocol);
    all_arrived(&report(plan.clone(), move || vec![address]).await, 600);
    let Some(broker) = Mosquitto::start("") else { return };
    all_arrived(&report(plan, broker.addresses()).await, 600);
}

#[rstest]
#[case(1, V4)]
#[case(2, V4)]
#[case(1, V5)]
#[case(2, V5)]
#[tokio::test]
async fn a_flood_keeps_its_window_and_its_packet_identifiers(#[case] qos: u8, #[case] protocol: Protocol) {
    let plan = plan(&format!("flood{qos}{protocol:?}"), Load::Flood, 20_000, qos, protocol);
    let Some(broker) = Mosquitto::start("") else { return };
    let report = report(plan, broker.addresses()).await;
    all_arrived(&report, 20_000);
    assert_eq!(report.connections.lost_connections(), 0, "{report}");
}

/// Floods, and cuts all connections five times while messages are on their way.
async fn with_cuts(mut plan: Plan, to: SocketAddr) -> Report {
    let proxy = Proxy::start(to).await;
    let address = proxy.address;
    plan.subscribers = 1;
    plan.until = Until::default();
    let handle = run(plan, move || vec![address], Clock::start(), Stop::new()).unwrap();
    let mut live = handle.watch();
    let mut acknowledged = 0;
    for cut in 1..=5 {
        let all_at_work = live.wait_for(|live| {
            live.acknowledged > acknowledged && live.connected == 3 && live.subscribers_here == 1
        });
        acknowledged = all_at_work.await.unwrap().acknowledged;
        proxy.cut();
        live.wait_for(|live| live.connections_lost >= cut * 4).await.unwrap();
    }
    live.wait_for(|live| live.acknowledged > acknowledged + 500).await.unwrap();
    handle.stop();
    handle.finish().await.unwrap()
}

#[rstest]
#[case(1, V4)]
#[case(2, V4)]
#[case(1, V5)]
#[case(2, V5)]
#[tokio::test]
async fn cut_connections_lose_nothing(#[case] qos: u8, #[case] protocol: Protocol) {
    let Some(broker) = Mosquitto::start("") else { return };
    let plan = plan(&format!("cut{qos}{protocol:?}"), Load::Flood, 1, qos, protocol);
    let within = Duration::from_mins(3);
    let report = tokio::time::timeout(within, with_cuts(plan, broker.address)).await.unwrap();
    let ledger = report.ledger.as_ref().unwrap();
    assert_eq!(ledger.delivered, report.messages.acknowledged, "{report}");
    assert_eq!((ledger.lost, ledger.sessions_lost, ledger.copies_by_broker), (0, 0, 0), "{report}");
    assert!(report.messages.resent > 0 && report.connections.lost_connections() >= 15, "{report}");
    assert!(report.subscriber_connections.lost_connections() >= 5 && report.is_clean(), "{report}");
}

#[rstest]
#[case(V4)]
#[case(V5)]
#[tokio::test]
async fn devices_with_one_client_id_take_the_session_over(#[case] protocol: Protocol) {
    let Some(broker) = Mosquitto::start("") else { return };
    let load = Load::Devices { cycle: Duration::from_millis(1), fixed_client_id: Some("ecg".to_owned()) };
    let mut plan = plan(&format!("takeover{protocol:?}"), load, 300, 2, protocol);
    plan.connections = 20;
    let report = report(plan, broker.addresses()).await;
    let ledger = report.ledger.as_ref().unwrap();
    assert_eq!((ledger.lost, ledger.copies_by_broker), (0, 0), "{report}");
    // mosquitto 2.0.11 closes without a word, with MQTT 5 too.
    assert!(
        report.connections.disconnects["closed by broker or network"] > 0 && report.connections.retries > 0,
        "{report}"
    );
    assert_eq!((report.messages.acknowledged, ledger.delivered), (300, 300), "{report}");
}

#[tokio::test]
async fn devices_with_their_own_ids_are_left_alone() {
    let Some(broker) = Mosquitto::start("") else { return };
    let load = Load::Devices { cycle: Duration::from_millis(5), fixed_client_id: None };
    let report = report(plan("device", load, 300, 2, V4), broker.addresses()).await;
    all_arrived(&report, 300);
    assert_eq!((report.connections.accepted, report.connections.retries), (300, 0), "{report}");
}

#[tokio::test]
async fn files_are_numbered_and_large_ones_pass() {
    let Some(broker) = Mosquitto::start("") else { return };
    let mut plan = plan("file", Load::Rate(500.0), 100, 1, V4);
    // Above rumqttc's default limit of 10 KiB.
    let content =
        format!("{{\"id\":\"mario.rossi\",\"ecg\":\"{}\",\"by\":\"mario.rossi\"}}", "7".repeat(60_000));
    plan.template = Template::from_content(content.as_bytes(), "mario.rossi").unwrap();
    all_arrived(&report(plan, broker.addresses()).await, 100);
}

#[tokio::test]
async fn credentials_are_checked() {
    let Some(broker) = Mosquitto::start_with("", &[("me", "right")]) else { return };
    let target = broker.address.into();
    let check = async |password: &str, protocol| {
        let login = Login { username: "me".to_owned(), password: Secret::new(password.to_owned()) };
        let patience = Duration::from_secs(10);
        check(&target, protocol, Some(&login), None, "checker", patience)
            .await
            .map_err(|error| error.to_string())
    };
    assert_eq!((check("right", V4).await, check("right", V5).await), (Ok(()), Ok(())));
    let (v4, v5) = (check("wrong", V4).await.unwrap_err(), check("wrong", V5).await.unwrap_err());
    assert!(v4.contains("code 5 (not authorized"), "{v4}");
    assert!(v5.contains("code 0x87 (not authorized"), "{v5}");
}

#[tokio::test]
async fn a_dead_node_in_the_list_is_gone_round() {
    let Some(broker) = Mosquitto::start("") else { return };
    let (alive, dead) = (broker.address, SocketAddr::from(([127, 0, 0, 1], crate::free_port())));
    let mut plan = plan("dead", Load::Rate(500.0), 200, 1, V4);
    plan.until = Until { count: Some(200), duration: None };
    plan.connections = 10;
    let report = report(plan, move || vec![alive, dead]).await;
    all_arrived(&report, 200);
    assert!(report.connections.tcp_refused > 0, "{report}");
}
