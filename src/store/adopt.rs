//! A store that comes from elsewhere, and one that goes its own way: becoming a copy, and ceasing
//! to be one.
//!
//! Must not know how a store was fetched. Invariants: a copy is known as one before it counts; a
//! store whose commits are nowhere else is moved aside, never removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::bulk::new_store_id;
use super::datadir::DataDir;
use super::error::Error;
use super::journal::Journal;
use super::position::Position;
use super::read::{Opening, Store, check_format};

/// A store that was fetched, complete and durable.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Its files.
    pub dir: &'a Path,
    /// Whom it is a copy of.
    pub primary: &'a str,
}

/// What becomes of the store that counted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// All that it holds is in the new one: it is removed.
    Contained,
    /// It was here, and not all of that is in the new one: it is moved aside.
    Diverged(Position),
}

/// Where a copy of another store is put together within a data directory.
#[must_use]
pub fn bootstrap_dir(data_dir: &Path) -> PathBuf {
    DataDir::bootstrap_in(data_dir)
}

/// Whether there is a store in a data directory.
pub fn has_store(data_dir: &Path) -> Result<bool, Error> {
    if !data_dir.exists() {
        return Ok(false);
    }
    Ok(DataDir::lock(data_dir, "reviewsd serve")?
        .current()?
        .is_some())
}

/// Makes a store that was fetched the one that counts. Gives where the one before is kept.
pub fn adopt(data_dir: &Path, copy: Arrival<'_>, before: Before) -> Result<Option<PathBuf>, Error> {
    let data = DataDir::lock(data_dir, "reviewsd serve")?;
    check_format(copy.dir)?;
    let kept = match before {
        Before::Contained => None,
        Before::Diverged(Position { epoch, seq, chain }) => {
            data.keep_current_as(&format!("{epoch}-{seq}-{chain:016x}"))?
        }
    };
    // A name that no store here has had: the one it replaces may have the same id.
    let place = data.place(new_store_id()?);
    fs::rename(copy.dir, &place).map_err(Error::io(format!(
        "move {} to {}",
        copy.dir.display(),
        place.display()
    )))?;
    data.set_follows(Some(copy.primary))?;
    data.publish(&place)?.remove()?;
    Ok(kept)
}

/// Notes, durably, that the open store follows `primary` from now on.
pub fn follow(store: &Store, primary: &str) -> Result<(), Error> {
    if store.data().follows()?.as_deref() == Some(primary) {
        return Ok(());
    }
    store.data().set_follows(Some(primary))
}

/// Makes a copy a primary: it begins a new epoch, durably. Gives where it was and where it is.
pub fn promote(
    data_dir: &Path,
    memory: u64,
    accept_loss: bool,
) -> Result<(Position, Position), Error> {
    let opening = Opening {
        accept_loss,
        ..Opening::to_look(memory)
    };
    let store = Store::open_existing(data_dir, "reviewsd promote", opening)?;
    let mut journal = Journal::resume(store.rocks())?;
    let before = journal.head();
    let after = journal.begin_epoch(store.rocks())?.after;
    store.durability().note(after, &store.counters()?)?;
    store.durability().set_lossy(false)?;
    store.data().set_follows(None)?;
    store.data().set_restored(false)?;
    store.data().sweep_bootstrap()?;
    Ok((before, after))
}

/// Makes all files of a directory, and their names, durable.
pub fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}
