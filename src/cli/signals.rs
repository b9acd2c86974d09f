//! When to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at Ctrl-C or SIGTERM. Listens from the call on, not from the first poll: a supervisor may be quick.
pub(super) fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    stop_signals(1)
}

/// Resolves at the signal that makes it so many.
pub(super) fn stop_signals(count: u32) -> impl Future<Output = ()> + Send + 'static {
    let listening = signal(SignalKind::terminate())
        .and_then(|terminate| signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt)));
    async move {
        let (mut terminate, mut interrupt) = match listening {
            Ok(both) => both,
            Err(error) => {
                tracing::warn!(%error, "signals cannot be listened for: they will end this process at once");
                return std::future::pending().await;
            }
        };
        for _ in 0..count {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }
}
