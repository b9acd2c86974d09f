//! The page `/metrics`: the brokers' own series, then ours.

use std::fmt::Write as _;

use lifecycle::Time;
use prometheus::TextEncoder;

use super::Intake;
use super::help::help_into;
use super::intake::RATED;
use autoscaler::metrics::exposition::escape_into;
use autoscaler::metrics::{Kind, Metric, Reading, Shown, Span};

/// Renders the page in the text format 0.0.4.
///
/// With `timestamps`, what counts carries the time at which it arrived: the broker sends every 20 s, and a scrape
/// in between would otherwise read the same number as a new one, which makes `irate()` zero or too large.
/// Levels carry none, so that Prometheus drops them at once when a node becomes stale.
pub fn render(intake: &mut Intake, now: Time, timestamps: bool) -> String {
    intake.fleet.forget(now);
    // The next page is about as long as the last: it is written without being moved.
    let mut out = String::with_capacity(intake.page_bytes + intake.page_bytes / 8 + (1 << 13));
    broker_series(&mut out, intake, now, timestamps);
    nodes(&mut out, intake, now);
    intake.report.clock.set(now.0 as f64 / 1_000.0);
    let families = intake.report.registry.gather();
    if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut out) {
        tracing::error!(%error, "own metrics cannot be rendered");
    }
    intake.page_bytes = out.len();
    out
}

fn broker_series(out: &mut String, intake: &Intake, now: Time, timestamps: bool) {
    let mut nodes: Vec<String> = Vec::new();
    let mut typed = String::new();
    intake.fleet.for_each(now, |name, kind, one| {
        head_lines(out, &mut typed, name, kind);
        out.push_str(name);
        out.push_str("{node=\"");
        out.push_str(escaped(&mut nodes, &one));
        out.push('"');
        for (label, value) in one.labels {
            out.push(',');
            out.push_str(label);
            out.push_str("=\"");
            escape_into(out, value);
            out.push('"');
        }
        out.push_str("} ");
        number(out, one.value);
        if timestamps && kind.counts() {
            out.push(' ');
            digits(out, one.at.0);
        }
        out.push('\n');
    });
}

/// Appends a value. Nearly all are whole numbers, and there are sixteen thousand of them on a large page:
/// the general way to write a float would be half of the cost of a scrape.
fn number(out: &mut String, value: f64) {
    /// Up to here every whole number is exact in a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in this line")]
    if (0.0..=EXACT).contains(&value) && value.fract() == 0.0 {
        digits(out, value as u64);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{value}");
    }
}

fn digits(out: &mut String, mut number: u64) {
    // 20 digits hold any number of 64 bits.
    let mut reversed = [b'0'; 20];
    let mut begin = reversed.len();
    loop {
        begin -= 1;
        reversed[begin] = b"0123456789"[(number % 10) as usize];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // Digits are ASCII; to push them at once is several times faster than one by one.
    out.push_str(std::str::from_utf8(&reversed[begin..]).unwrap_or_default());
}

/// Help and type once a family; parts of a histogram share those of the whole.
fn head_lines(out: &mut String, typed: &mut String, name: &str, kind: Kind) {
    let (family, word) = match kind {
        Kind::Counter => (name, "counter"),
        Kind::Gauge => (name, "gauge"),
        Kind::Untyped => (name, "untyped"),
        Kind::Histogram => (name.rsplit_once('_').map_or(name, |(base, _)| base), "histogram"),
    };
    if typed != family {
        help_into(out, family);
        let _ = writeln!(out, "# TYPE {family} {word}");
        typed.clear();
        typed.push_str(family);
    }
}

/// A node's name as a label's value, escaped once a page.
fn escaped<'a>(nodes: &'a mut Vec<String>, one: &Shown<'_>) -> &'a str {
    if nodes.len() <= one.track {
        nodes.resize(one.track + 1, String::new());
    }
    if nodes[one.track].is_empty() {
        escape_into(&mut nodes[one.track], &one.node.0);
    }
    &nodes[one.track]
}

/// What we know about the nodes: their rates, their age.
fn nodes(out: &mut String, intake: &Intake, now: Time) {
    let view = intake.fleet.view_of(now, &[RATED]);
    let report = &intake.report;
    report.node_up.reset();
    report.sample_age.reset();
    report.sample_interval.reset();
    let _ = writeln!(out, "# HELP {RATED}_rate PUBLISH packets received per second, over the window.");
    let _ = writeln!(out, "# TYPE {RATED}_rate gauge");
    for (node, seen) in &view.nodes {
        report.node_up.with_label_values(&[&node.0]).set(i64::from(seen.fresh));
        if let Some(age) = seen.age {
            report.sample_age.with_label_values(&[&node.0]).set(age.as_secs_f64());
        }
        if let Some(interval) = seen.interval {
            report.sample_interval.with_label_values(&[&node.0]).set(interval.as_secs_f64());
        }
        let Some(Metric::Counter(rates)) = seen.metrics.get(RATED) else { continue };
        let known = |span: &Span| match rates.get(span) {
            Some(Reading::Known(rate)) => Some(*rate),
            _ => None,
        };
        for (span, rate) in Span::ALL.iter().filter_map(|span| known(span).map(|rate| (span, rate))) {
            let _ = write!(out, "{RATED}_rate{{node=\"");
            escape_into(out, &node.0);
            let _ = writeln!(out, "\",window=\"{}\"}} {rate}", span.label());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The short way writes what the general way would.
        #[test]
        fn numbers_are_written_exactly(any in any::<f64>(), whole in any::<u64>(), small in 0u32..2_000) {
            for value in [any, whole as f64, f64::from(small), -f64::from(small) - 1.0, 0.5] {
                let mut out = String::new();
                // Minus zero is zero.
                let value = value + 0.0;
                number(&mut out, value);
                prop_assert_eq!(out, format!("{value}"));
            }
            let mut out = String::new();
            digits(&mut out, whole);
            prop_assert_eq!(out, whole.to_string());
        }
    }
}
