use std::time::Duration;

use super::*;
use crate::decide::Budget;
use crate::decide::fixture::{Reconciles, at, current, names, next_size, node, per_node, policy};

#[test]
fn one_leave_in_half_an_hour_and_four_a_day() {
    let policy = policy();
    let mut history = History::default();
    assert_eq!(churn_budget_spent(&policy, &history, at(0)), None);
    history.note_leave(at(0));
    let veto = churn_budget_spent(&policy, &history, at(600)).unwrap();
    assert_eq!(
        (veto.name, veto.message.as_str()),
        (
            "ChurnBudgetSpent",
            "1 of 1 leaves in 30 min are spent: the next is possible in 1200 s, or sooner where spec.churn allows it"
        )
    );
    assert_eq!(churn_budget_spent(&policy, &history, at(1_800)), None);
    for hour in 1..4 {
        history.note_leave(at(hour * 3_600));
    }
    let veto = churn_budget_spent(&policy, &history, at(5 * 3_600)).unwrap();
    assert_eq!(
        veto.message,
        "4 of 4 leaves in 1440 min are spent: the next is possible in 68400 s, or sooner where spec.churn allows it"
    );
    assert_eq!(churn_budget_spent(&policy, &history, at(24 * 3_600)), None);
}

#[test]
fn an_overdrawn_budget_waits_for_all_that_is_too_much() {
    let policy = Policy { churn: vec![Budget { leaves: 2, per: Duration::from_hours(1) }], ..policy() };
    let mut history = History::default();
    for second in [0, 100, 200] {
        history.note_leave(at(second));
    }
    let veto = churn_budget_spent(&policy, &history, at(300)).unwrap();
    // The leaves of second 0 and 100 must both grow old: then one of two is spent.
    assert!(veto.message.contains("possible in 3400 s, or"), "{}", veto.message);
    assert!(churn_budget_spent(&policy, &history, at(3_699)).is_some());
    assert_eq!(churn_budget_spent(&policy, &history, at(3_700)), None);
}

#[test]
fn a_spent_budget_never_blocks_a_raise() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    reconciles.history.note_leave(at(999));
    let decision = reconciles.reconcile(2, 0.12);
    assert_eq!(names(&decision.shrink_vetoes), ["ChurnBudgetSpent", "WouldOverload"]);
    assert_eq!((decision.wish, next_size(&decision, 2)), (4, 3));
    let overload = &decision.shrink_vetoes.last().unwrap().message;
    assert!(overload.contains("raise that target") && overload.contains("minReplicas"), "{overload}");
}

#[test]
fn nothing_goes_within_the_settle_time_of_a_join() {
    let policy = policy();
    let joined = Current { last_join: Some(at(100)), ..current(3) };
    assert_eq!(settling(&policy, &joined, at(129)).unwrap().name, "Settling");
    assert_eq!(settling(&policy, &joined, at(130)), None);
    assert_eq!(settling(&policy, &current(3), at(129)), None);
}

#[test]
fn listeners_that_were_not_read_veto() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    let unread = Current { conns_max: ConnsMax::Unknown, ..current(2) };
    let decision = reconciles.reconcile_with(vec![node(0.0), node(0.0)], &unread);
    assert_eq!(names(&decision.shrink_vetoes), ["NumbersUnknown"]);
}

#[test]
fn a_metric_that_no_broker_has_is_named() {
    let mut reconciles =
        Reconciles::from(Policy { metrics: vec![per_node("publish_typo", 1.0)], ..policy() }, 1_000);
    let decision = reconciles.reconcile(2, 1.0);
    let veto = decision.shrink_vetoes.first().unwrap();
    assert!(veto.message.contains("VerneMQ@vmq-00: has no metric publish_typo"), "{}", veto.message);
}

#[test]
fn a_message_names_a_few_and_counts_the_rest() {
    let mut reconciles = Reconciles::from(policy(), 1_000);
    let decision = reconciles.reconcile_with(Vec::new(), &current(9));
    let message = &decision.shrink_vetoes.first().unwrap().message;
    assert!(message.contains(" and 15 more. See") && message.len() < 400, "{message}");
    assert!(message.contains("spec.management.metricsPort"), "{message}");
}

#[test]
fn panic_says_how_long() {
    let held = Panic { until: at(0) + Duration::from_secs(90), size: 3 };
    assert!(panic(Some(&held), at(30)).unwrap().message.contains("60 s"));
    assert_eq!(panic(None, at(30)), None);
}
