//! The state of a store that takes no writes for want of space, and whether there is space again.
//!
//! Must not know the writer. Invariants: it is in memory alone, since the disk has no space to note it;
//! nothing is written to the store from then on; only another process, which opens the store anew, leads
//! out of it, because after a failed write the log may hold what RocksDB's memory does not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::io::Errno;
use tokio::sync::watch;

use crate::error::Error;

/// The reason for which a store takes no writes for want of space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFull {
    /// The write that failed, as a sentence.
    pub why: Arc<str>,
    /// True if it was so before the store took any write. An epoch that it is to begin is not begun then,
    /// so that its positions cannot be held against those of others.
    pub since_start: bool,
}

/// The state of an open store.
#[derive(Debug, Default)]
pub(crate) struct DiskSpace(watch::Sender<Option<DiskFull>>);

impl DiskSpace {
    /// Notes the write that failed; the first one stands.
    pub(crate) fn note(&self, error: &Error, since_start: bool) {
        self.0.send_if_modified(|full| {
            let is_news = full.is_none();
            full.get_or_insert_with(|| DiskFull {
                why: error.to_string().into(),
                since_start,
            });
            is_news
        });
    }

    /// The state.
    pub(crate) fn get(&self) -> Option<DiskFull> {
        self.0.borrow().clone()
    }

    /// Returns true if no writes are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns a receiver of the state.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<DiskFull>> {
        self.0.subscribe()
    }
}

/// Returns true if a file of so many bytes has space in a directory. The file has no name and vanishes at
/// once. A quota, or a file system without free inodes, is not seen in the free space that the file system
/// reports. A file system that has no such files is not thereby full.
pub(crate) fn has_space_for(dir: &Path, bytes: u64) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let made = open(dir, flags, Mode::RUSR | Mode::WUSR)
        .and_then(|file| fallocate(file, FallocateFlags::empty(), 0, bytes));
    !matches!(made, Err(Errno::NOSPC | Errno::DQUOT))
}

/// Returns true if an error of the system is about want of space.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(error: Errno) -> Error {
        Error::io("write")(error.into())
    }

    #[test]
    fn only_want_of_space_makes_a_store_full() {
        let of_rocks = |why: &str| Error::Rocks {
            doing: "write to the store".to_owned(),
            why: why.to_owned(),
        };
        for error in [
            failed(Errno::NOSPC),
            failed(Errno::DQUOT),
            of_rocks(
                "IO error: No space left on device: While appending to file: 000012.log: No space left on device",
            ),
            of_rocks("IO error: While fdatasync: /d/000012.log: Disk quota exceeded"),
        ] {
            assert!(error.is_no_space(), "{error}");
        }
        for error in [
            failed(Errno::IO),
            failed(Errno::ROFS),
            failed(Errno::FBIG),
            of_rocks("IO error: While fdatasync: /d/000012.log: Input/output error"),
            of_rocks("Corruption: block checksum mismatch"),
        ] {
            assert!(!error.is_no_space(), "{error}");
        }
    }

    #[test]
    fn the_first_write_that_fails_is_the_reason() {
        let fullness = DiskSpace::default();
        assert!(!fullness.is_full());
        let first = failed(Errno::NOSPC);
        fullness.note(&first, false);
        fullness.note(&failed(Errno::DQUOT), true);
        let full = fullness.get().unwrap();
        assert_eq!((&*full.why, full.since_start), (&*first.to_string(), false));
    }

    #[test]
    fn the_file_that_asks_for_space_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(has_space_for(dir.path(), 4096));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        // A file system without such files is no reason to wait.
        assert!(has_space_for(Path::new("/proc/self"), 4096));
    }
}
