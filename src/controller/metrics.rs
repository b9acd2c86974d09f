//! `vernescale_*`: what the controller wants, does and waits for.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// Most names of one kind (steps, vetoes, conditions) that are shown of one resource.
const NAMES_MAX: usize = 64;

/// All metrics of one controller process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leading: IntGauge,
    wanted: IntGaugeVec,
    replicas: IntGaugeVec,
    members: IntGaugeVec,
    step: GaugeVec,
    vetoes: GaugeVec,
    drain: IntGaugeVec,
    conditions: GaugeVec,
    changes: IntCounterVec,
    errors: IntCounterVec,
    reconciles: HistogramVec,
    shown: Mutex<BTreeSet<(Named, String, String)>>,
}

/// Gauges that are 1 under the names that stand now, and absent else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    /// `vernescale_step`.
    Step,
    /// `vernescale_veto`.
    Veto,
    /// `vernescale_condition`.
    Condition,
}

impl Default for Metrics {
    fn default() -> Self {
        let opts = |name: &str, help: &str| Opts::new(format!("vernescale_{name}"), help);
        let bad = "names and labels of our own metrics are valid";
        let ints =
            |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(opts(name, help), labels).expect(bad);
        let named = |name: &str, help: &str| GaugeVec::new(opts(name, help), &["name", name]).expect(bad);
        let count = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(opts(name, help), labels).expect(bad)
        };
        // From a quiet reconcile (milliseconds) to one that ran into every deadline.
        let buckets = vec![0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0];
        let reconciles =
            HistogramOpts::new("vernescale_reconcile_duration_seconds", "Time that one reconcile took.")
                .buckets(buckets);
        let metrics = Self {
            registry: Registry::new(),
            leading: IntGauge::with_opts(opts("leading", "1 where this process holds the lease."))
                .expect(bad),
            wanted: ints("wanted", "Size that is wanted.", &["name"]),
            replicas: ints("replicas", "spec.replicas of the StatefulSet.", &["name"]),
            members: ints("members", "Members of the broker's cluster, running or not.", &["name"]),
            step: named("step", "1 for the step of the change that is under way."),
            drain: ints(
                "drain_sessions_per_second",
                "Sessions that the drain of a leaving node has disconnected a second over the last ten.",
                &["name"],
            ),
            vetoes: named("veto", "1 for each reason that the size must not change now."),
            conditions: named("condition", "1 for each condition that stands."),
            changes: count("changes_total", "Changes of size that ended.", &["name", "kind", "outcome"]),
            errors: count(
                "errors_total",
                "Calls to the API server that failed, by kind; Panic: work that broke off by a fault of ours.",
                &["kind"],
            ),
            reconciles: HistogramVec::new(reconciles, &["name"]).expect(bad),
            shown: Mutex::default(),
        };
        let all: [Box<dyn prometheus::core::Collector>; 11] = [
            Box::new(metrics.leading.clone()),
            Box::new(metrics.wanted.clone()),
            Box::new(metrics.replicas.clone()),
            Box::new(metrics.members.clone()),
            Box::new(metrics.step.clone()),
            Box::new(metrics.vetoes.clone()),
            Box::new(metrics.drain.clone()),
            Box::new(metrics.conditions.clone()),
            Box::new(metrics.changes.clone()),
            Box::new(metrics.errors.clone()),
            Box::new(metrics.reconciles.clone()),
        ];
        for one in all {
            metrics.registry.register(one).expect("each is registered once");
        }
        metrics
    }
}

impl Metrics {
    /// The page of `/metrics`.
    pub fn page(&self) -> String {
        let mut page = Vec::new();
        // Our own families are all typed; nothing else can fail on a vector.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut page);
        String::from_utf8(page).unwrap_or_default()
    }

    pub(super) fn leading(&self, leads: bool) {
        self.leading.set(leads.into());
    }

    pub(super) fn error(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    pub(super) fn reconciled(&self, name: &str, took: Duration) {
        self.reconciles.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    pub(super) fn sizes(&self, name: &str, wanted: u32, replicas: u32, members: usize) {
        self.wanted.with_label_values(&[name]).set(wanted.into());
        self.replicas.with_label_values(&[name]).set(replicas.into());
        self.members.with_label_values(&[name]).set(i64::try_from(members).unwrap_or(i64::MAX));
    }

    /// The pace of a drain; none where none is under way, or it is not known yet.
    pub(super) fn drain(&self, name: &str, rate: Option<u32>) {
        match rate {
            Some(rate) => self.drain.with_label_values(&[name]).set(rate.into()),
            // Absent already is what is wanted.
            None => drop(self.drain.remove_label_values(&[name])),
        }
    }

    pub(super) fn changed(&self, name: &str, kind: &str, outcome: &str) {
        self.changes.with_label_values(&[name, kind, outcome]).inc();
    }

    /// Exactly these names stand now.
    pub(super) fn stand<'a>(&self, kind: Named, name: &str, now: impl IntoIterator<Item = &'a str>) {
        let gauge = match kind {
            Named::Step => &self.step,
            Named::Veto => &self.vetoes,
            Named::Condition => &self.conditions,
        };
        let now: BTreeSet<&str> = now.into_iter().take(NAMES_MAX).collect();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.retain(|(of, resource, value)| {
            let keep = *of != kind || resource != name || now.contains(value.as_str());
            if !keep {
                // Absent already is what is wanted.
                let _ = gauge.remove_label_values(&[name, value.as_str()]);
            }
            keep
        });
        for value in now {
            gauge.with_label_values(&[name, value]).set(1.0);
            shown.insert((kind, name.to_owned(), value.to_owned()));
        }
    }

    /// A reconcile that could not go on knows no size, no step and no veto.
    pub(super) fn unknown(&self, name: &str) {
        for kind in [Named::Step, Named::Veto] {
            self.stand(kind, name, []);
        }
        for gauge in [&self.wanted, &self.replicas, &self.members, &self.drain] {
            let _ = gauge.remove_label_values(&[name]);
        }
    }

    /// Nobody reconciles at a resource any more.
    pub(super) fn forget(&self, name: &str) {
        self.unknown(name);
        self.stand(Named::Condition, name, []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_longer_stands_is_gone_from_the_page() {
        let metrics = Metrics::default();
        metrics.stand(Named::Veto, "a", ["Settling", "Panic"]);
        metrics.stand(Named::Veto, "b", ["Panic"]);
        metrics.stand(Named::Veto, "a", ["Panic"]);
        let page = metrics.page();
        assert!(page.contains(r#"vernescale_veto{name="a",veto="Panic"} 1"#), "{page}");
        assert!(page.contains(r#"vernescale_veto{name="b",veto="Panic"} 1"#), "{page}");
        assert!(!page.contains("Settling"), "{page}");
        metrics.forget("a");
        assert!(!metrics.page().contains(r#"name="a""#));
    }
}
