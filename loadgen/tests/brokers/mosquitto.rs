//! A real mosquitto on a loopback port, if it is installed.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A broker process. Dropping it kills it.
pub(crate) struct Mosquitto {
    pub(crate) address: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mosquitto {
    /// Starts one with `settings` beside the listener. `None`, with a line that
    /// says so, if mosquitto is not installed; in CI that is a failure.
    pub(crate) fn start(settings: &str) -> Option<Self> {
        Self::start_with(settings, &[])
    }

    /// As [`Self::start`], with these users: name and password.
    pub(crate) fn start_with(settings: &str, users: &[(&str, &str)]) -> Option<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], crate::free_port()));
        let directory = TempDir::new().unwrap();
        let passwords = directory.path().join("passwords");
        let config = directory.path().join("mosquitto.conf");
        let mut text = format!("listener {} 127.0.0.1\nmax_queued_messages 0\n{settings}\n", address.port());
        if users.is_empty() {
            text += "allow_anonymous true\n";
        } else {
            // The broker drops its rights if it starts as root, and must read the file then.
            let _ = writeln!(text, "user root\npassword_file {}", passwords.display());
        }
        fs::write(&config, text).unwrap();
        fs::write(&passwords, "").unwrap();
        for (name, password) in users {
            let mut command = Command::new("mosquitto_passwd");
            let done = command.arg("-b").arg(&passwords).args([name, password]).output();
            if done.is_err() {
                return missing("mosquitto_passwd");
            }
        }
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&config).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else { return missing("mosquitto") };
        let broker = Self { address, child, directory };
        crate::rumqttd::wait_for(&broker.address);
        Some(broker)
    }

    /// A file beside its settings.
    pub(crate) fn file(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn addresses(&self) -> impl Fn() -> Vec<SocketAddr> + Send + Sync + use<> {
        let address = self.address;
        move || vec![address]
    }
}

fn missing(program: &str) -> Option<Mosquitto> {
    assert!(std::env::var_os("CI").is_none(), "{program} is not installed, and CI must not skip its tests");
    // What is printed by a macro is shown of a test that fails only.
    let _ = writeln!(std::io::stderr(), "skipped: {program} is not installed");
    None
}
