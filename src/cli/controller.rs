//! `vernescale controller`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;

use super::signals::stop_signal;
use crate::controller::{Controller, Settings};
use crate::http_server;
use crate::http_server::listen_address;
use crate::kubernetes::call::{Failure, api};
use crate::kubernetes::resource::resources;
use net::Clock;

const EXAMPLES: &str = "\
Examples:
  vernescale controller                                     inside the cluster
  vernescale controller --kubeconfig ~/.kube/config --context lab --namespace mqtt

It serves every VerneMQAutoscaler of its namespace. Several processes may run: one holds the lease and acts,
the others wait. At SIGTERM it gives the lease back. Endpoints: /metrics (vernescale_*), /healthz, /readyz.

It ends at once where it cannot work at all: no kubeconfig, no API server there, no rights, no VerneMQAutoscaler
defined. Whatever fails later is waited out.";

/// Options of the controller.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Namespace to serve [default: the pod's own, or that of the kubeconfig's context].
    #[arg(long, value_name = "NAME", env = "VERNESCALE_NAMESPACE")]
    namespace: Option<String>,
    /// Kubeconfig file; without it the pod's service account, then $KUBECONFIG and ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// Where to serve /metrics and the probes.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address)]
    #[arg(env = "VERNESCALE_LISTEN", default_value = "0.0.0.0:8889")]
    listen: SocketAddr,
    /// Name in the election [default: host name and eight random characters]. Two processes must never share one.
    #[arg(long, value_name = "NAME", env = "VERNESCALE_IDENTITY")]
    identity: Option<String>,
    /// Name of the Lease.
    #[arg(long, value_name = "NAME", env = "VERNESCALE_LEASE", default_value = "vernescale")]
    lease: String,
}

impl Arguments {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut config = self.config().await?;
        // A retried write is one that nobody has thought about again; who retries here looks first.
        config.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.clone();
        let client = kube::Client::try_from(config).context("the Kubernetes client cannot be set up")?;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}: choose another --listen", self.listen))?;
        check(&client, &namespace)
            .await
            .with_context(|| format!("cannot serve namespace {namespace} of {url}"))?;
        let identity = self.identity.clone().unwrap_or_else(identity);
        tracing::info!(namespace, identity, listen = %self.listen, "the controller starts");

        let settings = Settings { lease: self.lease.clone(), ..Settings::new(namespace, identity) };
        let controller = Controller::new(client, Clock::system(), settings);
        let metrics = controller.metrics();
        let page =
            http_server::serve(listener, http_server::router(move || metrics.page()), std::future::pending());
        // What is under way ends with the process: a leave that has not begun is revoked by that, one
        // that has is resumed by whoever leads next.
        tokio::select! {
            () = controller.run_until(stop_signal()) => Ok(()),
            served = page => served.context("the metrics page has stopped"),
        }
    }

    async fn config(&self) -> anyhow::Result<kube::Config> {
        let Some(file) = &self.kubeconfig else {
            return kube::Config::infer().await.map_err(|error| {
                unusable(
                    "neither a service account nor a kubeconfig can be used",
                    &error,
                    "give --kubeconfig FILE",
                )
            });
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let what = format!("kubeconfig {} cannot be used", file.display());
        let remedy = "correct --kubeconfig or --context";
        let read = Kubeconfig::read_from(file).map_err(|error| unusable(&what, &error, remedy))?;
        let config = kube::Config::from_custom_kubeconfig(read, &options).await;
        config.map_err(|error| unusable(&what, &error, remedy))
    }
}

/// One line: the errors of the configuration hold the text of their causes, some of it in several lines.
fn unusable(what: &str, error: &dyn std::error::Error, remedy: &str) -> anyhow::Error {
    let why: Vec<_> = error.to_string().split_whitespace().map(str::to_owned).collect();
    anyhow::anyhow!("{what}: {}; {remedy}", why.join(" "))
}

/// One read, so that what only a person can correct is said at once and to whoever starts us. What is in our
/// resources is not looked at: one that cannot be read is told of on itself.
async fn check(client: &kube::Client, namespace: &str) -> anyhow::Result<()> {
    let one = ListParams::default().limit(1);
    let list = resources(client, namespace);
    let Err(failure) = api("list vernemqautoscalers", list.list(&one)).await else { return Ok(()) };
    let remedy = match &failure {
        Failure::NotFound { .. } => "define the kind: vernescale crd | kubectl apply -f -",
        Failure::Forbidden { .. } => {
            "or serve the namespace that the chart was installed into: --namespace NAME"
        }
        Failure::Unknown { .. } => "see whether the API server runs there, and correct the kubeconfig if not",
        _ => "nothing was changed",
    };
    Err(anyhow::anyhow!("{failure}; {remedy}"))
}

/// A name that no other process has, and that says where it runs.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "vernescale".into());
    format!("{host}-{:08x}", rand::random::<u32>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lifecycle::Time;
    use serde_json::json;

    use super::*;
    use simulator::fleet::Fleet;
    use simulator::kubernetes::{Kubernetes, Settings as Cluster};
    use simulator::model::Settings as Broker;
    use simulator::pods::Pods;

    #[tokio::test(start_paused = true)]
    async fn one_resource_that_cannot_be_read_keeps_it_from_nothing() {
        let clock = Clock::starting_at(Time(1_800_000_000_000));
        let pods = Arc::new(Pods::in_domain(Fleet::start(clock, Broker::default()), "cluster.local"));
        let block = Cluster::on(u8::try_from(std::process::id() % 64).unwrap(), 250);
        let kubernetes = Kubernetes::start(clock, pods, block).await.unwrap();
        let object = json!({
            "apiVersion": "vernescale.dev/v1alpha1", "kind": "VerneMQAutoscaler",
            "metadata": { "name": "vmq", "namespace": "mqtt" }, "spec": { "maxReplicas": "many" },
        });
        kubernetes.apply(&object).unwrap();
        check(&kubernetes.client(), "mqtt").await.unwrap();
    }
}
