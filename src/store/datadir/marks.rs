//! The marks of a store: files in its directory, so that they count exactly when it does.
//!
//! ```text
//! FOLLOWS           the primary that the store is a replica of; there is none on a primary
//! RESTORED          there until a restored store is served
//! FENCED            why the store takes no writes, until an operator says that it may
//! KEEP              the name under which the store is moved aside when another one counts
//! ```
//!
//! Must not know what a mark is for. Invariant: a mark is durable once it is set or taken away.

use std::path::Path;

use super::files::{remove_file, sync, write_durably};
use super::{DataDir, files, remove_if_there, unlocked};
use crate::error::Error;

pub(super) const FOLLOWS: &str = "FOLLOWS";
pub(super) const RESTORED: &str = "RESTORED";
pub(super) const FENCED: &str = "FENCED";
pub(super) const KEEP: &str = "KEEP";
/// The names of the files that may stand in a store's directory besides RocksDB's.
pub(super) const MARKS: [&str; 4] = [FOLLOWS, RESTORED, FENCED, KEEP];

impl DataDir {
    /// A mark of the store that counts; `None` where it does not have it.
    fn mark(&self, mark: &str) -> Result<Option<String>, Error> {
        self.current()?
            .map_or(Ok(None), |store| files::read(&store.join(mark)))
    }

    /// Gives the store that counts a mark, durably, or takes it away.
    fn set_mark(&self, mark: &str, text: Option<&str>) -> Result<(), Error> {
        let Some(store) = self.current()? else {
            return Ok(());
        };
        let file = store.join(mark);
        if let Some(text) = text {
            return write_durably(&file, text);
        }
        remove_if_there(&file)?;
        sync(&store)
    }

    /// Returns true if the store was restored and never served since.
    pub(crate) fn is_restored(&self) -> Result<bool, Error> {
        Ok(self.mark(RESTORED)?.is_some())
    }

    /// Notes, durably, that the store was served since it was restored.
    pub(crate) fn set_served(&self) -> Result<(), Error> {
        self.set_mark(RESTORED, None)
    }

    /// Marks a store that does not count yet as a restored one.
    pub(crate) fn mark_restored(store: &Path) -> Result<(), Error> {
        write_durably(&store.join(RESTORED), "")
    }

    /// Marks a store that does not count yet as a replica of the one at `primary`.
    pub(crate) fn mark_follows(store: &Path, primary: &str) -> Result<(), Error> {
        write_durably(&store.join(FOLLOWS), primary)
    }

    /// Marks a store that does not count yet as one that takes no writes, and says why.
    pub(crate) fn mark_fenced(store: &Path, why: &str) -> Result<(), Error> {
        write_durably(&store.join(FENCED), why)
    }

    /// Returns the reason for which the store takes no writes; `None` where it does.
    pub(crate) fn fenced(&self) -> Result<Option<String>, Error> {
        let store = self.current()?;
        store.map_or(Ok(None), |store| unlocked::fenced(&store))
    }

    /// Notes, durably, why the store takes no writes, or that it does.
    pub(crate) fn set_fenced(&self, why: Option<&str>) -> Result<(), Error> {
        self.set_mark(FENCED, why)
    }

    /// Returns the primary that the store is a replica of.
    pub(crate) fn follows(&self) -> Result<Option<String>, Error> {
        let store = self.current()?;
        store.map_or(Ok(None), |store| unlocked::follows(&store))
    }

    /// Notes, durably, the primary that the store is a replica of, or that it is none.
    pub(crate) fn set_follows(&self, primary: Option<&str>) -> Result<(), Error> {
        self.set_mark(FOLLOWS, primary)
    }

    /// Moves a mark into the directory of the store that it is about: earlier versions stored it beside
    /// that directory.
    pub(super) fn bring_in(&self, store: &Path, mark: &str) -> Result<(), Error> {
        let beside = self.path.join(mark);
        let Some(text) = files::read(&beside)? else {
            return Ok(());
        };
        write_durably(&store.join(mark), &text)?;
        remove_file(&beside)?;
        sync(&self.path)
    }
}
