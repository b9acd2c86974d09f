use std::time::Duration;

use proptest::prelude::*;

use super::*;

const N1: &str = "VerneMQ1@127.0.0.11";

fn sample(node: &str, name: &str, value: f64, at: u64, source: Source) -> Sample {
    Sample {
        node: NodeName(node.to_owned()),
        name: name.to_owned(),
        labels: Labels::new(),
        value,
        at: Time(at),
        source,
    }
}

fn rate(fleet: &Fleet, node: &str, span: Span, now: u64) -> Reading {
    let view = fleet.view(Time(now));
    match &view.nodes[&NodeName(node.to_owned())].metrics["mqtt_publish_received"] {
        Metric::Counter(rates) => rates[&span],
        Metric::Gauge(level) => panic!("a gauge: {level:?}"),
    }
}

fn shown(fleet: &Fleet, now: u64) -> Vec<String> {
    let mut lines = Vec::new();
    fleet.for_each(Time(now), |name, _, one| lines.push(format!("{name} {} {}", one.node, one.value)));
    lines
}

#[test]
fn labels_are_summed_and_each_is_reset_on_its_own() {
    let mut fleet = Fleet::new(Settings::default());
    let feed = |fleet: &mut Fleet, version: &str, value: f64, at: u64| {
        let labels = Labels::from([("mqtt_version".to_owned(), version.to_owned())]);
        let one = sample(N1, "mqtt_publish_received", value, at, Source::Metrics);
        fleet.ingest(&Sample { labels, ..one }).unwrap();
    };
    for tick in 0..=30u32 {
        feed(&mut fleet, "4", f64::from(30_000 + tick * 10), 1_000 + u64::from(tick) * 2_000);
        // The v5 series is reset half-way: what it lost is no load.
        let v5 = if tick < 15 { 50_000 + tick * 4 } else { (tick - 15) * 4 };
        feed(&mut fleet, "5", f64::from(v5), 1_000 + u64::from(tick) * 2_000);
    }
    let Reading::Known(rate) = rate(&fleet, N1, Span::OneMinute, 61_000) else { panic!() };
    assert!((rate - (300.0 + 56.0 + 60.0 - 0.0) / 60.0).abs() < 0.08, "{rate}");
    assert_eq!(fleet.view(Time(61_000)).nodes[&NodeName(N1.into())].last_reset, Some(Time(31_000)));
}

#[test]
fn a_scrape_of_a_real_node_is_summed_to_plain_names() {
    let text = include_str!("../../../../tests/recordings/metrics_n1_after_load.prom");
    let series = exposition::parse(text).unwrap();
    let mut fleet = Fleet::new(Settings::default());
    assert_eq!(fleet.ingest_metrics(&NodeName("other".into()), &series, Time(5_000)), Ok(series.len()));
    let lines = shown(&fleet, 5_000);
    let sum: f64 = lines
        .iter()
        .filter(|line| line.starts_with("mqtt_publish_received "))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((sum - 60_000.0).abs() < 0.5);
    let view = fleet.view(Time(5_000));
    let metrics = &view.nodes[&NodeName(N1.into())].metrics;
    assert!(matches!(metrics["active_mqtt_connections"], Metric::Gauge(Reading::Known(_))));
    assert!(matches!(metrics["metadata_get_microseconds_sum"], Metric::Counter(_)));
    assert!(!metrics.contains_key("metadata_get_microseconds_bucket"));
}

#[test]
fn an_interval_is_learned_and_three_of_them_are_stale() {
    let mut fleet = Fleet::new(Settings::default());
    for tick in 0..5u32 {
        let at = 10_000 + u64::from(tick) * 2_002;
        for (offset, name) in ["mqtt_publish_received", "queue_processes"].iter().enumerate() {
            fleet.ingest(&sample(N1, name, f64::from(tick), at + offset as u64, Source::Sys)).unwrap();
        }
    }
    let node = |now| fleet.view(Time(now)).nodes[&NodeName(N1.into())].clone();
    assert_eq!(node(18_010).interval, Some(Duration::from_millis(2_002)));
    let last = 10_000 + 4 * 2_002 + 1;
    assert!(node(last + 6_006).fresh);
    assert!(!node(last + 6_007).fresh);
    assert_eq!(shown(&fleet, last + 6_005).len(), 2);
    assert_eq!(shown(&fleet, last + 6_007), Vec::<String>::new());
    assert_eq!(node(last + 6_007).metrics["queue_processes"], Metric::Gauge(Reading::Unknown(Why::Stale)));
    assert_eq!(rate(&fleet, N1, Span::TenSeconds, last + 6_007), Reading::Unknown(Why::Stale));
}

#[test]
fn before_an_interval_is_learned_a_long_one_is_allowed_for() {
    for source in [Source::Sys, Source::Mosquitto] {
        let mut fleet = Fleet::new(Settings::default());
        fleet.ingest(&sample(N1, "mqtt_publish_received", 1.0, 1_000, source)).unwrap();
        assert_eq!(shown(&fleet, 181_000).len(), 1);
        assert!(fleet.any_fresh(Time(181_000)) && !fleet.any_fresh(Time(181_001)));
        assert_eq!(shown(&fleet, 181_001).len(), 0);
    }
    // Our own scrapes are every two seconds.
    let mut fleet = Fleet::new(Settings::default());
    fleet.ingest(&sample(N1, "mqtt_publish_received", 1.0, 1_000, Source::Metrics)).unwrap();
    assert!(fleet.any_fresh(Time(7_000)) && !fleet.any_fresh(Time(7_001)));
}

#[test]
fn an_interval_that_others_have_shown_is_expected_of_a_newcomer() {
    let mut fleet = Fleet::new(Settings::default());
    let mut feed =
        |node: &str, at| fleet.ingest(&sample(node, "queue_processes", 1.0, at, Source::Sys)).unwrap();
    feed("dies", 0);
    feed("lives", 0);
    feed("lives", 2_000);
    feed("late", 3_000);
    let fresh = |node: &str, now| fleet.view(Time(now)).nodes[&NodeName(node.to_owned())].fresh;
    assert!(fresh("dies", 6_000) && !fresh("dies", 6_001));
    assert!(fresh("late", 9_000) && !fresh("late", 9_001));
}

#[test]
fn a_source_that_was_taken_for_another_is_taken_back() {
    let mut fleet = Fleet::new(Settings::default());
    fleet.ingest(&sample("a", "queue_processes", 1.0, 0, Source::Sys)).unwrap();
    fleet.ingest(&sample("b", "queue_processes", 2.0, 0, Source::Mosquitto)).unwrap();
    fleet.remove(Source::Mosquitto);
    assert_eq!(shown(&fleet, 0), ["queue_processes a 1"]);
    assert_eq!(fleet.view(Time(0)).nodes.len(), 1);
    fleet.ingest(&sample("b", "queue_processes", 3.0, 1, Source::Mosquitto)).unwrap();
    assert_eq!(shown(&fleet, 1), ["queue_processes a 1", "queue_processes b 3"]);
}

#[test]
fn after_a_gap_the_missing_part_is_not_load() {
    let mut fleet = Fleet::new(Settings::default());
    let feed = |fleet: &mut Fleet, value, at| {
        fleet.ingest(&sample(N1, "mqtt_publish_received", value, at, Source::Sys)).unwrap();
    };
    for tick in 0..20u32 {
        feed(&mut fleet, f64::from(tick * 2), u64::from(tick) * 2_000);
    }
    // 30 s of silence while a million came in.
    feed(&mut fleet, 1_000_000.0, 68_000);
    assert_eq!(rate(&fleet, N1, Span::TenSeconds, 68_000), Reading::Unknown(Why::TooFewSamples));
    for tick in 1..=5u32 {
        feed(&mut fleet, f64::from(1_000_000 + tick * 2), 68_000 + u64::from(tick) * 2_000);
    }
    assert_eq!(rate(&fleet, N1, Span::TenSeconds, 78_000), Reading::Known(1.0));
}

#[test]
fn an_outage_is_not_learned_as_an_interval() {
    let mut fleet = Fleet::new(Settings::default());
    let feed = |fleet: &mut Fleet, at| {
        fleet.ingest(&sample(N1, "mqtt_publish_received", 0.0, at, Source::Sys)).unwrap();
    };
    feed(&mut fleet, 0);
    fleet.interrupted(Source::Sys);
    feed(&mut fleet, 55_000);
    feed(&mut fleet, 57_000);
    assert_eq!(fleet.view(Time(57_000)).nodes[&NodeName(N1.into())].interval, Some(Duration::from_secs(2)));
}

#[test]
fn a_metric_that_vanishes_takes_its_series_along() {
    let mut fleet = Fleet::new(Settings::default());
    for tick in 0..10u64 {
        fleet.ingest(&sample(N1, "queue_processes", 1.0, tick * 2_000, Source::Sys)).unwrap();
        if tick < 5 {
            fleet.ingest(&sample(N1, "retain_messages", 1.0, tick * 2_000, Source::Sys)).unwrap();
        }
    }
    assert_eq!(shown(&fleet, 18_000), ["queue_processes VerneMQ1@127.0.0.11 1"]);
}

#[test]
fn nodes_and_series_are_bounded_and_old_nodes_make_room() {
    let settings = Settings { nodes_max: 2, series_max: 3, ..Settings::default() };
    let mut fleet = Fleet::new(settings);
    let mut feed = |node: &str, name: &str, at| fleet.ingest(&sample(node, name, 1.0, at, Source::Sys));
    assert_eq!(feed("a", "m1", 0), Ok(()));
    assert_eq!(feed("b", "m1", 0), Ok(()));
    assert_eq!(feed("c", "m1", 0), Err(Refused::TooManyNodes));
    assert_eq!(feed("a", "m2", 0), Ok(()));
    assert_eq!(feed("a", "m3", 0), Ok(()));
    assert_eq!(feed("a", "m4", 0), Err(Refused::TooManySeries));
    assert_eq!(feed("a", "m3", 1), Ok(()));
    assert_eq!(feed("c", "m1", 3_600_002), Ok(()));
}

#[test]
fn a_key_of_a_forgotten_node_is_refused() {
    let mut fleet = Fleet::new(Settings::default());
    let (node, labels) = (NodeName("a".into()), Labels::new());
    let key = fleet.key(&node, Source::Sys, "m", &labels, None, Time(0)).unwrap();
    fleet.record(key, 1.0, Time(0), true).unwrap();
    fleet.forget(Time(3_600_001));
    assert_eq!(fleet.record(key, 2.0, Time(3_600_001), true), Err(Refused::Gone));
    let other = NodeName("b".into());
    fleet.key(&other, Source::Sys, "m", &labels, None, Time(3_600_001)).unwrap();
    assert_eq!(fleet.record(key, 2.0, Time(3_600_001), true), Err(Refused::Gone));
}

#[test]
fn values_that_no_counter_can_have_are_refused() {
    let mut fleet = Fleet::new(Settings::default());
    let mut feed = |name: &str, value| fleet.ingest(&sample(N1, name, value, 0, Source::Sys));
    assert_eq!(feed("mqtt_publish_received", f64::NAN), Err(Refused::BadValue));
    assert_eq!(feed("mqtt_publish_received", f64::INFINITY), Err(Refused::BadValue));
    assert_eq!(feed("mqtt_publish_received", -1.0), Err(Refused::BadValue));
    assert_eq!(feed("queue_processes", -1.0), Ok(()));
}

#[test]
fn the_nodes_own_page_is_preferred_while_it_is_fresh() {
    let mut fleet = Fleet::new(Settings::default());
    for tick in 0..4u64 {
        fleet.ingest(&sample(N1, "queue_processes", 1.0, tick * 20_000, Source::Sys)).unwrap();
    }
    fleet.ingest(&sample(N1, "queue_processes", 2.0, 60_000, Source::Metrics)).unwrap();
    let node = |now| fleet.view(Time(now)).nodes[&NodeName(N1.into())].clone();
    let gauge = |value| Metric::Gauge(Reading::Known(value));
    assert_eq!(
        (node(60_000).source, node(60_000).metrics["queue_processes"].clone()),
        (Source::Metrics, gauge(2.0))
    );
    assert_eq!(node(60_000).others[0].metrics["queue_processes"], gauge(1.0));
    assert_eq!(
        (node(70_000).source, node(70_000).metrics["queue_processes"].clone()),
        (Source::Sys, gauge(1.0))
    );
}

#[test]
fn a_source_of_changes_only_keeps_what_it_does_not_repeat() {
    let mut fleet = Fleet::new(Settings::default());
    let node = NodeName("127.0.0.1:1883".into());
    let labels = Labels::new();
    let key = fleet.key(&node, Source::Mosquitto, "mqtt_publish_received", &labels, None, Time(0)).unwrap();
    fleet.record(key, 100.0, Time(0), false).unwrap();
    for tick in 0..=40u32 {
        let at = Time(500 + u64::from(tick) * 2_000);
        fleet.tick(&node, Source::Mosquitto, at).unwrap();
        if (10..20).contains(&tick) {
            let value = f64::from(100 + (tick - 9) * 8);
            fleet.record(key, value, at + Duration::from_millis(3), true).unwrap();
        }
    }
    assert_eq!(rate(&fleet, &node.0, Span::TenSeconds, 80_500), Reading::Known(0.0));
    let Reading::Known(minute) = rate(&fleet, &node.0, Span::OneMinute, 80_500) else { panic!() };
    // The tick that opens the minute holds the first eight already.
    assert!((minute - 72.0 / 60.0).abs() < 1e-9, "{minute}");
    assert_eq!(shown(&fleet, 80_500), ["mqtt_publish_received 127.0.0.1:1883 180"]);
    assert_eq!(shown(&fleet, 90_500), Vec::<String>::new());
}

proptest! {
    /// A broker that sends once a minute, or oftener, is up from its first message on, whenever it is looked at; and
    /// three intervals after its last one it is not.
    #[test]
    fn what_sends_once_a_minute_does_not_flap(
        interval in 1_000u64..=60_000, late in prop::collection::vec(0u64..500, 2..12), mosquitto in any::<bool>()
    ) {
        let source = if mosquitto { Source::Mosquitto } else { Source::Sys };
        let mut fleet = Fleet::new(Settings::default());
        let node = NodeName(N1.to_owned());
        let mut at = 0;
        for (tick, late) in late.iter().enumerate() {
            let next = tick as u64 * interval + late;
            for look in (at..next).step_by(500).chain([next]).filter(|_| tick > 0) {
                prop_assert!(fleet.any_fresh(Time(look)), "{look} of {next}");
                prop_assert!(fleet.view(Time(look)).nodes[&node].fresh);
            }
            at = next;
            // mosquitto sends a value that never changes once, and `uptime` each time.
            if mosquitto && tick > 0 {
                fleet.tick(&node, source, Time(at)).unwrap();
            } else {
                fleet.ingest(&sample(N1, "queue_processes", 7.0, at, source)).unwrap();
            }
        }
        prop_assert!(!fleet.any_fresh(Time(at + 3 * (interval + 500)) + Duration::from_mins(3)));
    }

    /// Any order of nodes, names, values and times: no panic, bounds hold, stale nodes show nothing.
    #[test]
    fn any_stream_is_survived(
        stream in prop::collection::vec((0u8..6, 0u8..6, -5.0f64..1e12, 0u64..30_000, any::<bool>()), 0..400)
    ) {
        let settings = Settings { nodes_max: 4, series_max: 4, forget_after: Duration::from_mins(2), ..Settings::default() };
        let mut fleet = Fleet::new(settings);
        let mut now = 0;
        for (node, name, value, wait, metrics) in stream {
            now += wait;
            let source = if metrics { Source::Metrics } else { Source::Sys };
            let name = ["mqtt_publish_received", "queue_processes", "m", "bytes_sent", "n", "o"][usize::from(name)];
            let _ = fleet.ingest(&sample(&node.to_string(), name, value, now, source));
            prop_assert!(fleet.view(Time(now)).nodes.len() <= 4);
            prop_assert!(shown(&fleet, now).len() <= 16);
        }
        prop_assert!(shown(&fleet, now + 900_001).is_empty());
    }
}
