//! What is written for people and for pipes.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

/// One line for people, whatever the log's format is.
pub fn fail(message: &str) -> ExitCode {
    // Where nobody can be told, there is still the exit code.
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::FAILURE
}

/// Writes what was asked for. A reader that has seen enough (`| head -1`) is no failure, a full disk is one.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
