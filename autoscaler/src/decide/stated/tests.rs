use super::*;
use crate::decide::fixture::{CONNECTIONS, Reconciles, counter, current, names, node, policy, stale};
use crate::metrics::{Metric as Seen, NodeView, Reading};

/// Ten nodes at most, which follow the scale and nothing else.
fn wished(size: u32) -> crate::decide::Policy {
    Policy { outside_wish: Some(size), metrics: Vec::new(), churn: Vec::new(), ..policy() }
}

fn vetoes(reconciles: &mut Reconciles, size: u32, rate: f64) -> Vec<&'static str> {
    names(&reconciles.reconcile_for(10, size, rate).shrink_vetoes)
}

/// The recorded lag: HPA wishes 1 at 10 each, then five pods are exactly at their target of 60, or 66, and the
/// wish stands.
#[test]
fn the_recorded_lag_does_not_shrink_a_cluster_at_its_target() {
    let mut reconciles = Reconciles::from(wished(5), 1_000);
    assert_eq!(vetoes(&mut reconciles, 5, 60.0), Vec::<&str>::new());
    reconciles.policy = wished(1);
    assert_eq!(vetoes(&mut reconciles, 5, 10.0), Vec::<&str>::new(), "at 10 each one node is enough");
    for rate in [60.0, 66.0, 54.1] {
        assert_eq!(vetoes(&mut reconciles, 5, rate), ["WishOutdated"], "{rate} each");
    }
    let decision = reconciles.reconcile(5, 60.0);
    assert_eq!(decision.wish, 1, "the wish is whose it is");
    let text = &decision.shrink_vetoes.first().unwrap().message;
    assert!(
        text.contains("mqtt_publish_received 75 of 65809m per node") && text.contains("spec.metrics"),
        "{text}"
    );
    assert_eq!(vetoes(&mut reconciles, 5, 10.0), Vec::<&str>::new(), "it has fallen again");
    // All the way down, at the load that the wish was made for.
    for (size, rate) in [(4, 12.5), (3, 50.0 / 3.0), (2, 25.0)] {
        assert_eq!(vetoes(&mut reconciles, size, rate), Vec::<&str>::new(), "{size} nodes");
    }
}

/// A scale-down policy runs ahead by the clock: 4, 3, 2 are wished while all five pods are still there.
#[test]
fn a_policy_that_runs_ahead_does_not_either() {
    let mut reconciles = Reconciles::from(wished(5), 1_000);
    for size in [4, 3, 2] {
        reconciles.policy = wished(size);
        assert_eq!(vetoes(&mut reconciles, 5, 10.0), Vec::<&str>::new());
    }
    assert_eq!(vetoes(&mut reconciles, 5, 60.0), ["WishOutdated"]);
}

/// As `kubectl scale` is used: the load is what it is, and fewer nodes are to carry it.
#[test]
fn a_load_that_stays_holds_nobody_who_wishes_less() {
    let mut reconciles = Reconciles::from(wished(3), 1_000);
    vetoes(&mut reconciles, 3, 100.0);
    reconciles.policy = wished(1);
    assert_eq!(vetoes(&mut reconciles, 3, 100.0), Vec::<&str>::new());
    assert_eq!(vetoes(&mut reconciles, 3, 115.0), Vec::<&str>::new(), "within the margin");
    assert_eq!(vetoes(&mut reconciles, 2, 200.0), ["WishOutdated"], "400 on one of which 300 was wished");
}

/// A controller that was away does not know for which load a wish was made: what each node carries counts.
#[test]
fn a_wish_that_was_made_unseen_is_taken_for_one_of_today() {
    let mut reconciles = Reconciles::from(wished(5), 1_000);
    vetoes(&mut reconciles, 5, 10.0);
    reconciles.now = reconciles.now + Duration::from_mins(10);
    reconciles.policy = wished(1);
    assert_eq!(vetoes(&mut reconciles, 5, 600.0), ["WishOutdated"]);
    assert_eq!(
        vetoes(&mut reconciles, 5, 550.0),
        Vec::<&str>::new(),
        "687.5 each, of 600 that they have carried"
    );
    reconciles.policy = wished(2);
    assert_eq!(vetoes(&mut reconciles, 5, 600.0), Vec::<&str>::new(), "made anew, and seen");
}

/// Its history is in our status: the wish of before a restart keeps its load.
#[test]
fn a_wish_that_stands_keeps_its_load_over_a_restart() {
    let mut reconciles = Reconciles::from(wished(5), 1_000);
    vetoes(&mut reconciles, 5, 10.0);
    reconciles.policy = wished(1);
    vetoes(&mut reconciles, 5, 10.0);
    let text = serde_json::to_string(&reconciles.history).unwrap();
    reconciles.history = serde_json::from_str(&text).unwrap();
    reconciles.now = reconciles.now + Duration::from_mins(10);
    assert_eq!(vetoes(&mut reconciles, 5, 60.0), ["WishOutdated"]);
}

#[test]
fn a_rate_that_is_not_known_holds_it_and_is_waited_for() {
    let mut reconciles = Reconciles::from(wished(1), 1_000);
    let silent = || NodeView {
        metrics: [(PUBLISHES.into(), stale()), (CONNECTIONS.into(), connected(10.0))].into(),
        ..node(0.0)
    };
    let decision = reconciles.reconcile_with(vec![silent(), silent()], &current(2));
    let veto = decision.shrink_vetoes.first().unwrap();
    assert!(veto.unknown && veto.name == "NumbersUnknown" && veto.message.contains(PUBLISHES), "{veto:?}");
    assert_eq!(
        vetoes(&mut reconciles, 2, 30.0),
        Vec::<&str>::new(),
        "made a moment ago, for the first load that was seen"
    );
}

fn connected(clients: f64) -> Seen {
    Seen::Gauge(Reading::Known(clients))
}

#[test]
fn connections_count_as_well() {
    let mut reconciles = Reconciles::from(wished(1), 1_000);
    let with = |clients: f64| {
        let metrics = [(PUBLISHES.into(), counter(0.0)), (CONNECTIONS.into(), connected(clients))];
        NodeView { metrics: metrics.into(), ..node(0.0) }
    };
    let mut reconcile = |clients: f64| {
        names(&reconciles.reconcile_with(vec![with(clients), with(clients)], &current(2)).shrink_vetoes)
    };
    assert_eq!(reconcile(1_000.0), Vec::<&str>::new());
    assert_eq!(reconcile(1_300.0), ["WishOutdated"]);
}

/// Nobody is kept from a smaller cluster by the first client of the day.
#[test]
fn an_idle_cluster_that_stirs_may_still_become_smaller() {
    let mut reconciles = Reconciles::from(wished(1), 1_000);
    assert_eq!(vetoes(&mut reconciles, 3, 0.0), Vec::<&str>::new());
    assert_eq!(vetoes(&mut reconciles, 3, 0.6), Vec::<&str>::new());
}

/// Twenty messages in ten seconds are twenty-six in the next ten, and nothing has risen.
#[test]
fn a_count_of_few_messages_that_varies_holds_nothing() {
    let mut reconciles = Reconciles::from(wished(2), 1_000);
    assert_eq!(vetoes(&mut reconciles, 3, 2.0 / 3.0), Vec::<&str>::new());
    assert_eq!(vetoes(&mut reconciles, 3, 2.6 / 3.0), Vec::<&str>::new());
    assert_eq!(vetoes(&mut reconciles, 3, 6.0 / 3.0), ["WishOutdated"], "three times as many are more");
}

/// The metrics of the resource say it better, and nothing is missing then.
#[test]
fn where_there_are_metrics_they_count_instead() {
    let mut reconciles = Reconciles::from(wished(1), 1_000);
    let told = reconciles.reconcile(3, 0.01);
    assert_eq!(told.conditions.iter().map(|one| one.reason).collect::<Vec<_>>(), ["MetricsMissing"]);
    reconciles.policy = Policy { outside_wish: Some(1), churn: Vec::new(), ..policy() };
    let decision = reconciles.reconcile_for(10, 3, 0.2);
    assert_eq!(names(&decision.shrink_vetoes), ["WouldOverload"]);
    assert_eq!(decision.conditions, []);
    assert_eq!(reconciles.history.stated, None, "of no use, and not kept");
}
