//! `vernescale controller`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::net::TcpListener;

use super::{listen_address, stop_signal};
use crate::clock::Clock;
use crate::controller::{Controller, Settings};
use crate::serve;

const EXAMPLES: &str = "\
Examples:
  vernescale controller                                     inside the cluster
  vernescale controller --kubeconfig ~/.kube/config --context lab --namespace mqtt

It serves every VerneMQAutoscaler of its namespace. Several processes may run: one holds the lease and acts,
the others wait. Endpoints: /metrics (vernescale_*), /healthz, /readyz.";

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
    #[arg(env = "VERNESCALE_LISTEN", default_value = "0.0.0.0:8080")]
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
        let client = kube::Client::try_from(config).context("the Kubernetes client cannot be set up")?;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}: choose another --listen", self.listen))?;
        let identity = self.identity.clone().unwrap_or_else(identity);
        tracing::info!(namespace, identity, listen = %self.listen, "the controller starts");

        let settings = Settings { lease: self.lease.clone(), ..Settings::new(namespace, identity) };
        let controller = Controller::new(client, Clock::system(), settings);
        let metrics = controller.metrics();
        let page = serve::serve(listener, serve::router(move || metrics.page()), std::future::pending());
        // What is under way ends with the process: a leave that has not begun is revoked by that, one
        // that has is resumed by whoever leads next.
        tokio::select! {
            () = controller.run_until(stop_signal()) => Ok(()),
            served = page => served.context("the metrics page has stopped"),
        }
    }

    async fn config(&self) -> anyhow::Result<kube::Config> {
        let Some(file) = &self.kubeconfig else {
            return kube::Config::infer()
                .await
                .context("neither a service account nor a kubeconfig was found: give --kubeconfig FILE");
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let read = Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display()))?;
        kube::Config::from_custom_kubeconfig(read, &options)
            .await
            .with_context(|| format!("{} cannot be used", file.display()))
    }
}

/// A name that no other process has, and that says where it runs.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "vernescale".into());
    format!("{host}-{:08x}", rand::random::<u32>())
}
