use std::time::Duration;

use crate::decide::Policy;
use crate::decide::fixture::{CONNECTIONS, Looks, RATE, current, node, per_node, policy, silent, stale};
use crate::metrics::{Metric, NodeView, Reading, Span, Why};

const MISSPELT: &str = "mqtt_publish_recieved";

fn named(name: &str) -> Policy {
    Policy { metrics: vec![per_node(name, 0.06)], ..policy() }
}

/// The names of the conditions of looks so many seconds apart.
fn told(looks: &mut Looks, nodes: impl Fn() -> Vec<NodeView>, after: &[u64]) -> Vec<usize> {
    let each = after.iter().map(|seconds| {
        looks.now = looks.now + Duration::from_secs(*seconds);
        let members = current(u32::try_from(nodes().len()).unwrap());
        let conditions = looks.look_at(nodes(), &members).conditions;
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
    let mut looks = Looks::from(named(MISSPELT), 1_000);
    assert_eq!(told(&mut looks, || vec![node(0.1); 3], &[0, 30, 30, 1]), [0, 0, 0, 1]);
    let decision = looks.look_at(vec![node(0.1); 3], &current(3));
    let message = &decision.conditions[0].message;
    for word in [MISSPELT, "any of the 3 members", "VerneMQ@vmq-00", "correct spec.metrics", "60 s"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(decision.wish, 3, "the size stays");
    looks.policy = policy();
    assert_eq!(told(&mut looks, || vec![node(0.1); 3], &[2]), [0], "corrected");
    assert!(looks.history.unmeasured_since.is_empty());
}

#[test]
fn it_is_not_the_metric_where_nobody_answers_or_somebody_has_it() {
    let mut looks = Looks::from(named(MISSPELT), 1_000);
    assert_eq!(told(&mut looks, || vec![silent(); 3], &[0, 100, 100]), [0, 0, 0]);
    assert_eq!(told(&mut looks, || vec![node(0.1); 3], &[2]), [0], "counted from the first answer on");
    let mut looks = Looks::from(policy(), 1_000);
    let one_has_it = || {
        let mut other = node(0.1);
        other.metrics.remove(RATE);
        vec![node(0.1), other, silent()]
    };
    assert_eq!(told(&mut looks, one_has_it, &[0, 100, 100]), [0, 0, 0]);
}

#[test]
fn a_window_that_fills_is_waited_for_and_one_that_never_will_is_not() {
    let mut looks = Looks::from(policy(), 1_000);
    let fills = || vec![with(Reading::Unknown(Why::TooFewSamples))];
    assert_eq!(told(&mut looks, fills, &[0, 100, 100]), [0, 0, 0]);
    let slow = || vec![with(Reading::Unknown(Why::SpanTooShort))];
    assert_eq!(told(&mut looks, slow, &[0, 61]), [0, 1]);
    let vanished = || {
        let mut node = node(0.1);
        node.metrics.insert(RATE.into(), stale());
        vec![node]
    };
    assert_eq!(told(&mut looks, vanished, &[0]), [1]);
}

/// With a wish from outside it holds every shrink all the same.
#[test]
fn a_gauge_is_looked_for_too_and_also_with_a_wish_from_outside() {
    let outside = Policy { outside_wish: Some(2), ..named("active_conections") };
    let mut looks = Looks::from(outside, 1_000);
    assert_eq!(told(&mut looks, || vec![node(0.1); 2], &[0, 61]), [0, 1]);
    let mut looks = Looks::from(named(CONNECTIONS), 1_000);
    assert_eq!(told(&mut looks, || vec![node(0.1); 2], &[0, 61]), [0, 0]);
}
