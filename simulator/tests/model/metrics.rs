//! `/metrics`: names, order, labels, exact counts, resets.

use std::collections::BTreeSet;

use simulator::model::{Command, Kind, Protocol, Series, Signal, Version};

use crate::harness::{Harness, name, settings};
use crate::recording;
use crate::recording::line;

const PAGE: &str = recording!("metrics_n1_after_load.prom");

/// A line as the page has it, without its value.
fn written(series: &Series) -> String {
    let labels: Vec<String> = series.labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
    format!("vernemq_{}{{{}}}", series.name, labels.join(","))
}

#[test]
fn the_page_has_the_recorded_lines_in_the_recorded_order() {
    let mut harness = Harness::cluster(1, settings());
    let conn = harness.session(1, "c", Protocol::V4, true);
    harness.goodbye(conn);
    let series = harness.model.metrics(&name(1));
    let got: Vec<String> = series.iter().map(written).collect();
    let want: Vec<&str> = PAGE
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit_once(' ').expect("a value").0)
        .collect();
    assert_eq!(got, want);
    let mut seen = BTreeSet::new();
    let mut comments = Vec::new();
    for s in &series {
        if seen.insert(s.family) {
            let kind = match s.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            comments.push(format!("# HELP vernemq_{} {}", s.family, s.help));
            comments.push(format!("# TYPE vernemq_{} {kind}", s.family));
        }
    }
    let want: Vec<&str> = PAGE.lines().filter(|l| l.starts_with('#')).collect();
    assert_eq!(comments, want);
}

/// The same series with the same words; only the histograms stand in another order there, by their first use.
#[test]
fn the_page_of_2_2_0_has_the_same_lines() {
    let recorded = recording!("metrics_2.2.0.prom");
    let mut harness = Harness::cluster_of(Version::V2_2_0, 1);
    let conn = harness.session(1, "c", Protocol::V4, true);
    harness.goodbye(conn);
    let series = harness.model.metrics(&name(1));
    let got: BTreeSet<String> = series.iter().map(written).collect();
    let want: BTreeSet<String> = recorded
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.rsplit_once(' ').expect("a value").0.to_owned())
        .collect();
    assert_eq!(got, want);
    for one in &series {
        let help = format!("# HELP vernemq_{} {}", one.family, one.help);
        assert!(recorded.lines().any(|line| line == help), "{help}");
    }
    assert_eq!(harness.status(1).version, "2.2.0");
}

#[test]
fn what_is_left_in_a_queue_that_ends_is_unhandled() {
    let page = recording!("metrics_2.2.0.prom");
    let recorded = |family: &str| -> i64 {
        let line = line(page, &format!("vernemq_queue_message_{family}{{"), 0);
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    };
    assert!(recorded("unhandled") > 0);
    assert_eq!(recorded("in") - recorded("out"), recorded("unhandled"));
    let mut harness = Harness::cluster(1, settings());
    let slow = harness.session(1, "slow", Protocol::V4, true);
    harness.subscribe(slow, "x", 1);
    harness.clients.get_mut(&slow).expect("it is there").mute = true;
    let publisher = harness.session(1, "publisher", Protocol::V4, true);
    for _ in 0..100 {
        harness.publish(publisher, "x", "x", 1);
    }
    assert_eq!(harness.metric(1, "queue_message_unhandled"), 0);
    harness.goodbye(slow);
    let of = |family: &str| harness.metric(1, &format!("queue_message_{family}"));
    assert_eq!((of("unhandled"), of("in") - of("out")), (80, 80), "all but the twenty in flight");
    assert_eq!(harness.status(1).queue_unhandled, 80);
}

#[test]
fn counts_are_exact_to_the_recorded_line() {
    let rec = recording!("counts_n1_10000_each.txt");
    let mut harness = Harness::cluster(1, settings());
    for (protocol, id) in [(Protocol::V4, "l4"), (Protocol::V5, "l5")] {
        let conn = harness.session(1, id, protocol, true);
        for qos in 0..=2 {
            for _ in 0..10_000 {
                harness.publish(conn, "load/x", "x", qos);
            }
        }
        harness.goodbye(conn);
    }
    let own: Vec<String> =
        harness.model.metrics(&name(1)).iter().map(|s| format!("{} {}", written(s), s.value)).collect();
    let n1 = rec.split("# n2").next().expect("n1's part");
    let mut compared = 0;
    for want in n1.lines().filter(|l| l.starts_with("vernemq_mqtt_")) {
        // Its three $SYS subscribers are another test's business.
        if want.contains("VerneMQ1@") && !want.contains("publish_sent") {
            assert!(own.contains(&want.to_owned()), "no line {want}");
            compared += 1;
        }
    }
    assert!(compared > 50, "only {compared} lines compared");
}

#[test]
fn metrics_reset_and_restart_put_counters_to_zero() {
    let rec = recording!("misc_restart_reset_idle.txt");
    let mut harness = Harness::cluster(1, settings());
    let conn = harness.session(1, "g2", Protocol::V4, true);
    for _ in 0..recording::count::<u32>(line(rec, "['mqtt_publish_received", 0), "\"4\"} ") {
        harness.publish(conn, "x", "x", 0);
    }
    assert_eq!(harness.metric(1, "mqtt_publish_received"), 7);
    let (answer, _) = harness.admin(1, Command::MetricsReset);
    let want = recording::admin(rec, "metrics reset", 0);
    assert_eq!(answer, simulator::model::Answer::Text(want.stdout));
    assert_eq!(harness.metric(1, "mqtt_publish_received"), 0, "{}", line(rec, "after reset", 0));
    assert_eq!(harness.metric(1, "active_mqtt_connections"), 1, "a gauge is no counter");
    harness.publish(conn, "x", "x", 0);
    harness.signal(1, Signal::Kill);
    harness.boot(1);
    harness.run(4_000);
    assert_eq!(harness.metric(1, "mqtt_publish_received"), 0);
}

#[test]
fn the_connect_backlog_shows_a_storm() {
    let mut harness = Harness::cluster(3, settings());
    crate::harness::park_many(&mut harness, 3, 200, |s| format!("t/{s}"));
    let publisher = harness.session(1, "pub", Protocol::V4, true);
    for s in 0..200 {
        harness.publish(publisher, &format!("t/{s}"), "x", 1);
    }
    let backlog = |harness: &Harness| {
        harness.metric(1, "mqtt_connect_received") - harness.metric(1, "mqtt_connack_sent")
    };
    assert_eq!(backlog(&harness), 0);
    harness.ask(1, crate::harness::leave(&name(3), 30), simulator::model::Via::Http);
    for s in 0..500 {
        harness.connect(1, simulator::model::Connect::new(format!("c{s}"), Protocol::V4, true));
    }
    harness.run(250);
    // docs/broker/drain.md, "Signs of a storm": above 25 is a storm; its metadata reads take milliseconds.
    assert!(backlog(&harness) > 400, "{}", backlog(&harness));
    let mean = harness.metric(1, "metadata_get_microseconds_sum")
        / harness.metric(1, "metadata_get_microseconds_count");
    assert!(mean > 1_000, "{mean} µs");
    harness.run(10_000);
    assert_eq!(backlog(&harness), 0);
}
