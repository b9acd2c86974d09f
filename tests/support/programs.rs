//! Real programs under test: found, started on loopback, ended with the test.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Finds a program. Where it is missing, says so and lets the caller skip; with `CI=true` that is a failure,
/// so that no test is ever skipped unnoticed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons outside of an ordinary user's path.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let reason = format!("skipped: `{name}` is not installed (Debian: apt-get install {name})");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}; with CI=true that is a failure");
        eprintln!("{reason}");
    }
    found
}

/// A process that ends with the test, whatever the test does.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it; what it prints goes to the test's own output.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("the program was found"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loopback address with a port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
