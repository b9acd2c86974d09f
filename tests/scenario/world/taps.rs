//! Everything that the controller does, by name; and a place to stop it.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use vernescale::controller::Tap;

#[derive(Default)]
struct Seen {
    names: Vec<String>,
    stop: Option<(usize, oneshot::Sender<String>)>,
}

/// What was done, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Taps(Arc<Mutex<Seen>>);

impl Taps {
    /// To be handed to a controller.
    pub(super) fn tap(&self) -> Tap {
        let seen = Arc::clone(&self.0);
        Arc::new(move |name| {
            let stop = {
                let mut seen = seen.lock().expect("no test panics while it holds this");
                seen.names.push(name.clone());
                let reached = seen.stop.as_ref().is_some_and(|(at, _)| seen.names.len() >= *at);
                if reached { seen.stop.take() } else { None }
            };
            Box::pin(async move {
                if let Some((_, stopped)) = stop {
                    let _ = stopped.send(name);
                    // Nothing more is done: whoever waits for it kills the controller here.
                    std::future::pending::<()>().await;
                }
            })
        })
    }

    /// Stops the controller for good at its `n`-th thing from now; resolves to that thing's name.
    pub(super) fn stop_after(&self, n: usize) -> impl Future<Output = Option<String>> + use<> {
        let (stopped, wait) = oneshot::channel();
        let mut seen = self.0.lock().expect("no test panics while it holds this");
        seen.stop = Some((seen.names.len() + n, stopped));
        async move { wait.await.ok() }
    }

    /// All names so far.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it holds this").names.clone()
    }

    /// The last few.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let names = self.names();
        names[names.len().saturating_sub(count)..].to_vec()
    }
}
