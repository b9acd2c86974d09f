use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::decide::fixture::{RATE, at, current, node, policy, silent, view, view_of};
use crate::decide::measure::measure;
use crate::metrics::Span;

fn wanted(kind: TargetKind, target: f64, rates: &[f64]) -> u32 {
    let metric = Metric { name: RATE.into(), target, kind };
    let size = u32::try_from(rates.len()).unwrap();
    let measured = measure(&metric, Span::OneMinute, &view(rates, at(1)), &current(size));
    desired(&policy(), &measured, size, size).size
}

/// The examples of the Kubernetes documentation: a value of 200m for a target
/// of 100m doubles the number, 50m halves it, close to 1 nothing happens.
#[rstest]
#[case(&[0.2], 2)]
#[case(&[0.2, 0.2, 0.2], 6)]
#[case(&[0.05, 0.05], 1)]
#[case(&[0.05, 0.05, 0.05, 0.05], 2)]
#[case(&[0.109, 0.109], 2)]
#[case(&[0.091, 0.091], 2)]
#[case(&[0.111, 0.111], 3)]
#[case(&[0.0, 0.0, 0.0], 0)]
#[case(&[0.3, 0.0, 0.0], 3)]
fn as_hpa_does_for_pods(#[case] rates: &[f64], #[case] size: u32) {
    assert_eq!(wanted(TargetKind::Node, 0.1, rates), size);
    assert_eq!(wanted(TargetKind::Share, 0.1, rates), size, "External averageValue is the same");
}

/// `External` with `value`: the number of today times value over target.
#[rstest]
#[case(&[50.0, 50.0], 2)]
#[case(&[100.0, 50.0], 3)]
#[case(&[20.0, 20.0, 10.0], 2)]
fn as_hpa_does_for_external_values(#[case] rates: &[f64], #[case] size: u32) {
    assert_eq!(wanted(TargetKind::Total, 100.0, rates), size);
}

#[test]
fn a_whole_quotient_is_not_rounded_up() {
    // 7 × 0.06 is 0.42000000000000004 in floating point; seven nodes carry it.
    assert_eq!(wanted(TargetKind::Node, 0.06, &[0.42, 0.0]), 7);
    assert_eq!(ceil(0.1 * 3.0 / 0.1), 3);
}

#[test]
fn a_silent_node_is_never_counted_as_idle() {
    let metric = Metric { name: RATE.into(), target: 0.1, kind: TargetKind::Node };
    let view = view_of(vec![node(0.01), silent(), node(0.01)], at(1));
    let measured = measure(&metric, Span::OneMinute, &view, &current(3));
    let desired = desired(&policy(), &measured, 3, 3);
    assert_eq!(desired.size, 3);
    assert_eq!(desired.unknown, ["VerneMQ@vmq-01: stale: unheard for three intervals"]);
}

proptest! {
    #[test]
    fn what_is_wanted_brings_the_value_to_the_target(rates in prop::collection::vec(0.0..10.0_f64, 1..20)) {
        let total: f64 = rates.iter().sum();
        let size = wanted(TargetKind::Node, 0.06, &rates);
        let ratio = total / (0.06 * rates.len() as f64);
        if (ratio - 1.0).abs() > 0.11 {
            prop_assert!(total <= f64::from(size) * 0.06 * (1.0 + 1e-6));
            prop_assert!(size == 0 || total > f64::from(size - 1) * 0.06 * (1.0 - 1e-6));
        }
    }
}
