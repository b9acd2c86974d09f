use crate::decide::fixture::{Reconciles, current, node, policy};
use std::time::Duration;

#[test]
fn a_hot_node_is_a_condition_after_three_windows_and_no_wish() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    let hot = || vec![node(0.1), node(0.02), node(0.02)];
    let mut conditions = Vec::new();
    for seconds in [0, 60, 119, 1] {
        reconciles.now = reconciles.now + Duration::from_secs(seconds);
        let decision = reconciles.reconcile_with(hot(), &current(3));
        assert_eq!(decision.wish, 3);
        conditions.push(decision.conditions.len());
    }
    assert_eq!(conditions, [0, 0, 0, 1]);
    let condition = reconciles.reconcile_with(hot(), &current(3)).conditions.remove(0);
    assert_eq!(condition.reason, "Skewed");
    assert!(condition.message.contains("VerneMQ@vmq-00 has mqtt_publish_received of 100m"), "{condition:?}");

    reconciles.reconcile_with(vec![node(0.02); 3], &current(3));
    assert!(reconciles.history.skewed_since.is_empty());
    assert!(reconciles.reconcile_with(hot(), &current(3)).conditions.is_empty(), "the count starts again");
}

#[test]
fn a_fleet_that_needs_more_nodes_is_not_called_skewed() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    for _ in 0..3 {
        reconciles.now = reconciles.now + Duration::from_mins(2);
        assert!(
            reconciles
                .reconcile_with(vec![node(0.4), node(0.06), node(0.06)], &current(3))
                .conditions
                .is_empty()
        );
    }
}

#[test]
fn a_node_a_little_above_the_target_is_not_skewed() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    for _ in 0..3 {
        reconciles.now = reconciles.now + Duration::from_mins(2);
        assert!(
            reconciles
                .reconcile_with(vec![node(0.07), node(0.05), node(0.05)], &current(3))
                .conditions
                .is_empty()
        );
    }
}
