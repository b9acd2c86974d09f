//! The real exporter on the simulated brokers, and what its `/metrics` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use lifecycle::Time;
use tokio::task::JoinSet;

use super::cluster::Cluster;
use crate::exporter::{Exporter, Settings};
use crate::mqtt::options::Options;
use crate::vernemq::http::{self, Endpoint};
use autoscaler::metrics::exposition::parse;

/// Time between two reads for the screen.
const EVERY: Duration = Duration::from_secs(1);
/// Deadline of a read.
const CALL: Duration = Duration::from_secs(2);

pub(super) struct Exposition {
    pub(super) address: SocketAddr,
    read: Option<Time>,
    rates: BTreeMap<String, f64>,
    _task: JoinSet<()>,
}

impl Exposition {
    /// Starts the exporter on the first broker; on a free port where `listen` is taken.
    pub(super) async fn start(cluster: &Cluster, listen: SocketAddr) -> anyhow::Result<Self> {
        let pod = format!("{}-0", super::cluster::NAME);
        let broker = cluster.mqtt_of(&pod).context("the first pod has no address")?;
        let source = Options::new(
            format!("mqtt://{broker}").parse().context("a socket address makes a URL")?,
            "vernescale-exporter".to_owned(),
            vec!["$SYS/#".to_owned()],
            None,
        )?;
        let settings = Settings { source, listen, timestamps: true };
        let free = Settings { listen: SocketAddr::new(listen.ip(), 0), ..settings.clone() };
        let exporter = match Exporter::bind(settings, cluster.clock).await {
            Ok(exporter) => exporter,
            Err(_) => Exporter::bind(free, cluster.clock).await?,
        };
        let address = exporter.address();
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = exporter.run(std::future::pending()).await {
                tracing::error!(%error, "the exporter has ended");
            }
        });
        Ok(Self { address, read: None, rates: BTreeMap::new(), _task: task })
    }

    /// Reads `/metrics` as Prometheus would, once a second.
    pub(super) async fn look(&mut self, cluster: &Cluster) {
        let now = cluster.clock.now();
        if self.read.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.read = Some(now);
        let endpoint =
            Endpoint { host: Some(self.address.ip()), port: self.address.port(), tls: None, key: None };
        let answer = http::get(&endpoint, "/metrics", CALL).await;
        let text = answer.ok().map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        let Some(series) = text.and_then(|text| parse(&text).ok()) else {
            self.rates.clear();
            return;
        };
        let shortest = series.iter().filter(|series| series.name == "mqtt_publish_received_rate");
        self.rates = shortest
            .filter(|series| series.labels.get("window").is_some_and(|window| window == "10s"))
            .filter_map(|series| Some((pod_of(series.labels.get("node")?), series.value)))
            .collect();
    }

    /// Messages a second that a pod's broker received, over ten seconds.
    pub(super) fn rate(&self, pod: &str) -> Option<f64> {
        self.rates.get(pod).copied()
    }
}

/// `VerneMQ@vmq-0.vmq-headless…` → `vmq-0`.
pub(super) fn pod_of(node: &str) -> String {
    let host = node.split_once('@').map_or(node, |(_, host)| host);
    host.split('.').next().unwrap_or(host).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_the_first_part_of_the_host() {
        assert_eq!(pod_of("VerneMQ@vmq-0.vmq-headless.mqtt.svc.cluster.local"), "vmq-0");
        assert_eq!(pod_of("odd"), "odd");
    }
}
