//! What must hold for every input.

use std::time::Duration;

use proptest::prelude::*;

use super::fixture::*;
use super::*;
use crate::metrics::NodeView;

#[derive(Clone, Debug)]
enum Heard {
    Rate(f64),
    Silent,
    Disputed(f64, f64),
}

fn rates() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..0.2, 0.0..100.0, Just(f64::MAX)]
}

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        4 => rates().prop_map(Heard::Rate),
        1 => Just(Heard::Silent),
        1 => (rates(), rates()).prop_map(|(a, b)| Heard::Disputed(a, b)),
    ]
}

fn node_of(heard: &Heard) -> NodeView {
    match heard {
        Heard::Rate(rate) => node(*rate),
        Heard::Silent => silent(),
        Heard::Disputed(one, other) => disputed(*one, *other),
    }
}

#[derive(Clone, Debug)]
struct Reconcile {
    pause: u64,
    size: u32,
    members: usize,
    nodes: Vec<Heard>,
}

fn reconciles() -> impl Strategy<Value = Vec<Reconcile>> {
    let size = 1_u32..15;
    let nodes = prop::collection::vec(heard(), 0..15);
    let reconcile = (prop_oneof![Just(2_u64), 0..1_000_u64], size, 0_usize..15, nodes)
        .prop_map(|(pause, size, members, nodes)| Reconcile { pause, size, members, nodes });
    prop::collection::vec(reconcile, 1..12)
}

/// Raises slowly and never lowers.
fn careful() -> Policy {
    let limit = |kind, value| Limit { kind, value, period: Duration::from_mins(1) };
    let limits = vec![limit(ScalingPolicyType::Pods, 2), limit(ScalingPolicyType::Percent, 50)];
    let mut policy = policy();
    policy.up =
        Rules { stabilization: Duration::from_mins(1), select: SelectPolicy::Min, limits, ..policy.up };
    policy.down.select = SelectPolicy::Disabled;
    policy
}

fn policies() -> impl Strategy<Value = Policy> {
    let behavior = prop_oneof![Just(policy()), Just(quick()), Just(careful())];
    let outside = prop_oneof![3 => Just(None), 1 => (1_u32..20).prop_map(Some)];
    (1_u32..6, 0_u32..9, behavior, outside).prop_map(|(min, more, policy, outside_wish)| Policy {
        min,
        max: min + more,
        outside_wish,
        ..policy
    })
}

/// Every decision of a run, with the reconcile that it was made in.
fn run(policy: &Policy, reconciles: &[Reconcile]) -> Vec<(Reconcile, Current, Decision, History)> {
    let mut run = Reconciles::from(policy.clone(), 1_000);
    let mut all = Vec::new();
    for one in reconciles {
        run.now = run.now + Duration::from_secs(one.pause);
        let seen = Current { members: (0..one.members).map(name).collect(), ..current(one.size) };
        let decision = run.reconcile_with(one.nodes.iter().map(node_of).collect(), &seen);
        all.push((one.clone(), seen, decision, run.history.clone()));
    }
    all
}

proptest! {
    #[test]
    fn i6_unknown_never_lowers(policy in policies(), reconciles in reconciles()) {
        for (one, seen, decision, _) in run(&policy, &reconciles) {
            let members = one.members;
            let silent = (0..members).any(|n| matches!(one.nodes.get(n), None | Some(Heard::Silent)));
            if silent || members < one.size as usize {
                prop_assert!(next_size(&decision, seen.replicas) >= seen.replicas);
                prop_assert!(!decision.shrink_vetoes.is_empty());
                if policy.outside_wish.is_none() {
                    prop_assert!(decision.wish >= seen.replicas.min(policy.max));
                }
            }
        }
    }

    #[test]
    fn i7_every_step_is_inside_or_towards_min_and_max(policy in policies(), reconciles in reconciles()) {
        for (_, seen, decision, _) in run(&policy, &reconciles) {
            prop_assert!((policy.min..=policy.max).contains(&decision.wish));
            let (now, next) = (seen.replicas, next_size(&decision, seen.replicas));
            prop_assert!(now.abs_diff(next) <= 1, "never more than one step");
            let away = |size: u32| policy.min.saturating_sub(size).max(size.saturating_sub(policy.max));
            prop_assert!(away(next) == 0 || away(next) < away(now) || next == now);
        }
    }

    #[test]
    fn i8_the_same_inputs_decide_the_same_also_after_a_restart(policy in policies(), reconciles in reconciles()) {
        let once = run(&policy, &reconciles);
        let decisions = |run: &[(Reconcile, Current, Decision, History)]| {
            run.iter().map(|one| one.2.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(decisions(&once), decisions(&run(&policy, &reconciles)));
        for (.., history) in once {
            let text = serde_json::to_string(&history).unwrap();
            prop_assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
        }
    }

    #[test]
    fn more_load_never_asks_for_less(
        size in 1_u32..15,
        rates in prop::collection::vec(0.0..0.5_f64, 15),
        more in prop::collection::vec(0.0..0.5_f64, 15),
    ) {
        let policy = quick();
        let wish = |rates: Vec<f64>| {
            let mut reconciles = Reconciles::from(policy.clone(), 10);
            reconciles.reconcile_with(rates.into_iter().map(node).collect(), &current(size)).wish
        };
        let higher = rates.iter().zip(&more).map(|(rate, more)| rate + more).collect();
        prop_assert!(wish(higher) >= wish(rates));
    }

    #[test]
    fn the_history_stays_small(reconciles in reconciles()) {
        let policy = policy();
        for (.., history) in run(&policy, &reconciles) {
            prop_assert!(history.highest.len() <= 16 && history.lowest.len() <= 16);
            prop_assert!(serde_json::to_string(&history).unwrap().len() < 8_000);
        }
    }
}
