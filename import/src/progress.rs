//! The progress of an import, and the request to stop it: shared between the import's threads and the one that
//! shows it.
//!
//! Must not know how it is shown. Invariant: counters only grow within a stage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::error::Error;

/// The stages of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading, cleaning and sorting.
    Reading,
    /// Joining and writing.
    Writing,
}

/// The progress of an import, as other threads see it.
#[derive(Debug, Default)]
pub struct ImportProgress {
    stage: AtomicU8,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    rows_read: AtomicU64,
    rows_kept: AtomicU64,
    rows_written: AtomicU64,
    stop: Arc<AtomicBool>,
    /// One side failed; the other need not go on.
    failed: AtomicBool,
}

impl ImportProgress {
    /// Returns the stage that the import is in.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Reading,
            _ => Stage::Writing,
        }
    }

    /// CSV bytes read, and how many there are.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Relaxed), self.bytes_total.load(Relaxed))
    }

    /// Rows read so far.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Relaxed)
    }

    /// Rows read so far that were neither skipped nor rejected: those that are to be handed on.
    #[must_use]
    pub fn rows_kept(&self) -> u64 {
        self.rows_kept.load(Relaxed)
    }

    /// Rows joined and handed on so far.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows_written.load(Relaxed)
    }

    /// Asks the import to stop; it ends with [`crate::Error::Interrupted`].
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// The flag that [`ImportProgress::stop`] sets, for a signal handler to set.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Returns true if the import was asked to stop.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    /// An error where there is no use in going on.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.stopped() || self.failed.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    pub(crate) fn expect(&self, bytes: u64) {
        self.bytes_total.store(bytes, Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: u64, rows: u64, kept: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.rows_read.fetch_add(rows, Relaxed);
        self.rows_kept.fetch_add(kept, Relaxed);
    }

    pub(crate) fn writing(&self) {
        self.stage.store(1, Relaxed);
    }

    pub(crate) fn add_written(&self, rows: u64) {
        self.rows_written.fetch_add(rows, Relaxed);
    }
}
