//! A store that is put together from a backup, in a place of its own until it is whole.
//!
//! ```text
//! DIR/restore/              a data directory within the one that is restored to
//! DIR/restore/store-000…/   the files, as they come
//! ```
//!
//! Must not know where files and commits come from. Invariants: nothing that is in the directory is
//! touched; as long as the store is not whole there is none that could be served, and no other is made
//! in its place; after a crash at any moment the next process resumes the restore. What is restored is byte
//! for byte what it was; the first server of it begins an epoch, so that what it was before and what comes
//! of it are told apart.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataDir;
use super::adopt::sync_all;
use super::files::{remove_tree, rename};
use crate::error::Error;
use crate::state::check_format;
use crate::state::new_store_id;
use crate::store::{OpenOptions, Store};

const WHO: &str = "reviewsd restore";
/// The name of the store until it counts, always the same, so that it is found again.
const UNFINISHED: u128 = 0;

/// A store on its way into a data directory, which no other process works on meanwhile.
pub struct Restoring {
    data: DataDir,
    inner: PathBuf,
}

impl Restoring {
    /// Begins, or goes on with, a store in a directory that has nothing else in it.
    pub fn begin(data_dir: &Path) -> Result<Self, Error> {
        let data = DataDir::lock(data_dir, WHO)?;
        let inner = data.restore();
        if let Some(what) = data.occupant()? {
            return Err(Error::Occupied {
                dir: data_dir.to_owned(),
                what,
                advice: "restore into a directory that is empty, or move away what is in it",
            });
        }
        let restoring = Self { data, inner };
        restoring.with_inner(DataDir::unlink)?;
        let place = restoring.place();
        fs::create_dir_all(&place).map_err(Error::io(format!("make {}", place.display())))?;
        Ok(restoring)
    }

    fn with_inner<T>(&self, work: impl FnOnce(&DataDir) -> Result<T, Error>) -> Result<T, Error> {
        work(&DataDir::lock(&self.inner, WHO)?)
    }

    /// Returns the directory of its files.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.inner.join(format!("store-{UNFINISHED:032x}"))
    }

    /// Opens it, once all its files are there, to apply commits to it.
    pub fn open(&self, memory: u64) -> Result<Store, Error> {
        let place = self.place();
        check_format(&place)?;
        self.with_inner(|inner| inner.publish(&place)?.remove())?;
        Store::open_existing(&self.inner, WHO, OpenOptions::to_look(memory))
    }

    /// Makes it the current store of the directory. It must be closed, and durable.
    pub fn publish(self) -> Result<(), Error> {
        let from = self.place();
        sync_all(&from).map_err(Error::io(format!("make {} durable", from.display())))?;
        // Before it counts: it may go another way from here than the one that was backed up did.
        DataDir::mark_restored(&from)?;
        let place = self.data.begin_store(new_store_id()?)?;
        rename(&from, &place)?;
        self.data.publish(&place)?.remove()?;
        remove_tree(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    const MEMORY: u64 = 32 << 20;

    /// The files of a small store.
    fn files() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), "test", MEMORY, 0).unwrap());
        dir
    }

    fn copy(from: &Path, to: &Path) {
        for entry in fs::read_dir(from.join("store")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    fn refused(dir: &Path) -> String {
        Restoring::begin(dir).err().unwrap().to_string()
    }

    #[test]
    fn a_store_that_is_not_whole_is_none() {
        let (files, dir) = (files(), tempfile::tempdir().unwrap());
        let serve = || Store::open(dir.path(), "test", MEMORY, 0).map(drop);
        for cut in 0..3 {
            let restoring = Restoring::begin(dir.path()).unwrap();
            copy(files.path(), &restoring.place());
            if cut == 1 {
                drop(restoring.open(MEMORY).unwrap());
            }
            if cut == 2 {
                // The last step, cut off before the link is there.
                let place = restoring.data.begin_store(7).unwrap();
                fs::rename(restoring.place(), place).unwrap();
            }
            drop(restoring);
            let why = serve().unwrap_err().to_string();
            assert!(why.contains("an incomplete restored store"), "{why}");
        }
        let restoring = Restoring::begin(dir.path()).unwrap();
        copy(files.path(), &restoring.place());
        drop(restoring.open(MEMORY).unwrap());
        restoring.publish().unwrap();
        serve().unwrap();
        assert!(!dir.path().join("restore").exists());
        assert!(refused(dir.path()).contains("already contains a store"));
    }

    #[test]
    fn a_directory_with_something_in_it_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.odt"), "").unwrap();
        let why = refused(dir.path());
        assert!(why.contains("already contains thesis.odt"), "{why}");
        assert!(!dir.path().join("restore").exists());
        // A store whose link was deleted is not a leftover of a restore.
        let dir = tempfile::tempdir().unwrap();
        let lost = dir.path().join(format!("store-{:032x}", 5));
        fs::create_dir(&lost).unwrap();
        assert!(refused(dir.path()).contains("already contains store-"));
        assert!(lost.exists());
    }

    #[test]
    fn a_restore_that_was_cut_off_at_its_very_end_is_over() {
        let (files, dir) = (files(), tempfile::tempdir().unwrap());
        let restoring = Restoring::begin(dir.path()).unwrap();
        copy(files.path(), &restoring.place());
        restoring.publish().unwrap();
        fs::create_dir(dir.path().join("restore")).unwrap();
        assert!(refused(dir.path()).contains("already contains a store"));
        drop(Store::open(dir.path(), "test", MEMORY, 0).unwrap());
        assert!(!dir.path().join("restore").exists());
    }
}
