//! Asked to stop, once and twice.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;

use crate::process::Exporter;

#[test]
fn either_signal_ends_it_in_order() {
    for signal in ["TERM", "INT"] {
        let mut exporter = Exporter::start(Stdio::piped(), &[]);
        exporter.signal(signal);
        let log: Vec<String> = exporter.log().map_while(Result::ok).collect();
        assert!(log.last().is_some_and(|line| line.contains("stopping")), "{log:?}");
        assert_eq!(exporter.code(), Some(0));
    }
}

#[test]
fn a_second_signal_does_not_wait_for_a_slow_client() {
    let mut exporter = Exporter::start(Stdio::piped(), &[]);
    let mut slow = TcpStream::connect(exporter.address).unwrap();
    slow.write_all(b"GET /metrics HT").unwrap();
    // Connections are taken in their order: after this one the slow one is under way.
    assert!(exporter.get("/healthz").ends_with("ok\n"));
    exporter.signal("INT");
    let mut log = exporter.log();
    assert!(log.any(|line| line.unwrap().contains("stopping")));
    exporter.signal("INT");
    let rest: Vec<String> = log.map_while(Result::ok).collect();
    assert!(rest.iter().any(|line| line.contains("second signal")), "{rest:?}");
    assert_eq!(exporter.code(), Some(0));
}
