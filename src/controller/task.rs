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

    /// Waits for its end; the message, if that was a panic.
    pub(super) async fn panicked(&mut self) -> Option<String> {
        let panic = (&mut self.0).await.err()?.try_into_panic().ok()?;
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).or_else(|| Some("no message".to_owned()))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
