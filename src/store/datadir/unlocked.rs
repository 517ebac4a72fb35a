//! A data directory that another process may work on, read without its lock.
//!
//! Must not change anything. Invariant: what is read may be of the moment before, so a caller that
//! concludes something from it calls [`is_locked`] afterwards.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::super::error::Error;
use super::files;
use super::{BACKUP, FENCED, FOLLOWS, LINK, LOCK};

/// Returns true if a process works on a data directory. The check takes the lock for an instant.
pub(crate) fn is_locked(data_dir: &Path) -> Result<bool, Error> {
    let file = data_dir.join(LOCK);
    let lock = match File::open(&file) {
        Ok(lock) => lock,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(Error::io(format!("open {}", file.display()))(e)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(Error::io(format!("look at {}", file.display()))(e)),
    }
}

/// Returns the current store of a data directory, if there is one.
pub(crate) fn current(data_dir: &Path) -> Result<Option<PathBuf>, Error> {
    let link = data_dir.join(LINK);
    match fs::read_link(&link) {
        Ok(name) => {
            let store = data_dir.join(name);
            if store.is_dir() {
                return Ok(Some(store));
            }
            Err(Error::Gone { store, link })
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(format!("read the link {}", link.display()))(e)),
    }
}

/// Returns the primary that a store is a replica of; `None` for a primary's.
pub(crate) fn follows(store: &Path) -> Result<Option<String>, Error> {
    let text = files::read(&store.join(FOLLOWS))?;
    Ok(text.map(|text| text.trim().to_owned()))
}

/// The reason for which a store takes no writes, as it was noted.
pub(crate) fn fenced(store: &Path) -> Result<Option<String>, Error> {
    files::read(&store.join(FENCED))
}

/// The note of the last complete backup.
pub(crate) fn backed_up(data_dir: &Path) -> Result<Option<String>, Error> {
    files::read(&data_dir.join(BACKUP))
}
