//! Everything that the controller does, by name; and a place to stop it.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use vernescale::controller::Hook;

type Action = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

#[derive(Default)]
struct Seen {
    names: Vec<String>,
    actions: Vec<(String, Action)>,
    stop: Option<(usize, oneshot::Sender<String>)>,
}

/// What was done, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Arc<Mutex<Seen>>);

impl Hooks {
    /// To be handed to a controller.
    pub(super) fn hook(&self) -> Hook {
        let seen = Arc::clone(&self.0);
        Arc::new(move |name| {
            let (stop, action) = {
                let mut seen = seen.lock().expect("no test panics while it holds this");
                seen.names.push(name.clone());
                let reached = seen.stop.as_ref().is_some_and(|(at, _)| seen.names.len() >= *at);
                let stop = if reached { seen.stop.take() } else { None };
                let at = seen.actions.iter().position(|(after, _)| *after == name);
                (stop, at.map(|at| seen.actions.remove(at).1))
            };
            Box::pin(async move {
                if let Some(action) = action {
                    action().await;
                }
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

    /// Stops it nowhere any more.
    pub(super) fn go_on(&self) {
        self.0.lock().expect("no test panics while it holds this").stop = None;
    }

    /// Does something, once, right after the next thing of this name and before the controller
    /// does anything else.
    pub(crate) fn after<F>(&self, name: &str, action: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let action: Action = Box::new(move || Box::pin(action()));
        self.0.lock().expect("no test panics while it holds this").actions.push((name.to_owned(), action));
    }

    /// How often a thing of this name was done.
    pub(crate) fn times(&self, name: &str) -> usize {
        self.names().iter().filter(|done| *done == name).count()
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
