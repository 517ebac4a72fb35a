//! Adoption of a fetched store, and promotion: how a store becomes a replica, and how it ceases to be one.
//!
//! Must not know how a store was fetched. Invariants: a store is known as a replica exactly when it counts;
//! a store whose commits may be nowhere else is moved aside, never removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::DataDir;
use super::files::{self, remove_file, rename, write_durably};
use super::predecessors::place_of;
use crate::error::Error;
use crate::fence::Fence;
use crate::log::commit_log::CommitLog;
use crate::log::history::{Lineage, lineage_in};
use crate::log::position::{LogPosition, epoch_key};
use crate::rocks::Rocks;
use crate::state::check_format;
use crate::state::new_store_id;
use crate::store::{OpenOptions, Store};

/// A store that was fetched, complete and durable.
#[derive(Debug, Clone, Copy)]
pub struct FetchedStore<'a> {
    /// Its files.
    pub dir: &'a Path,
    /// The primary that it is a replica of.
    pub primary: &'a str,
}

/// The choice of what happens to the old store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldStore {
    /// It is only behind the new one: it is removed, if the histories of both agree.
    Contained,
    /// The new store does not hold all of it, or that is not known: it is moved aside.
    Diverged,
}

/// Returns the directory, within a data directory, in which a replica's store is put together.
#[must_use]
pub fn bootstrap_dir(data_dir: &Path) -> PathBuf {
    DataDir::bootstrap_in(data_dir)
}

/// Returns true if there is a store in a data directory; an error where there is one that no link names.
pub fn has_store(data_dir: &Path) -> Result<bool, Error> {
    if !data_dir.exists() {
        return Ok(false);
    }
    let data = DataDir::lock(data_dir, "reviewsd serve")?;
    let has_store = data.current()?.is_some();
    if !has_store {
        data.refuse_unnamed()?;
    }
    Ok(has_store)
}

/// Makes a fetched store the current one. Returns where the old one was moved to, if it was.
pub fn adopt(
    data_dir: &Path,
    copy: FetchedStore<'_>,
    before: OldStore,
) -> Result<Option<PathBuf>, Error> {
    let data = DataDir::lock(data_dir, "reviewsd serve")?;
    check_format(copy.dir)?;
    let kept = match data.current()? {
        Some(current) => {
            let old = StorePosition::of(&current)?;
            if before == OldStore::Contained
                && StorePosition::of(copy.dir)?.has_had(&old, copy.dir)?
            {
                None
            } else {
                data.keep_current_as(&old.name())?
            }
        }
        None => None,
    };
    DataDir::mark_follows(copy.dir, copy.primary)?;
    // A name that no store here has had: the one it replaces may have the same id.
    let place = data.begin_store(new_store_id()?)?;
    rename(copy.dir, &place)?;
    data.publish(&place)?.remove()?;
    remove_file(&DataDir::accept_in(data_dir))?;
    Ok(kept)
}

/// Returns the id of the store in a directory, and its position.
struct StorePosition {
    store_id: u128,
    at: LogPosition,
}

impl StorePosition {
    fn of(dir: &Path) -> Result<Self, Error> {
        let (store_id, at) = place_of(dir)?;
        Ok(Self { store_id, at })
    }

    /// Returns the name under which it is moved aside.
    fn name(&self) -> String {
        let Self { store_id, at } = self;
        let LogPosition { epoch, seq, chain } = at;
        format!("{epoch}-{seq}-{chain:016x}-{store_id:032x}")
    }

    /// Returns true if the store, which is in `dir`, went on from the position of `old`, as far as the
    /// epochs tell.
    fn has_had(&self, old: &Self, dir: &Path) -> Result<bool, Error> {
        let begin = |epoch| {
            let row = Rocks::peek_state(dir, &epoch_key(epoch))?;
            Ok(row.and_then(|row| LogPosition::from_value(&row)))
        };
        let lineage = lineage_in(old.at, self.at.epoch, begin)?;
        Ok(
            self.store_id == old.store_id
                && lineage == Lineage::Shared
                && self.at.seq >= old.at.seq,
        )
    }
}

/// Lets the replica in a data directory, which may be running, take the store with this id instead of its
/// own.
pub fn accept(data_dir: &Path, store_id: u128) -> Result<(), Error> {
    if !data_dir.join("store").exists() {
        return Err(Error::NoStore {
            dir: data_dir.to_owned(),
        });
    }
    write_durably(&DataDir::accept_in(data_dir), &format!("{store_id:032x}\n"))
}

/// Returns the id of the store that it may take; `None` where it may take no other than its own.
pub fn accepted(data_dir: &Path) -> Result<Option<u128>, Error> {
    let file = DataDir::accept_in(data_dir);
    let Some(text) = files::read(&file)? else {
        return Ok(None);
    };
    let id = u128::from_str_radix(text.trim(), 16);
    let id = id.map_err(|_| Error::Damaged {
        what: file.display().to_string(),
        why: "it is no id of a store".to_owned(),
    })?;
    Ok(Some(id))
}

/// Notes, durably, that the open store follows `primary` from now on. A replica is written to by its
/// primary alone, so whatever stopped the store's own writes is over.
pub fn follow(store: &Store, primary: &str) -> Result<(), Error> {
    let data = store.data();
    if data.follows()?.as_deref() != Some(primary) {
        data.set_follows(Some(primary))?;
    }
    if store.fence().is_some() {
        data.set_fenced(None)?;
        store.fences().take_down();
    }
    Ok(())
}

/// Promotes a replica: it begins a new epoch, durably. Returns its positions before and after.
pub fn promote(
    data_dir: &Path,
    memory: u64,
    accept_loss: bool,
) -> Result<(LogPosition, LogPosition), Error> {
    let open_options = OpenOptions {
        accept_loss,
        ..OpenOptions::to_look(memory)
    };
    let store = Store::open_existing(data_dir, "reviewsd promote", open_options)?;
    let mut commit_log = CommitLog::resume(store.rocks())?;
    let before = commit_log.head();
    commit_log.begin_epoch_beyond(store.rocks(), store.fence().map_or(0, Fence::epoch))?;
    let after = commit_log.head();
    store.durability().note(after, &store.counters()?)?;
    store.durability().set_lossy(false)?;
    let data = store.data();
    data.set_follows(None)?;
    data.set_served()?;
    data.set_fenced(None)?;
    data.sweep_bootstrap()?;
    Ok((before, after))
}

/// Makes all files of a directory, and their names, durable.
pub fn sync_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        File::open(entry?.path())?.sync_all()?;
    }
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
