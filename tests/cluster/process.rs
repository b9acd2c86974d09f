//! `vernescale controller` as a process.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use vernescale::vernemq::http::{self, Endpoint};

/// Longest wait for a page or an end.
const DEADLINE: Duration = Duration::from_secs(30);

/// The binary, with none of our variables in its environment.
pub(crate) fn controller(kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vernescale"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VERNESCALE_")) {
        command.env_remove(name);
    }
    command.env("KUBECONFIG", kubeconfig).arg("controller").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// One that runs.
pub(crate) struct Running {
    child: Child,
    listen: Endpoint,
    log: JoinHandle<Vec<String>>,
}

impl Running {
    /// Starts one with this name in the election.
    pub(crate) fn start(kubeconfig: &Path, namespace: &str, identity: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a free port").port();
        let mut command = controller(kubeconfig);
        command.args(["--namespace", namespace, "--identity", identity, "--listen"]);
        command.arg(format!("127.0.0.1:{port}")).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                // What it says is half of what a failed wait needs.
                let _ = writeln!(std::io::stderr(), "{line}");
                log.push(line);
            }
            log
        });
        let listen = Endpoint { host: Some([127, 0, 0, 1].into()), port, tls: None, key: None };
        Self { child, listen, log }
    }

    /// One of its pages; what is wrong where there is none.
    pub(crate) async fn page(&self, path: &str) -> String {
        match http::get(&self.listen, path, DEADLINE).await {
            Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(broken) => broken.to_string(),
        }
    }

    /// Asks it to end, as kubelet does, and waits for that; and what it has logged.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        let id = self.child.id().expect("it has not been waited for").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill is everywhere");
        assert!(asked.success(), "it has ended before it was asked to");
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        let ended = ended.expect("it ends when it is asked to").expect("its exit status");
        (ended, self.log.await.expect("its log was read to the end"))
    }
}
