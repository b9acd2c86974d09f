//! The `loadgen` command: reads the command line, runs, reports.

mod cli;
mod screen;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use futures::future::join_all;
use loadgen::{Clock, Plan, Report, Stop, Targets, check, run};
use net::BrokerUrl;
use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Command, Common};

const LOST: u8 = 1;
const USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let (plan, runtime) = match prepare(&command) {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error, USAGE),
    };
    match runtime.block_on(execute(plan, command.common())) {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::from(LOST),
        Ok(None) => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error, LOST),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    screen::say(&format!("error: {error:#}"));
    ExitCode::from(code)
}

/// Everything that can be found wrong before a broker is bothered.
fn prepare(command: &Command) -> anyhow::Result<(Plan, tokio::runtime::Runtime)> {
    // Eight hex digits keep runs on one broker apart, in client ids of the 23
    // characters that every 3.1.1 broker accepts.
    let plan = command.plan(format!("lg-{:08x}", rand::random::<u32>()), rand::random())?;
    if let Some(file) = &command.common().report_file {
        // Without truncating: an older report stays until there is a new one.
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .with_context(|| format!("cannot write the report file {}", file.display()))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok((plan, runtime))
}

/// Whether the run was clean; `None` if it was broken off.
async fn execute(plan: Plan, common: &Common) -> anyhow::Result<Option<bool>> {
    reach(&plan, &common.url).await?;
    let stop = Stop::new();
    let handle = run(plan, Targets(common.url.clone()), Clock::start(), stop.clone())?;
    let progress = (!common.quiet).then(|| tokio::spawn(screen::show(handle.watch())));
    let report = tokio::select! {
        report = handle.finish() => report,
        interrupted = interrupts(&stop) => {
            interrupted?;
            screen::say("interrupted again: broken off without a report");
            return Ok(None);
        }
    };
    if let Some(progress) = progress {
        progress.abort();
    }
    screen::clear();
    let report = report?;
    let written = deliver(&report, common);
    if !report.is_clean() {
        screen::say(&format!("error: {}", report.verdict()));
    }
    written?;
    Ok(Some(report.is_clean()))
}

/// Returns after the second Ctrl-C or SIGTERM; the first one stops in good order.
async fn interrupts(stop: &Stop) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    for text in [Some("stopping: waiting for open messages; once more to break off"), None] {
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.context("cannot listen for Ctrl-C")?,
            _ = terminate.recv() => {}
        }
        stop.stop();
        text.into_iter().for_each(screen::say);
    }
    Ok(())
}

/// Connects once to every target: an error if none takes clients, so that a
/// wrong URL or password does not look like a slow start.
async fn reach(plan: &Plan, targets: &[BrokerUrl]) -> anyhow::Result<()> {
    let client_id = format!("{}-check", plan.name);
    let checks = targets.iter().map(async |target| {
        let (login, tls) = (plan.login.as_ref(), plan.tls.as_ref());
        check(target, plan.protocol, login, tls, &client_id, plan.limits.connect).await
    });
    let failures: Vec<_> = targets
        .iter()
        .zip(join_all(checks).await)
        .filter_map(|(target, result)| Some(format!("{target}: {}", result.err()?)))
        .collect();
    if failures.len() == targets.len() {
        anyhow::bail!("no broker could be reached\n  {}", failures.join("\n  "));
    }
    for failure in failures {
        screen::say(&format!("warning: {failure}"));
    }
    Ok(())
}

/// Prints the report and writes the file.
fn deliver(report: &Report, common: &Common) -> anyhow::Result<()> {
    let mut json = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
    json.push('\n');
    let text = if common.json { json.clone() } else { report.to_string() };
    let mut stdout = io::stdout().lock();
    let printed =
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot print the report");
    if let Some(file) = &common.report_file {
        let saved =
            save(file, &json).with_context(|| format!("cannot write the report file {}", file.display()));
        if saved.is_err() && !common.json && printed.is_ok() {
            // The result of a long run must not be gone with a full disk.
            stdout.write_all(json.as_bytes()).context("cannot print the report")?;
        }
        saved?;
    }
    printed
}

fn save(path: &Path, json: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(json.as_bytes())?;
    // A disk may say only now that it is full. A device file cannot be synced.
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}
