//! `vernescale exporter`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::signals::{stop_signal, stop_signals};
use crate::api::{Period, PeriodError};
use crate::exporter::{Exporter, Settings};
use crate::http_server::listen_address;
use crate::mqtt::options::Options;
use net::{BrokerUrl, Clock};

const EXAMPLES: &str = "\
Examples:
  vernescale exporter --broker mqtt://vernemq:1883
  vernescale exporter --broker mqtts://vernemq:8883 --ca-file ca.pem \\
      --username exporter --password-file /run/secrets/mqtt

One connection to any member is enough: each member passes on $SYS of all of them. mosquitto is read as well; other
brokers' trees are told (`foreign_tree`) and not shown. MQTT 3.1.1 is spoken, and 5 where a listener refuses that.
Endpoints: /metrics (text format 0.0.4), /healthz, /readyz. If the broker is away, the exporter goes on serving:
its state is the metric vernescale_source_up{reason}, and the broker's series disappear instead of freezing.
Exit code: 0 after SIGTERM or Ctrl-C (a second one does not wait for scrapes under way), 2 if the command line is
wrong, 1 for all else.";

/// Options of the exporter.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The broker: mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS; without a port 1883 or 8883.
    #[arg(long, value_name = "URL", env = "VERNESCALE_BROKER")]
    broker: BrokerUrl,
    /// Where to serve /metrics.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address)]
    #[arg(env = "VERNESCALE_LISTEN", default_value = "0.0.0.0:8888")]
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
    /// a node and interval); `$SYS/+/mqtt/publish/received` brings just that one. A filter that is wider than $SYS brings
    /// what clients publish: a packet beyond 2 MB ends the connection (`packet_too_large`).
    #[arg(long = "topic", value_name = "FILTER", default_value = "$SYS/#")]
    topics: Vec<String>,
    /// Whether counters carry the time at which they arrived, so that `irate()` is right however often Prometheus
    /// scrapes. Without, scrape no more often than the broker sends (every 20 s by default). It is this machine's
    /// time: where its clock is a quarter of an hour ahead of Prometheus', or some two hours behind, Prometheus drops
    /// every counter, while `up` stays 1 and gauges go on. `vernescale_clock_seconds - timestamp(vernescale_clock_seconds)`
    /// shows how far they are apart.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    timestamps: bool,
    /// Silence after a subscription that is called `no_messages`: three intervals of the broker; the default fits
    /// VerneMQ's usual 20 s. Once messages come, three of the nodes' own intervals are waited for where those are longer.
    #[arg(long, value_name = "TIME", value_parser = message_wait)]
    #[arg(env = "VERNESCALE_MESSAGE_WAIT", default_value = "1m")]
    message_wait: Duration,
}

fn message_wait(text: &str) -> Result<Duration, String> {
    let Period(wait) = text.parse().map_err(|error: PeriodError| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_hours(1)).contains(&wait) {
        Ok(wait)
    } else {
        Err("it must be 1s to 1h".to_owned())
    }
}

impl Arguments {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let settings = self.settings()?;
        // Before anybody can see that it serves.
        let (stop, cut) = (stop_signal(), stop_signals(2));
        let exporter = Exporter::bind(settings, Clock::system()).await?;
        tokio::select! {
            ended = exporter.run(stop) => ended.context("the exporter has stopped"),
            () = cut => {
                tracing::warn!("a second signal: what was under way is cut");
                Ok(())
            }
        }
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let client_id =
            self.client_id.unwrap_or_else(|| format!("vernescale-exporter-{:08x}", rand::random::<u32>()));
        let source = Options::new(self.broker, client_id, self.topics, self.ca_file.as_deref())?
            .with_credentials(self.username, self.password_file.as_deref())?
            .with_message_wait(self.message_wait);
        Ok(Settings { source, listen: self.listen, timestamps: self.timestamps })
    }
}
