//! The noted durable position of an open store, and its clean end.
//!
//! Must not know the writer. Invariant: nothing is noted before it is durable; after a clean end the log
//! holds nothing, so that no damage to it costs anything.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::commit_log::CommitLog;
use super::position::LogPosition;
use super::watermark::{Watermark, WatermarkFile};
use crate::error::Error;
use crate::key::state;
use crate::rocks::Rocks;
use crate::state::read_state;
use crate::value::Counters;

/// The watermark of an open store.
pub(crate) struct DurableMark(Mutex<NotedMark>);

struct NotedMark {
    /// `None` where there is no space for it, so that nothing is written to the store either.
    file: Option<WatermarkFile>,
    /// True if the store has ended, and nothing more is to be noted.
    is_over: bool,
}

impl DurableMark {
    /// Makes the watermark of an open store. Without a file nothing is noted.
    pub(crate) fn new(file: Option<WatermarkFile>) -> Self {
        let is_over = file.is_none();
        Self(Mutex::new(NotedMark { file, is_over }))
    }

    /// Notes that the store is durable at a position.
    pub(crate) fn note(&self, at: LogPosition, counters: &Counters) -> Result<(), Error> {
        let mut noted = self.noted();
        let NotedMark { file, is_over } = &mut *noted;
        let Some(file) = file else { return Ok(()) };
        *is_over = false;
        let is_lossy = file.last().is_lossy;
        file.write(Watermark::new(at, counters, is_lossy))?;
        // In this mode the commits behind the watermark may be lost, so it must not lag.
        if is_lossy { file.sync() } else { Ok(()) }
    }

    /// Returns true if clients may know of positions that were lost: the store was written to without waiting
    /// for the disk, and neither ended cleanly nor began an epoch since.
    pub(crate) fn is_lossy(&self) -> bool {
        let noted = self.noted();
        noted.file.as_ref().is_some_and(|file| file.last().is_lossy)
    }

    /// Notes, durably, whether clients will know of positions that are not durable.
    pub(crate) fn set_lossy(&self, is_lossy: bool) -> Result<(), Error> {
        let mut noted = self.noted();
        let Some(file) = &mut noted.file else {
            return Ok(());
        };
        let commit_header = Watermark {
            is_lossy,
            ..file.last()
        };
        file.write(commit_header)?;
        file.sync()
    }

    /// Ends all writing: moves what is in memory to files and notes that durably. `is_lossy` replaces the
    /// note of [`Self::is_lossy`]. The next process reads from the log what is not moved.
    pub(crate) fn finish(&self, rocks: &Rocks, is_lossy: Option<bool>) -> Result<(), Error> {
        let mut noted = self.noted();
        let was_over = std::mem::replace(&mut noted.is_over, true);
        let Some(file) = noted.file.as_mut().filter(|_| !was_over) else {
            return Ok(());
        };
        rocks.flush()?;
        let at = CommitLog::position_of(rocks)?;
        let counters = read_state(rocks, state::COUNTERS)?;
        let is_lossy = is_lossy.unwrap_or(file.last().is_lossy);
        file.write(Watermark::new(at, &counters, is_lossy))?;
        file.sync()
    }

    /// Leaves the store as it is, after a write that failed.
    pub(crate) fn give_up(&self) {
        self.noted().is_over = true;
    }

    fn noted(&self) -> MutexGuard<'_, NotedMark> {
        // An interrupted update leaves a watermark that is lower than it could be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
