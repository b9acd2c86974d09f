//! A container runtime that only keeps books.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt, pending};
use simulator::kubernetes::{Container, Containers, ExecOutput};
use tokio::sync::watch;

#[derive(Default)]
struct State {
    /// Pods whose process runs; the exit code of the others.
    processes: BTreeMap<String, Option<i32>>,
    unready: BTreeSet<String>,
    /// `start vmq-0 pvc-…`, `exec vmq-0 …`, `stop vmq-0 60`, `volume …`.
    log: Vec<String>,
    containers: Vec<Container>,
    /// From SIGTERM to the end of a process; half a second where nothing is set.
    stop: Option<Duration>,
}

/// The runtime.
pub(crate) struct Fake {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl Default for Fake {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::channel(()).0 }
    }
}

impl Fake {
    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    /// Its process ends by itself.
    pub(crate) fn end(&self, pod: &str, code: i32) {
        self.with(|state| state.processes.insert(pod.to_owned(), Some(code)));
    }

    /// From SIGTERM to the end of a process.
    pub(crate) fn set_stop(&self, stop: Duration) {
        self.with(|state| state.stop = Some(stop));
    }

    /// What its readiness probe answers.
    pub(crate) fn set_ready(&self, pod: &str, ready: bool) {
        self.with(
            |state| {
                if ready { state.unready.remove(pod) } else { state.unready.insert(pod.to_owned()) }
            },
        );
    }

    /// What was asked, in order, of lines that begin so.
    pub(crate) fn log(&self, prefix: &str) -> Vec<String> {
        self.with(|state| state.log.iter().filter(|line| line.starts_with(prefix)).cloned().collect())
    }

    /// Every start of a pod's container.
    pub(crate) fn starts(&self, pod: &str) -> Vec<Container> {
        self.with(|state| state.containers.iter().filter(|c| c.pod == pod).cloned().collect())
    }

    fn note(&self, line: String) {
        self.with(|state| state.log.push(line));
    }

    async fn ended(&self, pod: &str) -> i32 {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(Some(code)) = self.state.lock().unwrap().processes.get(pod) {
                return *code;
            }
            changes.changed().await.unwrap();
        }
    }
}

impl Containers for Fake {
    fn start(&self, container: Container) -> BoxFuture<'_, ()> {
        self.with(|state| {
            let running = state.processes.insert(container.pod.clone(), None);
            assert!(!matches!(running, Some(None)), "{} runs already", container.pod);
            state.log.push(format!("start {} {}", container.pod, container.volume));
            state.containers.push(container);
        });
        async {}.boxed()
    }

    fn stop(&self, pod: &str, grace: Duration) -> BoxFuture<'_, ()> {
        let pod = pod.to_owned();
        async move {
            self.note(format!("stop {pod} {}", grace.as_secs()));
            let stop = self.with(|state| state.stop).unwrap_or(Duration::from_millis(500));
            tokio::time::sleep(stop).await;
            self.end(&pod, 143);
        }
        .boxed()
    }

    fn exited(&self, pod: &str) -> BoxFuture<'_, i32> {
        let pod = pod.to_owned();
        async move { self.ended(&pod).await }.boxed()
    }

    fn ready(&self, pod: &str) -> BoxFuture<'_, bool> {
        let ready = self.with(|state| !state.unready.contains(pod));
        async move { ready }.boxed()
    }

    /// `echo WORDS`, `complain WORDS` on stderr with code 7, `sleep SECONDS`,
    /// `flood BYTES`; anything else never ends.
    fn exec(&self, pod: &str, argv: Vec<String>) -> BoxFuture<'_, ExecOutput> {
        self.note(format!("exec {pod} {}", argv.join(" ")));
        async move {
            let rest = argv[1..].join(" ");
            match argv[0].as_str() {
                "echo" => ExecOutput { stdout: rest, ..ExecOutput::default() },
                "complain" => ExecOutput { stderr: rest, code: 7, ..ExecOutput::default() },
                "sleep" => {
                    tokio::time::sleep(Duration::from_secs(rest.parse().unwrap())).await;
                    ExecOutput::default()
                }
                "flood" => ExecOutput { stdout: "x".repeat(rest.parse().unwrap()), ..ExecOutput::default() },
                _ => pending().await,
            }
        }
        .boxed()
    }

    fn delete_volume(&self, volume: &str) {
        self.note(format!("volume {volume}"));
    }
}
