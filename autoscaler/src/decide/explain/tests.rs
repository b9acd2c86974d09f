use super::*;
use crate::decide::policy::Metric;

fn desired(shown: Option<f64>, kind: TargetKind, size: u32) -> Desired {
    let metric = Metric { name: "mqtt_publish_received".into(), target: 0.06, kind };
    Desired { metric, shown, ratio: 0.2, size, unknown: Vec::new() }
}

fn explain(reasons: Vec<Reason>) -> Explain {
    Explain { size: 5, reasons, wish: 5, next_change: "next".into(), after_leave: Vec::new() }
}

#[test]
fn targets_are_printed_as_hpa_prints_them() {
    let all = explain(vec![
        Reason::Metric(desired(Some(0.012), TargetKind::Node, 1)),
        Reason::Metric(desired(None, TargetKind::Node, 1)),
        Reason::Metric(desired(Some(3.0), TargetKind::Share, 1)),
    ]);
    assert_eq!(all.target().unwrap(), "12m/60m, <unknown>/60m, 3/60m (avg)");
    assert_eq!(explain(vec![Reason::Outside(3)]).target(), None);
}

#[test]
fn the_last_clamp_binds_else_the_largest_metric() {
    let (one, two) = (
        Reason::Metric(desired(Some(1.0), TargetKind::Node, 7)),
        Reason::Metric(desired(None, TargetKind::Node, 2)),
    );
    let clamp = |rule| Reason::Clamp(Clamp { rule, from: 7, to: 5 });
    assert_eq!(explain(vec![one.clone(), two.clone()]).binding(), Some(&one));
    let all = explain(vec![one, two, clamp(Rule::Stabilization), clamp(Rule::MaxReplicas)]);
    assert_eq!(all.binding(), Some(&clamp(Rule::MaxReplicas)));
}

#[test]
fn the_next_change_is_a_number_that_would_change_the_wish() {
    let next_change = |size| next_change_of(&desired(Some(0.0), TargetKind::Node, size), 5, 0.1, 0.1);
    assert!(
        next_change(7).contains("above 420m in total raises it, 360m or less lowers"),
        "{}",
        next_change(7)
    );
    assert!(
        next_change(2).contains("above 120m in total raises it, 60m or less lowers"),
        "{}",
        next_change(2)
    );
    assert!(
        next_change(5).contains("above 330m in total raises it, 240m or less lowers"),
        "{}",
        next_change(5)
    );
}

#[test]
fn the_text_is_bounded() {
    let many = explain(vec![Reason::Metric(desired(None, TargetKind::Node, 1)); 100]);
    assert_eq!(many.to_string().chars().count(), TEXT_MAX);
}

#[test]
fn the_fullest_after_a_leave_are_named() {
    let prediction = |name: &str, after| Prediction { name: name.into(), after, bound: 10.0 };
    let text = |after_leave| Explain { after_leave, ..explain(Vec::new()) }.to_string();
    assert_eq!(text(Vec::new()), "wish 5 of 5 now; next");
    let two = vec![prediction("mqtt_publish_received", 5.4), prediction("connections", 8.0)];
    let named = "connections 8 of 10 per node, mqtt_publish_received 5400m of 10 per node";
    assert_eq!(text(two), format!("wish 5 of 5 now; next; after a leave, with 20 % more: {named}"));
    let many = (1..=9).map(|n| prediction(&format!("m{n}"), f64::from(n))).collect();
    let ends = ": m9 9 of 10 per node, m8 8 of 10 per node, m7 7 of 10 per node and 6 more";
    assert!(text(many).ends_with(ends));
}
