//! The command line, up to a plan.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use loadgen::{Audience, Load, Plan, ProbePlan, Protocol, Template, Until};
use net::{BrokerUrl, Login, Secret, parse_span, trust_file};

/// Longest time accepted: 30 days.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Reads a time that is more than nothing.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span =
        parse_span(text).ok_or_else(|| format!("`{text}` is no time; write e.g. 500ms, 30s, 5m or 1h30m"))?;
    if span.is_zero() || span > LONGEST {
        return Err(format!("`{text}` must be more than nothing and at most 30 days"));
    }
    Ok(span)
}

const EXIT_CODES: &str = "Exit codes:
  0    the run went through; with --subscribers: nothing acknowledged was lost
  1    something acknowledged was lost or could not be proven delivered, nothing was
       acknowledged, no broker could be reached, or the report could not be written
  2    wrong usage, or a file that cannot be read or written, found before the run
  130  Ctrl-C pressed twice: no report";

/// Publishes to MQTT brokers as devices do, and proves that nothing was lost.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish at a fixed total rate (open loop), or as fast as the broker acknowledges (--flood)
    #[command(after_help = EXIT_CODES)]
    Publish(Publish),
    /// Act as devices: connect, publish one message, wait for its acknowledgement, disconnect, pause
    #[command(after_help = EXIT_CODES)]
    Device(Device),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("load").required(true))]
pub(crate) struct Publish {
    /// Messages a second over all connections together, sent on schedule whether the broker keeps up or not
    #[arg(long, value_name = "N", group = "load")]
    rate: Option<f64>,
    /// Keep every connection's window full (closed loop: latency is then queueing, not service time)
    #[arg(long, group = "load")]
    flood: bool,
    /// Publishing connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    connections: usize,
    /// Messages without acknowledgement on one connection at most [default: 100; 20 for QoS 2 with MQTT 3.1.1]
    #[arg(long, value_name = "N")]
    window: Option<u16>,
    /// Quality of service of publishers and subscribers
    #[arg(long, value_name = "0|1|2", default_value_t = 1)]
    qos: u8,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Device {
    /// Devices
    #[arg(long, value_name = "N", default_value_t = 1)]
    devices: usize,
    /// Time from the start of one cycle of a device to the start of its next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    cycle: Duration,
    /// One client id for all devices: the broker takes the session over whenever two are connected
    #[arg(long, value_name = "ID")]
    fixed_client_id: Option<String>,
    /// Quality of service of devices and subscribers
    #[arg(long, value_name = "1|2", default_value_t = 2)]
    qos: u8,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Where the brokers are
    #[arg(
        long,
        value_name = "URL[,URL]",
        help = "Brokers, mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; each connect picks one at random",
        required = true,
        value_delimiter = ','
    )]
    pub(crate) url: Vec<BrokerUrl>,
    /// Topic to publish to
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// MQTT version: 4 is 3.1.1
    #[arg(long, value_name = "4|5", default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    protocol: u8,
    /// Bytes of payload [default: 64]
    #[arg(long, value_name = "BYTES", conflicts_with = "payload_file")]
    size: Option<usize>,
    /// Payload; every TEXT of --substitute in it becomes TEXT.NNNNNN, numbered per message
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// What to number in the payload file
    #[arg(long, value_name = "TEXT", default_value = "mario.rossi", requires = "payload_file")]
    substitute: String,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after so long, e.g. 30s, 5m, 1h30m [default: until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Persistent subscribers that prove what became of every acknowledged message
    #[arg(long, value_name = "N", default_value_t = 0)]
    subscribers: usize,
    /// Give each message to one subscriber only (topic TOPIC/0, TOPIC/1, ...) instead of to all
    #[arg(long, requires = "subscribers")]
    share: bool,
    /// Also try the whole service every 100 ms, as a new client on a topic below TOPIC-probe
    #[arg(long)]
    probe: bool,
    /// User name
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Certificates to trust for mqtts:// instead of the system's, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// For a connect, TLS and CONNACK included
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    connect_timeout: Duration,
    /// For an acknowledgement; then the connection is renewed and the message sent again
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    ack_timeout: Duration,
    /// For open messages at the end, first to be acknowledged, then to reach the subscribers
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    drain: Duration,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the report as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) report_file: Option<PathBuf>,
    /// No progress
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl Command {
    pub(crate) fn common(&self) -> &Common {
        match self {
            Self::Publish(args) => &args.common,
            Self::Device(args) => &args.common,
        }
    }

    /// The plan; `name` begins all client ids.
    pub(crate) fn plan(&self, name: String, seed: u64) -> anyhow::Result<Plan> {
        let load = match self {
            Self::Publish(args) => args.rate.map_or(Load::Flood, Load::Rate),
            Self::Device(args) => {
                Load::Devices { cycle: args.cycle, fixed_client_id: args.fixed_client_id.clone() }
            }
        };
        let mut plan = self.common().plan(Plan::new(&self.common().topic, load, name))?;
        plan.seed = seed;
        match self {
            Self::Publish(args) => {
                (plan.connections, plan.qos) = (args.connections, args.qos);
                plan.window = args.window.unwrap_or_else(|| Plan::usual_window(plan.qos, plan.protocol));
                anyhow::ensure!(args.rate != Some(0.0), "--rate must be above 0");
            }
            Self::Device(args) => (plan.connections, plan.window, plan.qos) = (args.devices, 1, args.qos),
        }
        plan.validate()?;
        Ok(plan)
    }
}

impl Common {
    fn plan(&self, mut plan: Plan) -> anyhow::Result<Plan> {
        plan.protocol = if self.protocol == 5 { Protocol::V5 } else { Protocol::V4 };
        plan.template = self.template()?;
        plan.until = Until { count: self.count, duration: self.duration };
        plan.subscribers = self.subscribers;
        plan.audience = if self.share { Audience::Share } else { Audience::Everyone };
        if let (Some(username), Some(file)) = (&self.username, &self.password_file) {
            plan.login = Some(Login { username: username.clone(), password: Secret::from_file(file)? });
        }
        if self.url.iter().any(|target| target.tls) {
            plan.tls = Some(trust_file(self.ca_file.as_deref())?);
        }
        plan.limits.connect = self.connect_timeout;
        plan.limits.acknowledge = self.ack_timeout;
        (plan.limits.drain, plan.limits.settle) = (self.drain, self.drain);
        plan.probe = self.probe.then(|| ProbePlan::new(format!("{}-probe", self.topic)));
        Ok(plan)
    }

    fn template(&self) -> anyhow::Result<Template> {
        let Some(file) = &self.payload_file else {
            return Ok(Template::sized(self.size.unwrap_or(64))?);
        };
        let content = std::fs::read(file)
            .with_context(|| format!("cannot read the payload file {}", file.display()))?;
        Template::from_content(&content, &self.substitute)
            .with_context(|| format!("cannot use the payload file {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn plan(words: &str) -> Result<Plan, String> {
        let words = words.split_whitespace();
        let cli =
            Cli::try_parse_from(["loadgen"].into_iter().chain(words)).map_err(|error| error.to_string())?;
        cli.command.plan("t".to_owned(), 0).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plan_says_what_was_asked_for() {
        let plan =
            plan("publish --url mqtt://a,mqtt://b:2 --topic t --rate 10 --count 5 --subscribers 2").unwrap();
        assert_eq!((plan.load, plan.until.count, plan.subscribers), (Load::Rate(10.0), Some(5), 2));
        let plan =
            self::plan("device --url mqtt://a --topic t --devices 3 --cycle 500ms --protocol 5").unwrap();
        assert_eq!((plan.connections, plan.qos, plan.protocol), (3, 2, Protocol::V5));
    }

    #[test]
    fn usual_times_are_read_and_others_explained() {
        let ms = |text| parse_duration(text).map(|time| time.as_millis());
        assert_eq!((ms("250ms"), ms("1h30m"), ms("90s")), (Ok(250), Ok(5_400_000), Ok(90_000)));
        for text in ["5", "s", "1.5s", "5d", "-1s", "", "0s", "99999999999h"] {
            assert!(ms(text).unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn wrong_usage_names_the_remedy() {
        for (words, part) in [
            ("publish --url mqtt://a --topic t", "--rate"),
            ("publish --url mqtt://a --topic t --rate 1 --flood", "--flood"),
            ("publish --url mqtt://a --topic t --rate 0", "above 0"),
            ("publish --url a:1883 --topic t --flood", "mqtt://HOST:PORT"),
            ("publish --url mqtt://a --topic t/# --flood", "wildcard"),
            ("publish --url mqtt://a --topic t --flood --size 4 --subscribers 1", "at least 10"),
            ("publish --url mqtt://a --topic t --flood --username me", "--password-file"),
            ("publish --url mqtt://a --topic t --flood --duration 5", "30s"),
            ("publish --url mqtt://a --topic t --flood --protocol 3", "4..=5"),
            ("publish --url mqtt://a --topic t --flood --payload-file /nowhere", "/nowhere"),
            ("device --url mqtt://a --topic t --qos 0", "take 1 or 2"),
        ] {
            let error = plan(words).unwrap_err();
            assert!(error.contains(part), "{words}: {error}");
        }
    }
}
