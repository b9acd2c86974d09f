//! `vernescale exporter`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::stop_signal;
use crate::clock::Clock;
use crate::exporter::{Exporter, Settings};
use crate::observe::mqtt::{Address, Options};

const EXAMPLES: &str = "\
Examples:
  vernescale exporter --broker mqtt://vernemq:1883
  vernescale exporter --broker mqtts://vernemq:8883 --ca-file ca.pem \\
      --username exporter --password-file /run/secrets/mqtt

One connection to any member is enough: each member passes on $SYS of all of them. mosquitto is read as well.
Endpoints: /metrics (text format 0.0.4), /healthz, /readyz. If the broker is away, the exporter goes on serving:
its state is the metric vernescale_source_up{reason}, and the broker's series disappear instead of freezing.";

/// Options of the exporter.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The broker: mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS.
    #[arg(long, value_name = "URL", env = "VERNESCALE_BROKER")]
    broker: Address,
    /// Where to serve /metrics.
    #[arg(long, value_name = "ADDR:PORT", env = "VERNESCALE_LISTEN", default_value = "0.0.0.0:8888")]
    listen: SocketAddr,
    /// MQTT user name.
    #[arg(long, value_name = "NAME", env = "VERNESCALE_USERNAME")]
    username: Option<String>,
    /// File with the password of the MQTT user. There is no option for the password itself: arguments and
    /// environment can be read by others.
    #[arg(long, value_name = "FILE", env = "VERNESCALE_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
    /// File with the certificates (PEM) that the broker's is checked against, instead of the system's.
    #[arg(long, value_name = "FILE", env = "VERNESCALE_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// MQTT client id [default: vernescale-exporter- and eight random characters]. Two clients with the same id
    /// throw each other out.
    #[arg(long, value_name = "ID", env = "VERNESCALE_CLIENT_ID")]
    client_id: Option<String>,
    /// Topic filter to subscribe to; may be repeated. The default brings every metric of every node (150 messages
    /// a node and interval); `$SYS/+/mqtt/publish/received` brings just that one.
    #[arg(long = "topic", value_name = "FILTER", default_value = "$SYS/#")]
    topics: Vec<String>,
    /// Whether counters carry the time at which they arrived, so that `irate()` is right however often Prometheus
    /// scrapes. Without, scrape no more often than the broker sends (every 20 s by default).
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    timestamps: bool,
}

impl Arguments {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings()?;
        let exporter = Exporter::bind(settings, Clock::system()).await?;
        exporter.run(stop_signal()).await.context("the exporter has stopped")
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let client_id =
            self.client_id.unwrap_or_else(|| format!("vernescale-exporter-{:08x}", rand::random::<u32>()));
        let source = Options::new(self.broker, client_id, self.topics, self.ca_file.as_deref())?
            .with_credentials(self.username, self.password_file.as_deref())?;
        Ok(Settings { source, listen: self.listen, timestamps: self.timestamps })
    }
}
