use std::time::Duration;

use crate::decide::Policy;
use crate::decide::fixture::{CONNECTIONS, RATE, Reconciles, current, node, per_node, policy, silent, stale};
use crate::metrics::{Metric, NodeView, Reading, Span, Why};

const MISSPELT: &str = "mqtt_publish_recieved";

fn named(name: &str) -> Policy {
    Policy { metrics: vec![per_node(name, 0.06)], ..policy() }
}

/// The names of the conditions of reconciles so many seconds apart.
fn told(reconciles: &mut Reconciles, nodes: impl Fn() -> Vec<NodeView>, after: &[u64]) -> Vec<usize> {
    let each = after.iter().map(|seconds| {
        reconciles.now = reconciles.now + Duration::from_secs(*seconds);
        let members = current(u32::try_from(nodes().len()).unwrap());
        let conditions = reconciles.reconcile_with(nodes(), &members).conditions;
        conditions.iter().filter(|one| one.reason == "MetricUnknown").count()
    });
    each.collect()
}

fn with(rate: Reading) -> NodeView {
    let rates = Metric::Counter(Span::ALL.into_iter().map(|span| (span, rate)).collect());
    let mut node = node(0.1);
    node.metrics.insert(RATE.into(), rates);
    node
}

#[test]
fn a_name_that_no_member_has_is_told_after_its_window() {
    let mut reconciles = Reconciles::from(named(MISSPELT), 1_000);
    assert_eq!(told(&mut reconciles, || vec![node(0.1); 3], &[0, 30, 30, 1]), [0, 0, 0, 1]);
    let decision = reconciles.reconcile_with(vec![node(0.1); 3], &current(3));
    let message = &decision.conditions[0].message;
    for word in [MISSPELT, "any of the 3 members", "VerneMQ@vmq-00", "correct spec.metrics", "60 s"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(decision.wish, 3, "the size stays");
    reconciles.policy = policy();
    assert_eq!(told(&mut reconciles, || vec![node(0.1); 3], &[2]), [0], "corrected");
    assert!(reconciles.history.unmeasured_since.is_empty());
}

#[test]
fn it_is_not_the_metric_where_nobody_answers_or_somebody_has_it() {
    let mut reconciles = Reconciles::from(named(MISSPELT), 1_000);
    assert_eq!(told(&mut reconciles, || vec![silent(); 3], &[0, 100, 100]), [0, 0, 0]);
    assert_eq!(told(&mut reconciles, || vec![node(0.1); 3], &[2]), [0], "counted from the first answer on");
    let mut reconciles = Reconciles::from(policy(), 1_000);
    let one_has_it = || {
        let mut other = node(0.1);
        other.metrics.remove(RATE);
        vec![node(0.1), other, silent()]
    };
    assert_eq!(told(&mut reconciles, one_has_it, &[0, 100, 100]), [0, 0, 0]);
}

#[test]
fn a_window_that_fills_is_waited_for_and_one_that_never_will_is_not() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    let fills = || vec![with(Reading::Unknown(Why::TooFewSamples))];
    assert_eq!(told(&mut reconciles, fills, &[0, 100, 100]), [0, 0, 0]);
    let slow = || vec![with(Reading::Unknown(Why::SpanTooShort))];
    assert_eq!(told(&mut reconciles, slow, &[0, 61]), [0, 1]);
    let vanished = || {
        let mut node = node(0.1);
        node.metrics.insert(RATE.into(), stale());
        vec![node]
    };
    assert_eq!(told(&mut reconciles, vanished, &[0]), [1]);
}

/// With a wish from outside it holds every shrink all the same.
#[test]
fn a_gauge_is_looked_for_too_and_also_with_a_wish_from_outside() {
    let outside = Policy { outside_wish: Some(2), ..named("active_conections") };
    let mut reconciles = Reconciles::from(outside, 1_000);
    assert_eq!(told(&mut reconciles, || vec![node(0.1); 2], &[0, 61]), [0, 1]);
    let mut reconciles = Reconciles::from(named(CONNECTIONS), 1_000);
    assert_eq!(told(&mut reconciles, || vec![node(0.1); 2], &[0, 61]), [0, 0]);
}
