//! What cannot work is refused at once: in one message with cause, place and remedy.

use std::net::TcpListener;
use std::path::Path;

use crate::process::{run, vernescale};

/// 2 is a wrong command line, 1 all else.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let ended = run(&mut vernescale(arguments));
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(code), "{arguments:?}: {said}");
    assert!(said.starts_with("error: ") && ended.stdout.is_empty(), "{arguments:?}: {said}");
    assert_eq!(said.matches("error: ").count(), 1, "{arguments:?}: {said}");
    if code == 1 {
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    }
    for word in words {
        assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}");
    }
}

fn exporter(more: &[&str], code: i32, words: &[&str]) {
    // If the refusal were missing it would serve for ever: on a port of its own.
    let arguments = ["exporter", "--broker", "mqtt://127.0.0.1:1", "--listen", "127.0.0.1:0"];
    refused(&[&arguments, more].concat(), code, words);
}

#[test]
fn an_address_that_is_none() {
    refused(&["exporter"], 2, &["--broker <URL>", "--help"]);
    for url in ["http://h:1", "h:1883", "mqtt://", "mqtt://h:99999", "mqtt://h:0", "ws://h:80", ""] {
        let words = ["--broker", &format!("`{url}`"), "mqtt://HOST:PORT"];
        refused(&["exporter", "--broker", url], 2, &words);
    }
    let secret = run(&mut vernescale(&["exporter", "--broker", "mqtt://u:hunter2@h"])).stderr;
    assert!(secret.contains("--password-file"), "{secret}");
    let broker = ["exporter", "--broker", "mqtt://127.0.0.1:1", "--listen"];
    for listen in ["127.0.0.1", "localhost:8888", ":8888", "127.0.0.1:80999", ""] {
        let remedy = ["--listen", listen, "IP address", "127.0.0.1:8888"];
        refused(&[&broker[..], &[listen]].concat(), 2, &remedy);
    }
    // An address of documentation: no machine has it.
    refused(&[&broker[..], &["192.0.2.1:8888"]].concat(), 1, &["192.0.2.1:8888", "--listen", "assign"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refused(&[&broker[..], &[&taken]].concat(), 1, &[&taken, "--listen", "in use"]);
}

#[test]
fn an_option_that_is_none() {
    exporter(&["--frobnicate"], 2, &["--frobnicate", "--help"]);
    refused(&["frob"], 2, &["frob", "--help"]);
    exporter(&["--timestamps", "maybe"], 2, &["--timestamps", "maybe", "true, false"]);
    for wait in ["5", "0s", "2h", "soon"] {
        exporter(&["--message-wait", wait], 2, &["--message-wait", wait]);
    }
    exporter(&["--log", "x=loudly"], 1, &["`x=loudly`", "--log info"]);
    exporter(&["--topic", "a/#/b"], 1, &["`a/#/b`", "topic filter"]);
    exporter(&["--username", ""], 1, &["empty", "--username"]);
}

#[test]
fn a_file_that_is_missing_or_holds_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let folder = directory.path().display().to_string();
    let password = |path: &str, words: &[&str]| {
        assert!(Path::new(path).is_absolute());
        exporter(&["--username", "u", "--password-file", path], 1, &[&[path], words].concat());
    };
    password("/no/such/file", &["--password-file", "No such file"]);
    password(&folder, &["--password-file", "directory"]);
    password("/dev/zero", &["--password-file", "more than"]);
    password(&file("binary", b"\xff\xfe"), &["--password-file", "UTF-8"]);
    password(&file("empty", b""), &["0 bytes"]);
    password(&file("line", b"\n"), &["0 bytes"]);
    password(&file("two", b"one\ntwo\n"), &["several lines"]);
    exporter(&["--password-file", "/dev/null"], 1, &["--username"]);
    let ca = |path: &str, words: &[&str]| {
        let broker = ["exporter", "--listen", "127.0.0.1:0", "--broker", "mqtts://127.0.0.1:1", "--ca-file"];
        refused(&[&broker[..], &[path]].concat(), 1, &[&[path, "--ca-file"], words].concat());
    };
    ca("/no/such/ca", &["No such file"]);
    ca("/dev/zero", &["more than"]);
    let begun = b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    for garbage in [&b""[..], b"garbage", b"\0\xff\xfe", begun, &begun[..40]] {
        ca(&file("ca.pem", garbage), &["no usable certificate", "PEM"]);
    }
    exporter(&["--ca-file", "/no/such/ca"], 1, &["--ca-file", "mqtts://"]);
}

#[test]
fn a_variable_of_the_environment_is_checked_as_an_option_is() {
    for (variable, value, word) in [
        ("VERNESCALE_BROKER", "http://h", "mqtt://HOST:PORT"),
        ("VERNESCALE_BROKER", "", "mqtt://HOST:PORT"),
        ("VERNESCALE_LISTEN", "nowhere", "IP address"),
        ("VERNESCALE_LOG", "x=loudly", "--log info"),
        ("VERNESCALE_LOG_FORMAT", "xml", "json"),
        ("VERNESCALE_PASSWORD_FILE", "/no/such/file", "--username"),
    ] {
        let mut command = vernescale(&["exporter"]);
        command.env("VERNESCALE_BROKER", "mqtt://127.0.0.1:1").env("VERNESCALE_LISTEN", "127.0.0.1:0");
        let ended = run(command.env(variable, value));
        assert!(matches!(ended.code, Some(1 | 2)), "{variable}={value}: {}", ended.stderr);
        assert!(ended.stderr.contains(word), "{variable}={value}: {}", ended.stderr);
    }
}
