//! Real programs under test: found, started on loopback, ended with the test.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

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
        // What is printed by a macro is shown of a test that fails only.
        let _ = writeln!(std::io::stderr(), "{reason}");
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

/// A loopback address for a program that cannot say which port it was given. The IP address is this test's own,
/// so that nobody else takes the port before the program does.
pub(crate) fn free_address() -> SocketAddr {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    let process = u8::try_from(std::process::id() % 256).unwrap();
    let own = Ipv4Addr::new(127, 10, process, TAKEN.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}
