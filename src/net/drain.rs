//! The word that it is time to end, and how it reaches every connection.

use tokio::sync::watch;

/// Says that it is time to end.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Hears that it is time to end. Clones hear the same.
#[derive(Debug, Clone)]
pub struct Draining(watch::Receiver<bool>);

/// One who says it and one who hears it.
#[must_use]
pub fn drain() -> (Drain, Draining) {
    let (say, hear) = watch::channel(false);
    (Drain(say), Draining(hear))
}

impl Drain {
    /// Ends it.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Draining {
    /// Ends when the drain begins, or when nobody is left to begin it.
    pub async fn begun(mut self) {
        // An error says that the sender is gone, and with it whoever wanted the server to run.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}
