use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

#[test]
fn a_real_answer_is_read_whole() {
    let all = parse(include_str!("../../../../tests/recordings/metrics_n1_after_load.prom")).unwrap();
    let lines = include_str!("../../../../tests/recordings/metrics_n1_after_load.prom")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    assert_eq!(all.len(), lines);
    let published: Vec<_> =
        all.iter().filter(|series| series.name == "vernemq_mqtt_publish_received").collect();
    assert_eq!(published.len(), 2);
    assert!(
        published.iter().all(|series| (series.value - 30_000.0).abs() < 0.5 && series.kind == Kind::Counter)
    );
    assert_eq!(published[1].labels["mqtt_version"], "5");
    let bucket = all.iter().find(|series| series.name.ends_with("_bucket")).unwrap();
    assert_eq!(bucket.kind, Kind::Histogram);
    assert_eq!(bucket.labels["le"], "+Inf");
    assert!(all.iter().all(|series| series.kind != Kind::Untyped));
}

#[test]
fn the_corners_of_the_format_are_read() {
    let all = parse("a 1\n\n# some words\nb{} +Inf 123\nc { x = \"q\\\"n\\n\\\\\" , } 1e3\n").unwrap();
    assert_eq!(all.len(), 3);
    assert!(all[1].value.is_infinite());
    assert_eq!(all[2].labels["x"], "q\"n\n\\");
    assert!(parse("d NaN").unwrap()[0].value.is_nan());
}

#[test]
fn what_is_not_the_format_is_refused_with_its_line() {
    for (text, what) in [
        ("a", "a name without a value"),
        ("1a 2", "not a metric name"),
        ("a{x=\"1\" 2", "neither a comma nor a brace after a label"),
        ("a{x=\"1} 2", "a label's value without its closing quote"),
        ("a{x=1} 2", "a label's value without a quote"),
        ("a{x=\"1\",x=\"2\"} 2", "a label twice"),
        ("a{x=\"\\q\"} 2", "an escape that does not exist"),
        ("a{0=\"q\"} 2", "not a label name"),
        ("a two", "the value is not a number"),
        ("a{}", "no value"),
        ("a 1 x", "the timestamp is not a number"),
        ("a 1 2 3", "something follows the timestamp"),
    ] {
        assert_eq!(parse(&format!("ok 1\n{text}")), Err(Error::Line { line: 2, what }), "{text}");
    }
    assert!(parse("<html><body>not found</body></html>").is_err());
}

#[test]
fn every_bound_holds() {
    assert_eq!(parse(&" ".repeat(BYTES_MAX + 1)), Err(Error::TooLong(BYTES_MAX + 1)));
    assert_eq!(parse(&"a 1\n".repeat(SERIES_MAX + 1)), Err(Error::TooManySeries(SERIES_MAX + 1)));
    assert!(parse(&format!("a{{x=\"{}\"}} 1", "v".repeat(VALUE_MAX + 2))).is_err());
    assert!(parse(&format!("{} 1", "n".repeat(NAME_MAX + 1))).is_err());
    let labels: Vec<String> = (0..=LABELS_MAX).map(|n| format!("l{n}=\"\"")).collect();
    assert!(parse(&format!("a{{{}}} 1", labels.join(","))).is_err());
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC*", lines in prop::collection::vec("[a-z{}=\"\\\\,# 0-9\n]*", 0..20)) {
        let _ = parse(&text);
        let _ = parse(&lines.join("\n"));
    }

    #[test]
    fn what_is_written_is_read(value in prop::num::f64::NORMAL | prop::num::f64::ZERO, label in "[\"\\\\\n a-zü]{0,40}") {
        let mut text = "m{node=\"".to_owned();
        escape_into(&mut text, &label);
        writeln!(text, "\"}} {value}").unwrap();
        let all = parse(&text).unwrap();
        prop_assert_eq!(&all[0].labels["node"], &label);
        prop_assert_eq!(all[0].value.to_bits(), value.to_bits());
    }
}
