//! Starts the binary and ends it with the test.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// The binary, with none of our variables in its environment.
pub(crate) fn vernescale(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vernescale"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VERNESCALE_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a run that ended by itself has left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A device that takes no byte, as a full disk.
pub(crate) fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// An exporter whose broker is away.
pub(crate) struct Exporter {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Exporter {
    /// Starts it, and returns when it serves.
    pub(crate) fn start(stderr: Stdio, variables: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU8 = AtomicU8::new(1);
        // On an address of its own, so that nobody else takes the port before the exporter does.
        let process = u8::try_from(std::process::id() % 256).unwrap();
        let own = Ipv4Addr::new(127, 9, process, STARTED.fetch_add(1, Ordering::Relaxed));
        let address = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
        let listen = address.to_string();
        let mut command = vernescale(&["exporter", "--broker", "mqtt://127.0.0.1:1", "--listen", &listen]);
        let child = command.envs(variables.iter().copied()).stderr(stderr).spawn().unwrap();
        let mut exporter = Self { child, address };
        while TcpStream::connect(address).is_err() {
            let ended = exporter.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended before it served: {ended:?}");
            std::thread::yield_now();
        }
        exporter
    }

    /// The lines of its log.
    pub(crate) fn log(&mut self) -> std::io::Lines<BufReader<ChildStderr>> {
        BufReader::new(self.child.stderr.take().unwrap()).lines()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").arg("-c").arg(kill).status().unwrap().success());
    }

    /// Its exit code, when it has ended.
    pub(crate) fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// One whole request.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
