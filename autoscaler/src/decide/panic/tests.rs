use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::fixture::*;
use crate::decide::{Decision, History};
use crate::metrics::{Metric, NodeView, Reading, Span, Why};

/// `short` over ten seconds, `long` over a minute and more.
fn burst(short: Reading, long: f64) -> NodeView {
    let rates = BTreeMap::from([
        (Span::TenSeconds, short),
        (Span::OneMinute, Reading::Known(long)),
        (Span::FiveMinutes, Reading::Known(long)),
    ]);
    let mut node = node(0.0);
    node.metrics.insert(RATE.into(), Metric::Counter(rates));
    node
}

fn reconciles() -> Reconciles {
    Reconciles::from(quick(), 1_000)
}

fn reconcile(reconciles: &mut Reconciles, short: f64, long: f64) -> Decision {
    reconciles.now = reconciles.now + Duration::from_secs(2);
    reconciles.reconcile_with(vec![burst(Reading::Known(short), long), node(0.0)], &current(2))
}

#[test]
fn three_rounds_far_above_the_target_raise_at_once() {
    let mut reconciles = reconciles();
    // 0.3 over two nodes is 2.5 times the target; the minute has hardly begun to see it.
    assert_eq!(reconcile(&mut reconciles, 0.3, 0.06).wish, 1);
    assert_eq!(reconcile(&mut reconciles, 0.3, 0.06).wish, 1);
    let decision = reconcile(&mut reconciles, 0.3, 0.06);
    assert_eq!(decision.wish, 5);
    assert_eq!(names(&decision.shrink_vetoes), ["Panic", "WouldOverload"]);
    assert!(decision.explain.to_string().contains("Panic makes 1 5; wish 5 of 2 now; held for 300 s"));
}

#[test]
fn a_round_in_between_starts_the_count_again() {
    let mut reconciles = reconciles();
    for short in [0.3, 0.3, 0.2, 0.3, 0.3] {
        assert_eq!(reconcile(&mut reconciles, short, 0.06).wish, 1);
    }
}

#[test]
fn the_same_sample_seen_again_is_no_round() {
    let mut reconciles = reconciles();
    for tick in 0..10 {
        reconciles.now = reconciles.now + Duration::from_secs(1);
        let mut hot = burst(Reading::Known(0.3), 0.06);
        hot.age = Some(Duration::from_secs(tick));
        assert_eq!(reconciles.reconcile_with(vec![hot, node(0.0)], &current(2)).wish, 1, "tick {tick}");
    }
}

#[test]
fn it_is_held_for_five_minutes_and_then_over() {
    let mut reconciles = reconciles();
    for _ in 0..3 {
        reconcile(&mut reconciles, 0.3, 0.06);
    }
    for _ in 0..149 {
        let decision = reconcile(&mut reconciles, 0.0, 0.0);
        assert_eq!(decision.wish, 5);
        assert!(names(&decision.shrink_vetoes).contains(&"Panic"));
    }
    let decision = reconcile(&mut reconciles, 0.0, 0.0);
    assert_eq!(decision.wish, 1);
    assert!(decision.shrink_vetoes.is_empty());
    assert_eq!(reconciles.history.alarm, None);
}

#[test]
fn a_single_high_sample_does_not_lengthen_it() {
    let mut reconciles = reconciles();
    for _ in 0..3 {
        reconcile(&mut reconciles, 0.3, 0.06);
    }
    let until = reconciles.history.alarm.unwrap().until;
    reconcile(&mut reconciles, 0.0, 0.0);
    reconcile(&mut reconciles, 9.0, 0.0);
    assert_eq!(reconciles.history.alarm.unwrap().until, until);
    assert_eq!(reconciles.history.alarm.unwrap().size, 5);
}

#[test]
fn where_ten_seconds_do_not_exist_the_minute_counts() {
    let mut reconciles = reconciles();
    let mut wish = 0;
    for _ in 0..3 {
        reconciles.now = reconciles.now + Duration::from_secs(20);
        let hot = || burst(Reading::Unknown(Why::SpanTooShort), 0.3);
        wish = reconciles.reconcile_with(vec![hot(), hot()], &current(2)).wish;
    }
    assert_eq!(wish, 10);
    assert!(reconciles.history.alarm.is_some_and(|alarm| alarm.until.is_some()));
}

#[test]
fn it_survives_a_restart() {
    let mut reconciles = reconciles();
    for _ in 0..3 {
        reconcile(&mut reconciles, 0.3, 0.06);
    }
    let text = serde_json::to_string(&reconciles.history).unwrap();
    reconciles.history = serde_json::from_str::<History>(&text).unwrap();
    assert_eq!(reconcile(&mut reconciles, 0.0, 0.0).wish, 5);
}
