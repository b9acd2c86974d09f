//! The whole decision, reconcile by reconcile.

use std::time::Duration;

use super::fixture::*;
use super::*;
use crate::metrics::Reading;

#[test]
fn raises_at_once() {
    let mut reconciles = Reconciles::from(policy(), 10);
    // 2 nodes × 90m are 3 nodes × 60m.
    assert_eq!(reconciles.reconcile(2, 0.09).wish, 3);
}

#[test]
fn lowers_only_after_ten_minutes_of_low_load() {
    let mut reconciles = Reconciles::from(policy(), 10);
    assert_eq!(reconciles.reconcile(5, 0.06).wish, 5);
    let decision = reconciles.reconcile_for(598, 5, 0.0);
    assert_eq!(decision.wish, 5);
    let text = decision.explain.to_string();
    assert!(text.contains("Stabilization makes 0 5") && text.contains("lowers in"), "{text}");
    assert_eq!(reconciles.reconcile_for(14, 5, 0.0).wish, 1);
}

#[test]
fn a_peak_in_between_starts_the_ten_minutes_again() {
    let mut reconciles = Reconciles::from(policy(), 10);
    reconciles.reconcile_for(580, 5, 0.0);
    reconciles.reconcile_for(2, 5, 0.06);
    assert_eq!(reconciles.reconcile_for(590, 5, 0.0).wish, 5);
    assert_eq!(reconciles.reconcile_for(30, 5, 0.0).wish, 1);
}

#[test]
fn history_survives_a_restart_through_the_status() {
    let mut reconciles = Reconciles::from(policy(), 10);
    reconciles.reconcile_for(400, 5, 0.0);
    let text = serde_json::to_string(&reconciles.history).unwrap();
    reconciles.history = serde_json::from_str(&text).unwrap();
    assert_eq!(reconciles.reconcile_for(220, 5, 0.0).wish, 1);
}

#[test]
fn a_restart_without_history_lowers_nothing_for_ten_minutes() {
    let mut reconciles = Reconciles::from(policy(), 10);
    assert_eq!(reconciles.reconcile_for(590, 5, 0.0).wish, 5);
}

#[test]
fn nobody_looked_for_an_hour_and_nothing_is_lowered_at_once() {
    let mut reconciles = Reconciles::from(policy(), 10);
    reconciles.reconcile(5, 0.06);
    reconciles.now = at(4_000);
    assert_eq!(reconciles.reconcile(5, 0.0).wish, 5);
    assert_eq!(reconciles.reconcile_for(620, 5, 0.0).wish, 1);
}

#[test]
fn t17_an_unreachable_source_is_not_an_idle_one() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let nodes = vec![silent(), silent(), silent()];
    let decision = reconciles.reconcile_with(nodes, &current(3));
    assert_eq!(decision.wish, 3);
    assert_eq!(names(&decision.shrink_vetoes), ["NumbersUnknown"]);
    assert_eq!(decision.explain.target().unwrap(), "<unknown>/60m");
    assert!(decision.grow_vetoes.is_empty());
}

#[test]
fn what_is_known_may_raise_though_some_is_missing() {
    let mut reconciles = Reconciles::from(policy(), 10);
    let decision = reconciles.reconcile_with(vec![node(0.3), silent()], &current(2));
    assert_eq!(decision.wish, 5);
}

#[test]
fn t20_an_inactive_source_never_takes_all_nodes_in_one_step() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let decision = reconciles.reconcile_for(60, 5, 0.0);
    assert_eq!((decision.wish, next_size(&decision, 5)), (1, 4));
}

#[test]
fn t11_the_base_is_the_spec_and_not_who_answers() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let mut seen = current(5);
    seen.members = (0..3).map(name).collect();
    let decision = reconciles.reconcile_with((0..3).map(|_| node(0.06)).collect(), &seen);
    assert_eq!(decision.wish, 5);
    assert_eq!(names(&decision.shrink_vetoes), ["NumbersUnknown"]);
}

#[test]
fn nodes_that_are_no_members_do_not_count() {
    let mut reconciles = Reconciles::from(policy(), 10);
    let nodes = vec![node(0.06), node(0.06), node(9.0)];
    assert_eq!(reconciles.reconcile_with(nodes, &current(2)).wish, 2);
}

#[test]
fn during_our_own_change_one_member_may_be_missing() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let mut seen = current(4);
    seen.members = (0..3).map(name).collect();
    seen.change = Some(Change::Growing);
    let decision = reconciles.reconcile_with((0..3).map(|_| node(0.0)).collect(), &seen);
    assert!(decision.shrink_vetoes.is_empty(), "{:?}", decision.shrink_vetoes);
    seen.members = (0..2).map(name).collect();
    let decision = reconciles.reconcile_with((0..2).map(|_| node(0.0)).collect(), &seen);
    assert_eq!(names(&decision.shrink_vetoes), ["NumbersUnknown"]);
}

#[test]
fn the_leaver_may_fall_silent() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let mut seen = current(3);
    seen.change = Some(Change::Shrinking { leaver: Some(name(2)), to: 2 });
    let decision = reconciles.reconcile_with(vec![node(0.0), node(0.0), silent()], &seen);
    assert!(decision.shrink_vetoes.is_empty(), "{:?}", decision.shrink_vetoes);
}

#[test]
fn a_shrink_under_way_is_kept_while_nothing_is_known() {
    let mut reconciles = Reconciles::from(policy(), 10);
    let mut seen = current(3);
    seen.change = Some(Change::Shrinking { leaver: Some(name(2)), to: 2 });
    let nothing = || vec![silent(), silent(), silent()];
    let decision = reconciles.reconcile_with(nothing(), &seen);
    assert_eq!((decision.wish, names(&decision.shrink_vetoes)), (2, vec!["NumbersUnknown"]));
    // Nor does the stabilization of ten minutes hold a size that nobody has wished.
    reconciles.now = at(300);
    assert_eq!(reconciles.reconcile_with(nothing(), &seen).wish, 2);
    assert_eq!(
        reconciles.reconcile_with(vec![node(0.3), silent(), silent()], &seen).wish,
        5,
        "what is known may raise"
    );
    // Another hand has raised it: that is the size of today.
    seen.replicas = 4;
    reconciles = Reconciles::from(policy(), 10);
    assert_eq!(reconciles.reconcile_with(nothing(), &seen).wish, 4);
}

#[test]
fn contradicting_sources_veto_after_three_windows_and_may_raise() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let nodes = || vec![disputed(0.01, 0.3), node(0.01)];
    let first = reconciles.reconcile_with(nodes(), &current(2));
    assert!(first.shrink_vetoes.is_empty() && first.wish == 1, "{first:?}");
    reconciles.now = at(10 + 180);
    let decision = reconciles.reconcile_with(nodes(), &current(2));
    assert_eq!(names(&decision.shrink_vetoes), ["SourcesContradict", "WouldOverload"]);
    assert_eq!(decision.wish, 6, "0.31 in total are six nodes");
    reconciles.now = at(200);
    assert!(reconciles.reconcile(2, 0.01).shrink_vetoes.is_empty());
}

#[test]
fn contradicting_sources_never_lower_and_only_after_three_windows() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let nodes = || vec![disputed(0.0, 0.05), node(0.0)];
    let wishes = [0, 100, 79, 1].map(|pause| {
        reconciles.now = reconciles.now + Duration::from_secs(pause);
        reconciles.reconcile_with(nodes(), &current(2)).wish
    });
    assert_eq!(wishes, [1, 1, 1, 2]);
}

#[test]
fn a_message_more_or_less_in_the_window_is_no_contradiction() {
    let mut reconciles = Reconciles::from(quick(), 10);
    for _ in 0..2 {
        reconciles.now = reconciles.now + Duration::from_mins(5);
        // One and two messages in a minute: half the value apart, and only the moments of sampling differ.
        let decision =
            reconciles.reconcile_with(vec![disputed(1.0 / 60.0, 2.0 / 60.0), node(0.0)], &current(2));
        assert!(decision.shrink_vetoes.is_empty(), "{:?}", decision.shrink_vetoes);
    }
}

#[test]
fn a_load_that_has_just_come_counts_against_a_shrink() {
    let mut reconciles = Reconciles::from(quick(), 10);
    let mut hot = node(0.0);
    let rates = [(Span::TenSeconds, 0.1), (Span::OneMinute, 0.0), (Span::FiveMinutes, 0.0)];
    let rates = rates.map(|(span, rate)| (span, Reading::Known(rate)));
    hot.metrics.insert(RATE.into(), crate::metrics::Metric::Counter(rates.into()));
    let decision = reconciles.reconcile_with(vec![hot, node(0.0)], &current(2));
    assert_eq!((decision.wish, names(&decision.shrink_vetoes)), (1, vec!["WouldOverload"]));
}

#[test]
fn the_largest_wish_of_several_metrics_wins() {
    let connections = Metric { name: CONNECTIONS.into(), target: 5.0, kind: TargetKind::Share };
    let metrics = vec![per_node(RATE, 0.06), connections];
    let mut reconciles = Reconciles::from(Policy { metrics, ..policy() }, 10);
    let decision = reconciles.reconcile(2, 0.09);
    assert_eq!(decision.wish, 4, "20 connections are four times five");
    assert_eq!(decision.explain.target().unwrap(), "90m/60m, 10/5 (avg)");
}

#[test]
fn the_wish_from_outside_is_taken_as_it_is_and_vetoed_like_ours() {
    let scale = Policy { outside_wish: Some(2), ..policy() };
    let mut reconciles = Reconciles::from(scale, 10);
    let decision = reconciles.reconcile(5, 0.06);
    assert_eq!(decision.wish, 2, "not stabilized");
    assert_eq!(names(&decision.shrink_vetoes), ["WouldOverload"]);
    reconciles.policy = Policy { outside_wish: Some(99), metrics: Vec::new(), ..policy() };
    let decision = reconciles.reconcile(5, 0.06);
    assert_eq!((decision.wish, next_size(&decision, 5)), (10, 6));
}

#[test]
fn outside_min_and_max_the_wish_is_the_nearest_inside() {
    let mut reconciles = Reconciles::from(Policy { min: 3, max: 4, ..policy() }, 10);
    assert_eq!(reconciles.reconcile(1, 0.0).wish, 3);
    let decision = reconciles.reconcile(8, 0.06);
    assert_eq!(decision.wish, 4);
    assert!(decision.explain.to_string().contains("raise maxReplicas above 4"));
}

#[test]
fn modes_forbid_what_their_names_say() {
    let vetoes = |mode: Mode| {
        let mut reconciles = Reconciles::from(Policy { mode, ..policy() }, 10);
        let decision = reconciles.reconcile(2, 0.0);
        (names(&decision.shrink_vetoes), names(&decision.grow_vetoes))
    };
    assert_eq!(vetoes(Mode::Shadow), (vec!["Shadow"], vec!["Shadow"]));
    assert_eq!(vetoes(Mode::Paused), (vec!["Paused"], vec!["Paused"]));
    assert_eq!(vetoes(Mode::GrowOnly), (vec!["GrowOnly"], vec![]));
    assert_eq!(vetoes(Mode::Active), (vec![], vec![]));
}

#[test]
fn a_wish_far_above_max_does_not_hold_the_size_once_max_is_raised() {
    let mut reconciles = Reconciles::from(Policy { max: 4, ..policy() }, 10);
    reconciles.reconcile(4, 9.0);
    reconciles.policy = policy();
    reconciles.now = reconciles.now + Duration::from_secs(2);
    assert!(reconciles.history.highest.iter().all(|wish| wish.size <= 4), "{:?}", reconciles.history.highest);
}

#[test]
fn explain_names_the_metric_the_clamps_and_the_next_change() {
    let mut reconciles = Reconciles::from(policy(), 10);
    let text = reconciles.reconcile(5, 0.06).explain.to_string();
    assert_eq!(
        text,
        "mqtt_publish_received 60m/60m (ratio 1.00) asks for 5; wish 5 of 5 now; \
         mqtt_publish_received above 330m in total raises it, 240m or less lowers it"
    );
}

#[test]
fn the_numbers_after_a_leave_are_shown_where_one_is_wanted() {
    let numbers = |decision: &Decision| {
        let text = decision.explain.to_string();
        text.split_once("after a leave, ").map(|(_, numbers)| numbers.to_owned())
    };
    let mut reconciles = Reconciles::from(quick(), 10);
    assert_eq!(numbers(&reconciles.reconcile(3, 0.06)), None);
    // 3 × 10m on two nodes, and a fifth.
    let decision = reconciles.reconcile(3, 0.01);
    assert_eq!(
        (decision.wish, numbers(&decision)),
        (1, Some("with 20 % more: mqtt_publish_received 18m of 60m per node".into()))
    );
    // From outside it is wished though a node is silent: nobody knows what the others would carry.
    let outside = Policy { outside_wish: Some(2), ..policy() };
    let mut reconciles = Reconciles::from(outside, 10);
    assert!(numbers(&reconciles.reconcile(3, 0.01)).is_some());
    let decision = reconciles.reconcile_with(vec![node(0.01), node(0.01), silent()], &current(3));
    assert_eq!((decision.wish, numbers(&decision)), (2, None));
}
