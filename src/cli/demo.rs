//! `vernescale demo`.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::signals::stop_signal;
use crate::demo::{self, Fault, Practice, Profile, Settings, Snapshot, Verdict};
use crate::http_server::listen_address;

const ABOUT: &str = "\
Everything runs in this process and on loopback: simulated brokers that behave as VerneMQ 2.1.2 was recorded to,
a simulated Kubernetes API, and the real exporter, controller and load generator. Joins, our waits and our windows are
shortened, so that little more than a minute is enough; the first lines say by how much.

The exit code is 0 only if nothing acknowledged was lost and no dead member or isolated node is left.";

/// Options of the demo.
#[derive(Debug, Args)]
#[command(after_help = ABOUT)]
pub(super) struct Arguments {
    /// Load to play instead of idle, flood, idle: a YAML file with `phases`.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// What to break while it works.
    #[arg(long, value_enum, value_name = "NAME")]
    fault: Option<Fault>,
    /// Today's practice instead of our controller: an HPA on the StatefulSet, alone or with a preStop hook that leaves.
    #[arg(long, value_enum, value_name = "HOOK", num_args = 0..=1, default_missing_value = "plain")]
    naive: Option<Hook>,
    /// Print the verdict as JSON, and nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// Where the exporter serves; where that is taken, a free port is named.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address)]
    #[arg(default_value = "127.0.0.1:8888")]
    listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hook {
    /// No hook: the official chart as it comes.
    Plain,
    /// `vmq-admin cluster leave -k` whenever a container stops.
    PreStop,
}

impl Arguments {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let json = self.json;
        let settings = self.settings()?;
        let mut screen = Screen::new(json);
        let told = std::cell::RefCell::new(Vec::new());
        let result = demo::play(
            &settings,
            |snapshot| screen.show(snapshot, &told),
            |words| told.borrow_mut().push(words.to_owned()),
            stop_signal(),
        )
        .await;
        let verdict = result?;
        print(&verdict, json)?;
        anyhow::ensure!(verdict.is_clean(), "the run was not clean: {}", verdict.complaints().join("; "));
        Ok(())
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let profile = match &self.profile {
            None => Profile::default(),
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the profile {name}"))?;
                Profile::parse(&name, &text)?
            }
        };
        let practice = match self.naive {
            None => Practice::Vernescale,
            Some(Hook::Plain) => Practice::Naive,
            Some(Hook::PreStop) => Practice::NaivePreStop,
        };
        let settings = Settings { profile, practice, fault: self.fault, listen: self.listen };
        settings.check().map_err(anyhow::Error::msg)?;
        Ok(settings)
    }
}

fn print(verdict: &Verdict, json: bool) -> anyhow::Result<()> {
    if json {
        let text = serde_json::to_string_pretty(verdict).context("the verdict cannot be written as JSON")?;
        super::output::print(&format!("{text}\n"))
    } else {
        super::output::print(&format!("\n{verdict}\n"))
    }
}

/// Draws on a terminal, writes lines elsewhere, is silent with `--json`.
struct Screen {
    silent: bool,
    terminal: bool,
    drawn: usize,
    last: Option<(demo::Gist, f64)>,
}

impl Screen {
    fn new(silent: bool) -> Self {
        Self { silent, terminal: std::io::stdout().is_terminal(), drawn: 0, last: None }
    }

    fn show(&mut self, snapshot: &Snapshot, told: &std::cell::RefCell<Vec<String>>) {
        if self.silent {
            return;
        }
        let words: Vec<String> = told.borrow_mut().drain(..).collect();
        let gist = snapshot.gist();
        // A line per change, and one every five seconds so that nobody wonders whether it still runs.
        let due = self.last.as_ref().is_none_or(|(last, at)| *last != gist || snapshot.seconds - at >= 5.0);
        let mut out = std::io::stdout().lock();
        // A closed pipe ends the drawing, not the run: its verdict is the exit code.
        if self.terminal {
            let said = words.iter().fold(String::new(), |text, words| text + "        " + words + "\n");
            let block = snapshot.block();
            let _ = write!(out, "{}{said}{block}", demo::erase(self.drawn));
            self.drawn = block.lines().count();
        } else {
            for words in words {
                let _ = writeln!(out, "        {words}");
            }
            if due {
                let _ = writeln!(out, "{}", snapshot.line());
            }
        }
        let _ = out.flush();
        if due {
            self.last = Some((gist, snapshot.seconds));
        }
    }
}
