//! The word that it is time to end, and how it reaches every connection.

use tokio::sync::watch;

/// The treatment of idle connections in a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// They are given back as they are, for a process that comes next and goes on with them.
    Keep,
    /// They end. A client may be sending a request just then, so first they are served for a moment
    /// more, and told with the answer that it is the last.
    End,
}

/// Says that it is time to end.
#[derive(Debug)]
pub(super) struct ShutdownTrigger(watch::Sender<Option<Idle>>);

/// Hears that it is time to end. Clones hear the same.
#[derive(Debug, Clone)]
pub(super) struct ShutdownSignal(watch::Receiver<Option<Idle>>);

/// One who says it and one who hears it.
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
    /// Ends when the drain begins, or when nobody is left to begin it.
    pub(super) async fn begun(mut self) -> Idle {
        // An error says that the sender is gone, and with it whoever wanted the server to run.
        let begun = self.0.wait_for(Option::is_some).await;
        begun.ok().and_then(|idle| *idle).unwrap_or(Idle::End)
    }

    /// True if a connection that is answered now is to end with the answer. Costs one look at a
    /// number as long as there is no drain.
    pub(super) fn ends_connections(&self) -> bool {
        self.0.has_changed().unwrap_or(true) && *self.0.borrow() != Some(Idle::Keep)
    }
}
