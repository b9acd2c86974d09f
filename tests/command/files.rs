//! Output that nobody reads, or that finds no room.

use std::process::Stdio;

use crate::process::{Exporter, full, run, vernescale};

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = run(vernescale(&["crd"]).stdout(writer));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_one_and_is_said() {
    let ended = run(vernescale(&["crd"]).stdout(full()));
    assert_eq!(ended.code, Some(1));
    let said = "error: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(ended.stderr, said);
    // Where nobody can be told, there is the exit code.
    let arguments = ["exporter", "--broker", "mqtt://127.0.0.1:1", "--listen", "192.0.2.1:1"];
    assert_eq!(run(vernescale(&arguments).stderr(full())).code, Some(1));
}

#[test]
fn the_exporter_outlives_its_log() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    for log in [Stdio::from(full()), Stdio::from(writer)] {
        let exporter = Exporter::start(log, &[]);
        assert!(exporter.get("/metrics").contains("vernescale_source_up"));
        exporter.signal("TERM");
        assert_eq!(exporter.code(), Some(0));
    }
}

#[test]
fn an_empty_wish_for_a_log_is_none() {
    let mut exporter = Exporter::start(Stdio::piped(), &[("VERNESCALE_LOG", "")]);
    exporter.signal("TERM");
    let log: Vec<String> = exporter.log().map_while(Result::ok).collect();
    assert!(log.first().is_some_and(|line| line.contains("serving /metrics")), "{log:?}");
}
