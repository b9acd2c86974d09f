//! Logs: text for a terminal, JSON for a collector, always on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is wrong.
    #[error("`{filter}` is no log filter ({source}): write --log info, or --log info,vernescale=debug")]
    Filter {
        /// As it was given.
        filter: String,
        /// Cause.
        source: ParseError,
    },
}

/// Sets up the log of this process. A second call changes nothing.
pub fn install(format: Option<LogFormat>, filter: &str) -> Result<(), Error> {
    // The MQTT and Kubernetes clients log packets and bodies below `warn`: they are not ours to show.
    // An empty variable of the environment is no wish for silence.
    let wanted = if filter.trim().is_empty() { "info" } else { filter };
    let quiet = format!("rumqttc=warn,kube=warn,hyper=warn,{wanted}");
    let parsed = EnvFilter::builder()
        .parse(quiet)
        .map_err(|source| Error::Filter { filter: filter.to_owned(), source })?;
    let terminal = std::io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    // A log that cannot be written must not end the work; its own complaint would go the same way, and panic.
    let base = tracing_subscriber::fmt().log_internal_errors(false);
    let base = base.with_env_filter(parsed).with_writer(std::io::stderr);
    // Somebody who embeds us may have a log of their own: that is no failure.
    let _ = match format {
        LogFormat::Text => base.with_ansi(terminal).with_target(false).try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let error = install(None, "vernescale=loudly").unwrap_err().to_string();
        assert!(error.contains("`vernescale=loudly`") && error.contains("--log info"), "{error}");
    }
}
