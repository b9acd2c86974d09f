//! A task that ends with whoever holds it.

use tokio::task::JoinHandle;

/// Aborts its task when dropped: what a dead controller has started must not
/// live on, and a dropped call is a closed connection.
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
