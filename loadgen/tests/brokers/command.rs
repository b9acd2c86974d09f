//! The command as a new user meets it.

use std::path::Path;
use std::process::{Command, Output};

use loadgen::Report;

use crate::mosquitto::Mosquitto;

fn loadgen(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(words).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn url(broker: &Mosquitto) -> String {
    format!("mqtt://{}", broker.address)
}

#[test]
fn the_report_is_json_on_request_and_in_the_file() {
    let Some(broker) = Mosquitto::start("") else { return };
    let file = broker.file("report.json", "an older report");
    let (url, path) = (url(&broker), file.to_str().unwrap());
    let words = ["publish", "--url", &url, "--topic", "t", "--rate", "1000", "--count", "200"];
    let more = ["--subscribers", "2", "--json", "--report-file", path];
    let output = loadgen(&[&words[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", error(&output));
    let printed: Report = serde_json::from_slice(&output.stdout).unwrap();
    let saved: Report = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(
        (printed.schema.as_str(), printed.ledger.as_ref().unwrap().delivered),
        ("loadgen/report/v1", 200)
    );
    assert_eq!(printed, saved);
}

#[test]
fn every_field_of_the_report_is_documented() {
    let Some(broker) = Mosquitto::start("") else { return };
    let url = url(&broker);
    let words = ["publish", "--url", &url, "--topic", "t", "--rate", "500", "--count", "100"];
    let output = loadgen(&[&words[..], &["--subscribers", "1", "--probe", "--json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = include_str!("../../REPORT.md");
    let mut open = vec![&report];
    while let Some(value) = open.pop() {
        for (name, inner) in value.as_object().into_iter().flatten() {
            assert!(text.contains(&format!("`{name}`")), "REPORT.md says nothing of `{name}`");
            open.push(inner);
        }
    }
}

#[test]
fn a_full_disk_costs_the_file_but_not_the_result() {
    if !Path::new("/dev/full").exists() {
        println!("skipped: no /dev/full here");
        return;
    }
    let Some(broker) = Mosquitto::start("") else { return };
    let url = url(&broker);
    let words = ["device", "--url", &url, "--topic", "t", "--cycle", "10ms", "--count", "5"];
    let output = loadgen(&[&words[..], &["--report-file", "/dev/full"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).contains("cannot write the report file /dev/full: No space left"),
        "{}",
        error(&output)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("1 device,") && text.contains("\"schema\": \"loadgen/report/v1\""), "{text}");
}

#[test]
fn nobody_listening_is_said_at_once() {
    let url = format!("mqtt://127.0.0.1:{}", crate::free_port());
    let output = loadgen(&["publish", "--url", &url, "--topic", "t", "--flood", "--count", "5"]);
    assert_eq!(output.status.code(), Some(1));
    let error = error(&output);
    assert!(error.contains(&url) && error.contains("refused; is the broker running"), "{error}");
}

#[test]
fn wrong_usage_ends_with_2_and_sends_nothing() {
    let url = "mqtt://127.0.0.1:1";
    for (words, part) in [
        (vec!["publish", "--url", "localhost", "--topic", "t", "--flood"], "mqtt://HOST:PORT"),
        (vec!["publish", "--url", url, "--topic", "t"], "--rate"),
        (
            vec!["publish", "--url", url, "--topic", "t", "--flood", "--report-file", "/nowhere/r.json"],
            "cannot write the report file /nowhere/r.json",
        ),
        (
            vec!["publish", "--url", url, "--topic", "t", "--flood", "--payload-file", "Cargo.toml"],
            "does not contain `mario.rossi`",
        ),
    ] {
        let output = loadgen(&words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", error(&output));
        assert!(error(&output).contains(part), "{words:?}: {}", error(&output));
    }
}

#[test]
fn a_wrong_password_is_explained_and_never_shown() {
    let Some(broker) = Mosquitto::start_with("", &[("me", "right")]) else { return };
    let (url, file) = (url(&broker), broker.file("password", "wr0ng\n"));
    let words = ["publish", "--url", &url, "--topic", "t", "--flood", "--count", "5", "--username", "me"];
    let output = loadgen(&[&words[..], &["--password-file", file.to_str().unwrap()]].concat());
    let error = error(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("not authorized") && !error.contains("wr0ng"), "{error}");
}
