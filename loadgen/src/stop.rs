//! A signal that ends a run: asked once, seen by every task.

use tokio::sync::watch;

/// Ends a run early. Clones share the signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Gives the signal. Giving it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether the signal was given.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the signal is given.
    pub async fn stopped(&self) {
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
