//! `/api/v1` as `http_api.txt` has it: keys, statuses, bodies.

use std::time::Duration;

use simulator::model::Settings;

use crate::support::{Raw, Trio, ask, get, no_key, recording};

const KEY: &str = "labkey-mgmt";

/// Body and status of a section of `http_api.txt`.
fn recorded(section: &str) -> (String, u16) {
    let text = recording("http_api.txt");
    let rest = text
        .split("\n### ")
        .map(|part| part.trim_start_matches("### "))
        .find(|part| part.lines().next() == Some(section));
    let rest = rest.unwrap_or_else(|| panic!("no section {section}"));
    let (body, end) = rest.split_once('\n').unwrap().1.split_once("\n[http=").unwrap();
    (body.into(), end[..3].parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn answers_like_the_recorded_api() {
    let trio = Trio::start(60, Settings::default()).await;
    let added = trio.admin(1, &format!("vmq-admin api-key add key={KEY} scope=mgmt")).await;
    assert_eq!((added.stdout.as_str(), added.code), ("ok\n", 0));
    let basic = "authorization: Basic bGFia2V5LW1nbXQ6\r\n";
    let wrong = "authorization: Basic d3Jvbmc6\r\n";
    let own = "x-api-key: labkey-mgmt\r\n";
    let base = "http://127.0.0.11:8888";
    for (section, headers, path, body_too) in [
        ("-u labkey-mgmt: {}/api/v1/cluster/show", basic, "/api/v1/cluster/show", true),
        ("-H x-api-key: labkey-mgmt {}/api/v1/cluster/show", own, "/api/v1/cluster/show", true),
        ("{}/api/v1/cluster/show", "", "/api/v1/cluster/show", true),
        ("-u wrong: {}/api/v1/cluster/show", wrong, "/api/v1/cluster/show", true),
        ("-u labkey-mgmt: {}/api/v1/cluster", basic, "/api/v1/cluster", true),
        ("-u labkey-mgmt: {}/api/v1/node/history", basic, "/api/v1/node/history", true),
        ("-u labkey-mgmt: {}/api/v1/cluster/leave", basic, "/api/v1/cluster/leave", true),
        ("-u labkey-mgmt: {}/api/v1/cluster/leave?--help", basic, "/api/v1/cluster/leave?--help", true),
        ("-u labkey-mgmt: {}/api/v1/cluster/nosuch", basic, "/api/v1/cluster/nosuch", true),
        ("-u labkey-mgmt: {}/api/v1/plugin/show", basic, "/api/v1/plugin/show", true),
        ("-u labkey-mgmt: {}/api/v1/metrics/show", basic, "/api/v1/metrics/show", false),
        ("{}/health", "", "/health", true),
        ("{}/health/ping", "", "/health/ping", true),
        ("{}/health/listeners", "", "/health/listeners", true),
        ("{}/health/listeners_full_cluster", "", "/health/listeners_full_cluster", true),
        ("{}/status", "", "/status", false),
        ("{}/", "", "/", true),
        ("{}/nosuch", "", "/nosuch", true),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: n\r\n{headers}\r\n");
        let reply = ask(trio.http(1), &request).await.unwrap();
        let (body, status) = recorded(&section.replace("{}", base));
        assert_eq!(reply.status, status, "{section}");
        if body_too {
            assert_eq!(reply.body, body, "{section}");
        }
        let json = status == 200 && body.starts_with(['{', '[']);
        assert_eq!(reply.kind.as_deref() == Some("application/json"), json, "{section}");
    }
    let post = format!("POST /api/v1/cluster/show HTTP/1.1\r\nhost: n\r\n{basic}\r\n");
    assert_eq!(ask(trio.http(1), &post).await.unwrap().status, 405);
    // A key of this node opens this node only (apikey_create.txt).
    let elsewhere = format!("GET /api/v1/cluster/show HTTP/1.1\r\nhost: n\r\n{own}\r\n");
    assert!([200, 401].contains(&ask(trio.http(2), &elsewhere).await.unwrap().status));
}

#[tokio::test(start_paused = true)]
async fn lists_listeners_and_sessions_column_by_column() {
    let trio = Trio::start(61, no_key()).await;
    let (_raw, _) = Raw::connect(trio.mqtt(1), 4, "c", 2).await;
    let (recorded_listeners, _) = recorded("-u labkey-mgmt: http://127.0.0.11:8888/api/v1/listener/show");
    let listeners = trio.api(1, "listener/show").await.body;
    // Counts of connections are the moment's, and addresses are the test's.
    let plain = |text: &str| {
        let text = text.replace(&trio.address(1).to_string(), "127.0.0.11");
        let cut = |text: &str, key: &str| {
            text.split(key)
                .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join(key)
        };
        cut(&cut(&text, "\"active_conns\":"), "\"all_conns\":")
    };
    assert_eq!(plain(&listeners), plain(&recorded_listeners));
    let rows = trio.api(1, "session/show?--client_id&--statename=online&--node=VerneMQ1@127.0.0.11").await;
    assert_eq!(rows.body, r#"{"table":[{"client_id":"c"}],"type":"table"}"#);
    let short = ask(trio.http(1), "GET /api/v1/cluster/leave?node=N&-k HTTP/1.1\r\nhost: n\r\n\r\n");
    assert_eq!(short.await.unwrap().status, 400, "long flags only");
}

#[tokio::test(start_paused = true)]
async fn a_kick_is_told_to_mqtt_5_and_shown_to_3_1_1() {
    let trio = Trio::start(62, no_key()).await;
    let (mut watcher, _) = Raw::connect(trio.mqtt(2), 4, "watch", 2).await;
    watcher.send(&crate::support::subscribe_packet(4, "will/#", 0, 1)).await;
    watcher.packet().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (mut old, _) = Raw::connect(trio.mqtt(3), 4, "c4", 0x06).await;
    let (mut new, _) = Raw::connect(trio.mqtt(3), 5, "c5", 0x06).await;
    let reply = trio.api(1, "session/disconnect/clients?client-ids=c4,c5").await;
    assert_eq!(reply.body, r#"{"text":"Done","type":"text"}"#);
    assert_eq!(old.packet().await, None);
    assert!(old.closed().await);
    assert_eq!(new.packet().await.as_deref(), Some("e0029800"), "administrative action");
    assert!(new.closed().await);
    let mut wills = [watcher.packet().await.unwrap(), watcher.packet().await.unwrap()];
    wills.sort();
    assert!(wills[0].ends_with("676f6e65") && wills[0] != wills[1], "both wills: {wills:?}");
}

#[tokio::test(start_paused = true)]
async fn booting_looks_healthy_before_it_answers() {
    let trio = Trio::start(63, no_key()).await;
    trio.kill(3).await;
    trio.boot(3).await;
    assert!(get(trio.http(3), "/health").await.is_err(), "nobody listens yet");
    let mut seen = Vec::new();
    for _ in 0..400 {
        if let Ok(health) = get(trio.http(3), "/health/ping").await {
            assert_eq!(health.status, 200);
            let status = trio.api(3, "cluster/show").await.status;
            if seen.last() != Some(&status) {
                seen.push(status);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((seen.first(), seen.last()), (Some(&400), Some(&200)), "{seen:?}");
}
