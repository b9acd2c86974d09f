//! The command line. A subcommand is two lines here: its variant, and its arm in [`Command::run`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::{self, LogFormat};

mod controller;
mod crd;
#[cfg(feature = "demo")]
mod demo;
mod exporter;
mod output;
mod signals;

pub use output::fail;

/// Scales a VerneMQ cluster on Kubernetes with its load, without losing a message.
#[derive(Debug, Parser)]
#[command(name = "vernescale", version, max_term_width = 100)]
pub struct Cli {
    /// Format of the log; by default text on a terminal, one JSON object a line elsewhere.
    #[arg(long, global = true, value_enum, env = "VERNESCALE_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// What to log: error, warn, info, debug, or directives such as `info,vernescale=debug` [default: info; demo: error].
    #[arg(long, global = true, value_name = "FILTER", env = "VERNESCALE_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the `VerneMQAutoscaler`s of a namespace: decide the size, and change it one ordered step at a time.
    Controller(controller::Arguments),
    /// Read $SYS of a broker's cluster over MQTT and serve it at /metrics for Prometheus.
    Exporter(exporter::Arguments),
    #[cfg(feature = "demo")]
    /// Show the whole job on loopback: load, growth, ordered leaves, and a verdict.
    Demo(demo::Arguments),
    /// Print the definition of `VerneMQAutoscaler` as YAML, for `kubectl apply -f -`.
    Crd,
}

impl Command {
    /// The demo draws: what its controller logs would be written across it.
    fn log_by_default(&self) -> &'static str {
        match self {
            #[cfg(feature = "demo")]
            Self::Demo(_) => "error",
            _ => "info",
        }
    }

    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Controller(arguments) => Box::pin(arguments.run()).await,
            Self::Exporter(arguments) => arguments.run().await,
            #[cfg(feature = "demo")]
            Self::Demo(arguments) => arguments.run().await,
            Self::Crd => crd::print(),
        }
    }
}

impl Cli {
    /// Runs the subcommand; exit code 1 and one line on standard error if it fails.
    pub fn run(self) -> ExitCode {
        let filter = self.log.as_deref().unwrap_or(self.command.log_by_default());
        if let Err(error) = telemetry::install(self.log_format, filter) {
            return fail(&error.to_string());
        }
        // One thread: the work is waiting, and one thread needs neither locks nor a second stack per core.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(&format!("cannot start the runtime: {error}")),
        };
        match runtime.block_on(self.command.run()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_has_no_contradictions() {
        Cli::command().debug_assert();
    }
}
