use rstest::rstest;

use super::*;
use crate::decide::fixture::at;

fn rules(select: SelectPolicy, limits: &[(ScalingPolicyType, u32)]) -> Rules {
    let limit = |(kind, value): &(ScalingPolicyType, u32)| Limit {
        kind: *kind,
        value: *value,
        period: Duration::from_mins(1),
    };
    Rules {
        stabilization: Duration::ZERO,
        tolerance: 0.1,
        select,
        limits: limits.iter().map(limit).collect(),
    }
}

fn sizes(sizes: &[(u64, u32)]) -> History {
    let mut history = History::default();
    for (second, size) in sizes {
        history.note_size(*size, Duration::ZERO, at(*second));
    }
    history
}

use ScalingPolicyType::{Percent, Pods};

/// Of 4 nodes or 10 %, as the Kubernetes documentation counts them.
#[rstest]
#[case(SelectPolicy::Max, 80, 72, 88)]
#[case(SelectPolicy::Min, 80, 76, 84)]
#[case(SelectPolicy::Max, 10, 6, 14)]
#[case(SelectPolicy::Min, 10, 9, 11)]
#[case(SelectPolicy::Disabled, 10, 10, 10)]
fn limits_of_both_directions(
    #[case] select: SelectPolicy,
    #[case] size: u32,
    #[case] lowest: u32,
    #[case] highest: u32,
) {
    let rules = rules(select, &[(Pods, 4), (Percent, 10)]);
    assert_eq!(limit_down(&rules, &History::default(), size, at(0)), lowest);
    assert_eq!(limit_up(&rules, &History::default(), size, at(0)), highest);
}

#[test]
fn no_policy_is_no_limit() {
    let rules = rules(SelectPolicy::Max, &[]);
    assert_eq!(limit_down(&rules, &History::default(), 7, at(0)), 0);
    assert_eq!(limit_up(&rules, &History::default(), 7, at(0)), u32::MAX);
}

#[test]
fn what_has_moved_within_the_period_counts() {
    let rules = rules(SelectPolicy::Max, &[(Pods, 2)]);
    let grown = sizes(&[(0, 3), (10, 4), (20, 5)]);
    assert_eq!(limit_up(&rules, &grown, 5, at(30)), 5);
    assert_eq!(limit_up(&rules, &grown, 5, at(75)), 6, "the first of them is older than a minute");
    assert_eq!(limit_down(&rules, &grown, 5, at(30)), 3, "raising does not count against lowering");
    let more = sizes(&[(0, 1), (10, 5)]);
    assert_eq!(limit_up(&rules, &more, 5, at(30)), 5, "a limit of raising never lowers");
    let shrunk = sizes(&[(0, 5), (10, 4)]);
    assert_eq!(limit_down(&rules, &shrunk, 4, at(30)), 3);
}

#[test]
fn both_windows_hold_the_size_between_them() {
    let mut history = History::default();
    for (second, size) in [(0, 3), (30, 8), (60, 5)] {
        history.note_wish(size, at(second));
    }
    let minute = Duration::from_mins(1);
    let hold = |up, down, size| stabilize(&history, up, down, size, at(60));
    assert_eq!(hold(minute, minute, 2), 3, "raises to the lowest only");
    assert_eq!(hold(minute, minute, 9), 8, "lowers to the highest only");
    assert_eq!(hold(minute, minute, 6), 6, "between them nothing moves");
    assert_eq!(hold(Duration::ZERO, minute, 2), 5, "without a window at once");
    assert_eq!(hold(minute, Duration::ZERO, 9), 5);
}
