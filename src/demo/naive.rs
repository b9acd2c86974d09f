//! Today's practice on the same simulators: HPA's algorithm, straight on the StatefulSet.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use lifecycle::Time;
use serde_json::json;

use super::cluster::Cluster;
use super::cluster::{NAME, NAMESPACE};
use super::profile::Profile;
use autoscaler::decide::hpa::{Hpa, Settings};

/// kube-controller-manager's 15 s and five minutes, shortened as our own windows are.
const SYNC: Duration = Duration::from_secs(3);
const DOWN_STABILIZATION: Duration = Duration::from_secs(6);
/// Every call has a deadline.
const CALL: Duration = Duration::from_secs(5);

/// Scales by the counters of the nodes until it is aborted.
pub(super) struct Naive {
    hpa: Hpa,
    settings: Settings,
    sets: Api<StatefulSet>,
    /// Counter of each node as it was last read.
    last: BTreeMap<String, (i64, Time)>,
}

impl Naive {
    pub(super) fn new(cluster: &Cluster, profile: &Profile) -> Self {
        let mut settings =
            Settings::new(profile.min_replicas, profile.max_replicas, f64::from(profile.target_per_node));
        settings.sync = SYNC;
        settings.down_stabilization = DOWN_STABILIZATION;
        Self {
            hpa: Hpa::default(),
            settings,
            sets: Api::namespaced(cluster.kubernetes.client(), NAMESPACE),
            last: BTreeMap::new(),
        }
    }

    /// One sync, if it is time for one; what it has asked for.
    pub(super) async fn look(&mut self, cluster: &Cluster) -> Option<u32> {
        let now = cluster.clock.now();
        if self.last.values().any(|(_, at)| now.since(*at) < SYNC) {
            return None;
        }
        let values = self.values(cluster, now);
        let size = cluster.size();
        let wanted = self.hpa.sync(&self.settings, size, &values, now)?;
        if wanted != size {
            let patch = Patch::Merge(json!({ "spec": { "replicas": wanted } }));
            let params = PatchParams::default();
            let patched = tokio::time::timeout(CALL, self.sets.patch_scale(NAME, &params, &patch)).await;
            if !matches!(patched, Ok(Ok(_))) {
                tracing::warn!(?patched, "the scale could not be written; the next sync tries again");
            }
        }
        Some(wanted)
    }

    /// Messages a second of every pod since the last look, as the metrics adapter would say.
    fn values(&mut self, cluster: &Cluster, now: Time) -> Vec<f64> {
        let mut values = Vec::new();
        let mut seen = BTreeMap::new();
        for pod in cluster.views().into_keys() {
            let Some(node) = cluster.pods.node_of(&pod) else { continue };
            let metrics = cluster.fleet.with_model(|model, _| model.sys_metrics(&node));
            let count = metrics
                .iter()
                .find(|(name, _)| name == "mqtt_publish_received")
                .map_or(0, |(_, value)| *value);
            if let Some((before, at)) = self.last.get(&pod) {
                let seconds = now.since(*at).as_secs_f64();
                values.push((count - before).max(0) as f64 / seconds);
            }
            seen.insert(pod, (count, now));
        }
        self.last = seen;
        values
    }
}
