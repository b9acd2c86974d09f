//! The management API: keys, odd requests, `/status.json` (`http_api.txt`,
//! `apikey_create.txt`).

use simulator::model::{Answer, Command, HealthPage, Protocol, Settings};

use crate::harness::{Harness, leave, name, settings};
use crate::recording;

const API: &str = recording!("http_api.txt");
const KEYS: &str = recording!("apikey_create.txt");

/// Body and status of a recorded request.
fn reply(request: &str) -> (&'static str, u16) {
    let mut lines = API.lines().skip_while(|l| !(l.starts_with("###") && l.ends_with(request)));
    lines.next().unwrap_or_else(|| panic!("no request {request}"));
    let body = lines.next().expect("a body");
    let status = lines.find(|l| l.starts_with("[http=")).expect("a status");
    (body, recording::count(status, "[http="))
}

#[test]
fn tables_are_the_recorded_json() {
    let mut harness = Harness::cluster(3, settings());
    for k in 1..=3 {
        harness.session(k, &format!("systest{k}"), Protocol::V4, true);
    }
    let (body, status) = reply("labkey-mgmt: http://127.0.0.11:8888/api/v1/cluster/show");
    let answer = harness.http(1, Command::ClusterShow).0.expect("an answer");
    assert_eq!((answer.json().as_str(), answer.http_status()), (body, status));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    for (path, command) in [
        ("listener/show", Command::ListenerShow),
        ("node/history", Command::NodeHistory),
        ("node/swc_sync_status", Command::SwcSyncStatus),
        ("plugin/show", Command::PluginShow),
    ] {
        let (body, _) = reply(&format!("/api/v1/{path}"));
        assert_eq!(json(&harness.http(1, command).0.expect("an answer").json()), json(body), "{path}");
    }
    let (body, _) = reply("/api/v1/node/status");
    let names = |text: &str| {
        let table = json(text)["table"].as_array().expect("rows").clone();
        table.iter().map(|row| row["Status"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&harness.http(1, Command::NodeStatus).0.expect("an answer").json()), names(body));
    let (body, _) = reply("/api/v1/metrics/show");
    let Some(Answer::Text(text)) = harness.http(1, Command::MetricsShow).0 else { panic!("no text") };
    let lines = |text: &str| {
        let line = |l: &str| l.split(" = ").next().unwrap_or("").to_owned();
        text.lines().filter(|l| !l.is_empty()).map(line).collect::<std::collections::BTreeSet<_>>()
    };
    let want = json(body)["text"].as_str().expect("a text").to_owned();
    assert!(lines(&text) == lines(&want), "{text}");
}

#[test]
fn unknown_commands_are_400_and_help_is_500() {
    let mut harness = Harness::cluster(1, settings());
    for (path, command) in [
        ("/api/v1/cluster", Command::Unknown),
        ("/api/v1/cluster/nosuch", Command::Unknown),
        ("/api/v1/cluster/leave?--help", Command::Help),
    ] {
        let (_, status) = reply(path);
        assert_eq!(harness.http(1, command).0, Some(Answer::HttpStatus(status)), "{path}");
    }
}

#[test]
fn health_pages_are_the_recorded_ones() {
    let harness = Harness::cluster(3, settings());
    for (path, page) in [
        ("/health", HealthPage::Health),
        ("/health/ping", HealthPage::Ping),
        ("/health/listeners", HealthPage::Listeners),
        ("/health/listeners_full_cluster", HealthPage::ListenersFullCluster),
    ] {
        let answer = harness.model.health(&name(1), page);
        assert_eq!((answer.body.as_str(), answer.status), reply(&format!("8888{path}")));
    }
}

#[test]
fn ping_is_ok_on_a_draining_node() {
    let mut harness = Harness::cluster(3, settings());
    harness.http(1, crate::harness::leave_without_kill(&name(3)));
    assert_eq!(harness.model.health(&name(3), HealthPage::Health).status, 503);
    assert_eq!(harness.model.health(&name(3), HealthPage::Ping).status, 200);
}

/// Keys that `vmq-admin api-key show` printed on a node, its `nth` time.
fn recorded_keys(node: &str, nth: usize) -> Vec<String> {
    let mut table = Vec::new();
    let mut seen = 0;
    for line in KEYS.lines() {
        if line.starts_with("| ") && !line.contains("Scope") {
            table.push(line.split('|').nth(1).expect("a cell").trim().to_owned());
        } else if line.starts_with("[node ") {
            if line.contains("api-key show") && line.contains(node) {
                if seen == nth {
                    return table;
                }
                seen += 1;
            }
            table.clear();
        }
    }
    panic!("no list {nth} of {node}");
}

fn keys(harness: &mut Harness, k: u8) -> Vec<String> {
    match harness.http(k, Command::ApiKeyShow).0 {
        Some(Answer::Table(rows)) => {
            rows.iter().map(|r| r[0].1.as_str().expect("a key").to_owned()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_do_not_spread_reliably() {
    let mut harness = Harness::cluster(3, Settings::default());
    let mut made = Vec::new();
    for k in 1..=3 {
        let (answer, _) = harness.admin(k, Command::ApiKeyCreate { scope: Some("mgmt".into()) });
        let Answer::Text(key) = answer else { panic!("{answer:?}") };
        assert_eq!(key.len(), recorded_keys("n1", 0)[0].len());
        made.push(key);
        if k == 1 {
            assert_eq!(keys(&mut harness, 1), made);
        }
    }
    let add = |scope: &str, key: &str| Command::ApiKeyAdd { key: key.into(), scope: Some(scope.into()) };
    let line = |nth| {
        KEYS.lines().filter(|l| l.starts_with("ok") || l.starts_with("{error")).nth(nth).expect("a line")
    };
    assert_eq!(harness.admin(1, add("mgmt", "labkey-mgmt")).0, Answer::Text(line(0).into()));
    let (twice, _) = harness.admin(1, add("mgmt", "labkey-mgmt"));
    assert_eq!((twice.exit_code(), twice), (0, Answer::Text(line(1).into())));
    assert_eq!(harness.admin(1, add("nosuch", "short")).0.exit_code(), 1);
    // The recorded lists, key for key.
    let names = recorded_keys("n3", 0);
    let translate = |key: &String| match names.iter().position(|known| known == key) {
        Some(at) => made[at].clone(),
        None => key.clone(),
    };
    for (k, node, nth) in [(1, "n1", 1), (2, "n2", 0), (3, "n3", 0)] {
        let want: Vec<String> = recorded_keys(node, nth).iter().map(translate).collect();
        assert_eq!(keys(&mut harness, k), want, "{node}");
    }
    let (_, refused) = reply("nIjvxPmhym1lQad8SKbD3VBAUBOtRNkt: http://127.0.0.11:8888/api/v1/cluster/show");
    assert_eq!(refused, 401);
    assert!(!harness.model.authorized(&name(1), Some(&made[1]), "mgmt"), "n2's key at n1");
    assert!(harness.model.authorized(&name(2), Some(&made[1]), "mgmt"));
    assert!(harness.model.authorized(&name(1), Some("labkey-mgmt"), "mgmt"));
    for key in [None, Some("wrong")] {
        assert!(!harness.model.authorized(&name(1), key, "mgmt"));
    }
}

#[test]
fn a_restarted_node_reads_the_list_that_was_written_last() {
    let rec = recording!("restart_after_leave_and_dead_node.txt");
    let mut harness = Harness::cluster(3, Settings::default());
    for k in 1..=3 {
        harness.admin(k, Command::ApiKeyCreate { scope: None });
    }
    harness.admin(1, Command::ApiKeyAdd { key: "labkey-mgmt".into(), scope: None });
    let first = keys(&mut harness, 1);
    harness.http(1, leave(&name(3), 30));
    harness.run(4_000);
    harness.boot(3);
    harness.run(5_000);
    let want = recording::admin(rec, "api-key show", 0);
    assert_eq!(want.stdout.matches("| mgmt ").count(), 2);
    assert_eq!(keys(&mut harness, 3), first, "n1's, not its own");
}

#[test]
fn other_scopes_do_not_open_the_management() {
    let mut harness = Harness::cluster(1, Settings::default());
    harness.admin(1, Command::ApiKeyAdd { key: "m".into(), scope: Some("metrics".into()) });
    assert!(!harness.model.authorized(&name(1), Some("m"), "mgmt"));
}
