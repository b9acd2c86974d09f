//! What the ledger says of a broker that misbehaves. Virtual time: each of these
//! takes milliseconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::{Audience, Clock, Load, Plan, Report, Stop, Until, run};
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Publish};

use crate::report;
use crate::scripted::{Fate, Scripted};

fn plan(count: u64, qos: u8) -> Plan {
    let mut plan = Plan::new("faults", Load::Rate(100.0), "t");
    plan.qos = qos;
    plan.connections = 2;
    plan.subscribers = 1;
    plan.until = Until { count: Some(count), duration: None };
    plan
}

/// Treats the first PUBLISH with `number` as told, all others well.
fn once(number: u64, fate: Fate) -> impl FnMut(&Publish) -> Fate + Send {
    let done = AtomicBool::new(false);
    move |publish| {
        let own = publish.payload.starts_with(format!("{number:010}").as_bytes());
        if own && !done.swap(true, Ordering::Relaxed) { fate } else { Fate::Keep }
    }
}

/// What the ledger must say: delivered, lost, away, duplicated, copies by resend, redelivered, by broker.
fn told(report: &Report) -> [u64; 7] {
    let it = report.ledger.clone().unwrap();
    [
        it.delivered,
        it.lost,
        it.unknown_subscriber_away,
        it.duplicated,
        it.copies_by_resend,
        it.copies_redelivered,
        it.copies_by_broker,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_good_broker_delivers_everything_once_and_keeps_no_session() {
    for qos in [1, 2] {
        let broker = Scripted::start(|_| Fate::Keep).await;
        let report = report(plan(50, qos), broker.addresses()).await;
        assert_eq!(told(&report), [50, 0, 0, 0, 0, 0, 0], "{report}");
        assert!(report.is_clean() && report.messages.unacknowledged == 0);
        // Virtual: lets the broker read the last goodbye.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.sessions(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_that_never_arrives_is_lost() {
    let broker = Scripted::start(once(7, Fate::Lose)).await;
    let report = report(plan(20, 1), broker.addresses()).await;
    assert_eq!(told(&report), [19, 1, 0, 0, 0, 0, 0]);
    assert_eq!(report.ledger.as_ref().unwrap().lost_numbers, [7]);
    assert!(!report.is_clean() && report.verdict().contains("LOST"));
}

#[tokio::test(start_paused = true)]
async fn duplicates_are_told_apart_by_their_cause() {
    for (fate, expected) in [
        (Fate::Double(false), [20, 0, 0, 1, 0, 0, 1]),
        (Fate::Double(true), [20, 0, 0, 1, 0, 1, 0]),
        (Fate::Cut, [20, 0, 0, 1, 1, 0, 0]),
        (Fate::CutUnrouted, [20, 0, 0, 0, 0, 0, 0]),
    ] {
        let broker = Scripted::start(once(7, fate)).await;
        let report = report(plan(20, 1), broker.addresses()).await;
        assert_eq!(told(&report), expected, "{report}");
        let cut = u64::from(matches!(fate, Fate::Cut | Fate::CutUnrouted));
        assert_eq!((report.messages.resent, report.connections.retries), (cut, cut));
        assert!(report.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_acknowledged_promises_nothing() {
    let broker = Scripted::start(|publish| {
        if publish.payload.starts_with(b"0000000019") { Fate::CutUnrouted } else { Fate::Keep }
    })
    .await;
    let report = report(plan(20, 1), broker.addresses()).await;
    let ledger = report.ledger.clone().unwrap();
    assert_eq!((ledger.delivered, ledger.lost, ledger.unacknowledged_missing), (19, 0, 1), "{report}");
    assert_eq!(report.messages.unacknowledged, 1);
    // Each new connection is lost at once, so the waits between them must grow.
    assert!((3..15).contains(&report.connections.lost_connections()), "{report}");
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_stays_away_proves_nothing() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let handle = run(plan(200, 1), broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    broker.refuse(|id| {
        let witness = id.starts_with("t-s");
        if witness { ConnectReturnCode::ServiceUnavailable } else { ConnectReturnCode::Success }
    });
    broker.cut_subscribers(false);
    let report = handle.finish().await.unwrap();
    let [delivered, lost, away, ..] = told(&report);
    assert!(lost == 0 && away > 100 && delivered + away == 200, "{report}");
    assert!(report.subscriber_connections.connack["3"] > 0);
    assert!(!report.is_clean(), "unproven is not proven");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_session_is_noticed_and_its_queue_is_lost() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let handle = run(plan(200, 1), broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    broker.cut_subscribers(true);
    let report = handle.finish().await.unwrap();
    let [delivered, lost, ..] = told(&report);
    assert!(lost > 0 && delivered + lost == 200, "{report}");
    assert_eq!(report.ledger.unwrap().sessions_lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_session_loses_nothing() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let handle = run(plan(200, 1), broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    broker.cut_subscribers(false);
    let report = handle.finish().await.unwrap();
    assert_eq!(told(&report), [200, 0, 0, 0, 0, 0, 0], "{report}");
    assert_eq!(report.subscriber_connections.lost_connections(), 1);
}

/// A client that looks at its messages only after its SUBACK, or after `connect` has returned, drops these.
#[tokio::test(start_paused = true)]
async fn what_arrives_in_one_segment_with_the_connack_counts() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(400, 1);
    plan.subscribers = 3;
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    for round in 1..=3 {
        handle.watch().wait_for(|live| live.acknowledged >= round * 100).await.unwrap();
        broker.cut_subscribers(false);
    }
    let report = handle.finish().await.unwrap();
    assert!(broker.right_behind() >= 9, "{} came with a CONNACK", broker.right_behind());
    assert_eq!(told(&report), [400, 0, 0, 0, 0, 0, 0], "{report}");
}

/// As a leave does, or a node that restarts.
#[tokio::test(start_paused = true)]
async fn sessions_are_removed_where_the_broker_refuses_for_a_while_at_the_end() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut connects = 0;
    broker.refuse(move |id| {
        connects += usize::from(id.starts_with("t-s"));
        // The first of each of the three is accepted, then twelve are not.
        let refused = id.starts_with("t-s") && (4..=15).contains(&connects);
        if refused { ConnectReturnCode::ServiceUnavailable } else { ConnectReturnCode::Success }
    });
    let mut plan = plan(50, 1);
    plan.subscribers = 3;
    let report = report(plan, broker.addresses()).await;
    // Virtual: lets the broker read the last goodbye.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.sessions(), Vec::<String>::new());
    let ledger = report.ledger.as_ref().unwrap();
    assert_eq!((ledger.delivered, ledger.sessions_left), (50, 0), "{report}");
    assert!(!report.to_string().contains("sessions left"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_could_not_be_removed_are_told_by_name() {
    for refuses in [true, false] {
        let broker = Scripted::start(|_| Fate::Keep).await;
        let clock = Clock::start();
        let handle = run(plan(50, 1), broker.addresses(), clock, Stop::new()).unwrap();
        handle.watch().wait_for(|live| live.acknowledged >= 50 && live.missing == 0).await.unwrap();
        let began = clock.now();
        // Refuses, or does not answer any more.
        broker.refuse(|_| ConnectReturnCode::ServiceUnavailable);
        broker.frozen.send_replace(!refuses);
        let report = handle.finish().await.unwrap();
        let ledger = report.ledger.as_ref().unwrap();
        assert_eq!(
            (ledger.sessions_left, ledger.sessions_left_ids.as_slice()),
            (1, &["t-s0".to_owned()][..])
        );
        assert!(report.to_string().contains("sessions left          1"), "{report}");
        assert!(report.is_clean(), "it says nothing about messages");
        // Twenty seconds, and what the run itself waits for before.
        let took = clock.now().saturating_sub(began);
        assert!(took < Duration::from_secs(25), "{took:?}");
        assert!(broker.sessions().contains(&"t-s0".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_together_with_the_end_of_a_connection_counts() {
    let broker = Scripted::start(once(7, Fate::CutWitnesses)).await;
    let report = report(plan(20, 1), broker.addresses()).await;
    assert_eq!(told(&report), [20, 0, 0, 0, 0, 0, 0], "{report}");
    assert_eq!(report.subscriber_connections.lost_connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn shares_go_to_one_subscriber_each() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(40, 1);
    (plan.subscribers, plan.audience) = (4, Audience::Share);
    let report = report(plan, broker.addresses()).await;
    let ledger = report.ledger.unwrap();
    assert_eq!((ledger.delivered, ledger.foreign), (40, 0));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stops_answering_is_left_for_a_new_connection() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut plan = plan(100, 1);
    plan.limits.acknowledge = Duration::from_secs(2);
    let handle = run(plan, broker.addresses(), Clock::start(), Stop::new()).unwrap();
    handle.watch().wait_for(|live| live.acknowledged >= 50).await.unwrap();
    broker.frozen.send_replace(true);
    handle.watch().wait_for(|live| live.connections_lost >= 2).await.unwrap();
    broker.frozen.send_replace(false);
    let report = handle.finish().await.unwrap();
    assert_eq!(report.connections.disconnects["no acknowledgement in time"], 2, "{report}");
    assert!(report.messages.acknowledged == 100 && report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn refused_connects_are_counted_by_code_and_tried_again() {
    let broker = Scripted::start(|_| Fate::Keep).await;
    let mut left = 5;
    broker.refuse(move |_| {
        left -= 1;
        if left >= 0 { ConnectReturnCode::ServiceUnavailable } else { ConnectReturnCode::Success }
    });
    let report = report(plan(10, 1), broker.addresses()).await;
    let refused = |tally: &loadgen::Tally| tally.connack.get("3").copied().unwrap_or(0);
    assert_eq!(refused(&report.connections) + refused(&report.subscriber_connections), 5);
    assert!(report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_an_error_with_its_cause() {
    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let handle = run(plan(10, 1), move || vec![closed], Clock::start(), Stop::new()).unwrap();
    let error = handle.finish().await.unwrap_err().to_string();
    assert!(
        error.contains("only 0 of 1 subscribers") && error.contains("TCP connection was refused"),
        "{error}"
    );
}
