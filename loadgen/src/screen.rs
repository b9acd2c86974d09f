//! What people see while a run is under way, on standard error.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use loadgen::Live;
use tokio::sync::watch;

/// Shows progress until the run's counters end: one line that is renewed on a
/// terminal, else a plain line now and then.
pub(crate) async fn show(mut live: watch::Receiver<Live>) {
    let terminal = io::stderr().is_terminal();
    let pause = if terminal { Duration::from_millis(250) } else { Duration::from_secs(5) };
    let mut before = Live::default();
    loop {
        tokio::time::sleep(pause).await;
        if live.has_changed().is_err() {
            return;
        }
        let now = live.borrow_and_update().clone();
        let text = line(&now, &before);
        // A closed standard error is no reason to end the run.
        let _ =
            if terminal { write!(io::stderr(), "\r\x1b[K{text}") } else { writeln!(io::stderr(), "{text}") };
        before = now;
    }
}

/// Ends the renewed line.
pub(crate) fn clear() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// A line for people on standard error.
pub(crate) fn say(text: &str) {
    clear();
    let _ = writeln!(io::stderr(), "{text}");
}

fn line(now: &Live, before: &Live) -> String {
    let mut line = String::new();
    if now.running.is_zero() {
        let failure = now.last_failure.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        return format!("connecting ({} failed{failure})", now.connects_failed);
    }
    let seconds = now.running.saturating_sub(before.running).as_secs_f64();
    let rate = if seconds > 0.0 { (now.sent - before.sent) as f64 / seconds } else { 0.0 };
    let wanted = now.rate.map(|rate| format!(" of {rate}")).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "{:>5.0} s  {rate:.0}{wanted} msg/s  sent {}  acknowledged {}",
        now.running.as_secs_f64(),
        now.sent,
        now.acknowledged
    );
    if now.deliveries > 0 || now.subscribers_here > 0 {
        let _ = write!(line, "  delivered {}  missing {}", now.deliveries, now.missing);
    }
    for (count, name) in [
        (now.resent, "sent again"),
        (now.rejected, "rejected"),
        (now.duplicates_by_broker, "duplicates"),
        (now.connects_failed, "connects failed"),
        (now.connections_lost, "connections lost"),
        (now.probes.1, "probes failed"),
    ] {
        if count > 0 {
            let _ = write!(line, "  {name} {count}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_going_on_and_nothing_more() {
        let before = Live { running: Duration::from_secs(4), sent: 400, ..Live::default() };
        let now = Live { running: Duration::from_secs(5), sent: 600, acknowledged: 590, ..before.clone() };
        assert_eq!(line(&now, &before), "    5 s  200 msg/s  sent 600  acknowledged 590");
        let failing =
            Live { connects_failed: 2, last_failure: Some("refused".to_owned()), ..Live::default() };
        assert_eq!(line(&failing, &Live::default()), "connecting (2 failed: refused)");
    }
}
