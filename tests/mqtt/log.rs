//! What the exporter logs, for tests that read it.

use std::cell::RefCell;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of this thread. One subscriber for all tests: with one for each, `tracing` may remember a place
/// in the code as switched off by the test of another thread.
pub(crate) struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Empties it, and from now on writes what this thread logs into it.
    pub(crate) fn catch() -> Self {
        // The client logs its packets at this level; below it there is only the event loop.
        let level = tracing::Level::DEBUG;
        let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(|| Self);
        let _ = log.try_init();
        LOG.with_borrow_mut(Vec::clear);
        Self
    }

    /// How many lines of `info` and `warn` have this in them.
    pub(crate) fn lines(&self, with: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" INFO "))
            .filter(|line| line.contains(with))
            .count()
    }

    #[expect(clippy::unused_self, reason = "there is a log only after `catch`")]
    pub(crate) fn text(&self) -> String {
        LOG.with_borrow(|log| String::from_utf8_lossy(log).into_owned())
    }
}
