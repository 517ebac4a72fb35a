//! The shutdown signal, and how it reaches every connection.

use tokio::sync::watch;

/// The treatment of idle connections at a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// They are returned as they are, for the next process, which continues with them.
    Keep,
    /// They end. A client may be sending a request just then, so first they are served for a moment
    /// more, with an answer that states that it is the last.
    End,
}

/// The sender of the shutdown signal.
#[derive(Debug)]
pub(super) struct ShutdownTrigger(watch::Sender<Option<Idle>>);

/// Hears that it is time to end. Clones hear the same.
#[derive(Debug, Clone)]
pub(super) struct ShutdownSignal(watch::Receiver<Option<Idle>>);

/// Returns a sender and a receiver of the shutdown signal.
#[must_use]
pub(super) fn drain() -> (ShutdownTrigger, ShutdownSignal) {
    let (say, hear) = watch::channel(None);
    (ShutdownTrigger(say), ShutdownSignal(hear))
}

impl ShutdownTrigger {
    /// Ends it.
    pub(super) fn begin(&self, idle: Idle) {
        self.0.send_replace(Some(idle));
    }
}

impl ShutdownSignal {
    /// Completes when the shutdown begins, or when its sender is dropped.
    pub(super) async fn begun(mut self) -> Idle {
        // An error means that the sender is dropped, and with it the owner of the server.
        let begun = self.0.wait_for(Option::is_some).await;
        begun.ok().and_then(|idle| *idle).unwrap_or(Idle::End)
    }

    /// True if a connection that is answered now is to end with the answer. Costs one load of a number as long
    /// as there is no shutdown.
    pub(super) fn ends_connections(&self) -> bool {
        self.0.has_changed().unwrap_or(true) && *self.0.borrow() != Some(Idle::Keep)
    }
}
