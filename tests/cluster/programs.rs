//! The programs of a control plane, and how they are started and ended.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Says why something is not tested; an error under `CI=true`.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: {why}");
    // What is printed by a macro is shown of a test that fails only.
    let _ = writeln!(std::io::stderr(), "skipped: {what}: {why}");
}

/// The folder that they are in; why they cannot be had.
pub(crate) fn build() -> Result<PathBuf, String> {
    let output = Command::new("tests/cluster/build.sh").output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known, so that no two are the same.
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("a bound port").port())
}

/// Starts one; whoever has it ends it.
pub(crate) fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log file");
    let errors = log.try_clone().expect("a second handle");
    let command = command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// Runs one to its end; what it says.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Ends a process that we have started.
pub(crate) fn end(child: &mut Child) {
    // Only our own children, by id. Errors mean that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}
