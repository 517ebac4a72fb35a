//! The data directory: which process may work on it, and which store in it is the current one.
//!
//! ```text
//! DIR/LOCK          held by the one process that works on the directory, with that process's name
//! DIR/store         a symbolic link to the store that counts
//! DIR/store-<id>/   a store; one that the link does not name is a leftover
//! DIR/PENDING       the name of a store that is being made, until it counts
//! DIR/ACCEPT        the id of the store that a replica may take instead of its own
//! DIR/REPLICAS      the admin ports of the replicas that were served last
//! DIR/BACKUP        when the last complete backup was, and how far it reaches
//! DIR/HOT           which answers are requested most
//! DIR/bootstrap/    a replica's store, while it is fetched
//! DIR/checkpoint/   checkpoints of this store, for replicas and backups to fetch
//! DIR/restore/      a store that is being restored, as a data directory of its own
//! DIR/diverged-…/   a store that another one replaced, with commits that it alone may hold
//! DIR/rejects.csv   what the last import rejected
//! DIR/set-aside.txt values that a repair quarantined
//! ```
//!
//! The directory of a store holds the marks of that store (`datadir/marks.rs`).
//!
//! Must not know what is in a store. Invariants: one process at a time, which begins by removing the
//! leftovers of earlier ones; the link changes by one rename, so that at every instant it names a complete
//! store or there is none; where there is none, no store is removed but one that was never complete.

pub(crate) mod adopt;
pub(crate) mod diverged;
pub(crate) mod fetched;
pub(crate) mod files;
pub(crate) mod last_backup;
mod marks;
pub(crate) mod on_disk;
pub(crate) mod predecessors;
pub(crate) mod restore;
pub(crate) mod taken_writes;
pub(super) mod unlocked;
pub(crate) mod user;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::Error;
use super::writer::disk_space::is_no_space;
use files::{
    NEXT, link, make_dirs, names_in, remove_file, remove_tree, rename, sync, write_durably,
};
use marks::{FENCED, FOLLOWS, KEEP, MARKS, RESTORED};
use user::refuse_as_root;

const LINK: &str = "store";
const NEXT_LINK: &str = "store.next";
const STORE_PREFIX: &str = "store-";
const LOCK: &str = "LOCK";
const PENDING: &str = "PENDING";
const ACCEPT: &str = "ACCEPT";
const REPLICAS: &str = "REPLICAS";
const BACKUP: &str = "BACKUP";
const HOT: &str = "HOT";
const BOOTSTRAP: &str = "bootstrap";
const CHECKPOINT: &str = "checkpoint";
const RESTORE: &str = "restore";
/// The prefix of the names of diverged stores, which were moved aside.
pub(super) const KEPT_PREFIX: &str = "diverged-";
/// The names that may stand in a data directory, besides those of stores.
const OURS: [&str; 12] = [
    LOCK, LINK, NEXT_LINK, BOOTSTRAP, CHECKPOINT, RESTORE, PENDING, ACCEPT, REPLICAS, BACKUP, HOT,
    // Names of earlier versions, which stay until the next process.
    FOLLOWS,
];
/// Other files that may stand in the directory: the importer's rejects, values that a repair quarantined,
/// and what file systems put there.
const HARMLESS: [&str; 3] = ["rejects.csv", "set-aside.txt", "lost+found"];

/// The permissions of everyone but a file's owner.
const OTHERS: u32 = 0o077;

/// A data directory that this process alone works on, until it is dropped.
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where there is none, locks it in the name of `who`, and removes what an earlier
    /// process began and did not finish.
    pub(super) fn lock(path: &Path, who: &str) -> Result<Self, Error> {
        refuse_as_root(path)?;
        make_dirs(path)?;
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&file)
            .map_err(Error::io(format!("open {}", file.display())))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                // The name is a courtesy: without it the refusal stands all the same.
                let _ = lock.read_to_string(&mut by);
                let by = match by.trim() {
                    "" => "another process".to_owned(),
                    by => by.to_owned(),
                };
                return Err(Error::InUse {
                    dir: path.to_owned(),
                    by,
                });
            }
            Err(TryLockError::Error(e)) => {
                return Err(Error::io(format!("lock {}", file.display()))(e));
            }
        }
        let named = write_name(
            &mut lock,
            &format!("{who} (process {})", std::process::id()),
        );
        named.map_err(Error::io(format!("write {}", file.display())))?;
        let data = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        data.hide()?;
        data.sweep()?;
        Ok(data)
    }

    /// Takes from every entry that holds reviews the permissions of everyone but its owner: versions that
    /// relied on the umask left them readable by all.
    fn hide(&self) -> Result<(), Error> {
        for name in self.names()?.iter().filter(|name| holds_reviews(name)) {
            let path = self.path.join(name);
            let doing = || format!("set the permissions of {}", path.display());
            let found = fs::symlink_metadata(&path).map_err(Error::io(doing()))?;
            let mode = found.permissions().mode();
            let own = mode & !OTHERS;
            if found.is_symlink() || mode == own {
                continue;
            }
            match fs::set_permissions(&path, PermissionsExt::from_mode(own)) {
                // Those of another user's file are for that user to set.
                Err(e) if e.kind() != io::ErrorKind::PermissionDenied => {
                    return Err(Error::io(doing())(e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the current store, if there is one.
    pub(super) fn current(&self) -> Result<Option<PathBuf>, Error> {
        unlocked::current(&self.path)
    }

    /// Returns a name in the directory that is not this program's, if there is one.
    fn foreign(&self) -> Result<Option<String>, Error> {
        Ok(self.names()?.into_iter().find(|name| {
            let whole = name.strip_suffix(NEXT).unwrap_or(name);
            !(is_store(name)
                || OURS.contains(&whole)
                || whole == RESTORED
                || name.starts_with(KEPT_PREFIX)
                || HARMLESS.contains(&name.as_str()))
        }))
    }

    /// Refuses a directory that holds files of others, or half of a store that is to be.
    pub(super) fn refuse_foreign(&self) -> Result<(), Error> {
        if self.restore().exists() {
            return Err(Error::Occupied {
                dir: self.path.clone(),
                what: "an incomplete restored store".to_owned(),
                advice: "finish it with `reviewsd restore`, or delete the directory restore in it",
            });
        }
        if let Some(name) = self.foreign()? {
            return Err(Error::Occupied {
                dir: self.path.clone(),
                what: format!("{name}, which is not reviewsd's"),
                advice: "choose a directory of its own for --data",
            });
        }
        if self.current()?.is_some() {
            return Ok(());
        }
        self.refuse_unnamed()
    }

    /// Refuses a directory that has stores but no current one.
    pub(super) fn refuse_unnamed(&self) -> Result<(), Error> {
        let unnamed = self.names()?.into_iter().find(|name| is_store(name));
        unnamed.map_or(Ok(()), |name| {
            Err(Error::Occupied {
                dir: self.path.clone(),
                what: format!("{name}, a store that the link `store` does not name"),
                advice: "create that link (ln -s) to serve it, or move it away",
            })
        })
    }

    /// Removes what an earlier process began and did not finish.
    fn sweep(&self) -> Result<(), Error> {
        let next = self.path.join(NEXT_LINK);
        if next.is_symlink() {
            remove_file(&next)?;
        }
        let current = self.current()?;
        let pending = self.path.join(PENDING);
        let begun = files::read(&pending)?;
        for name in self.names()? {
            let path = self.path.join(&name);
            let is_left = match &current {
                Some(current) => path != *current,
                // A store that was complete may have lost its link.
                None => begun.as_deref() == Some(&*name),
            };
            if is_store(&name) && is_left {
                self.discard(&path)?;
            } else if name == CHECKPOINT || (name == RESTORE && current.is_some()) {
                remove_tree(&path)?;
            }
        }
        for file in [pending, self.path.join(format!("{PENDING}{NEXT}"))] {
            remove_if_there(&file)?;
        }
        let Some(current) = current else {
            return Ok(());
        };
        // It was to be replaced, and was not.
        remove_if_there(&current.join(KEEP))?;
        for mark in MARKS {
            remove_if_there(&current.join(format!("{mark}{NEXT}")))?;
        }
        self.bring_in(&current, FOLLOWS)?;
        self.bring_in(&current, RESTORED)
    }

    /// Removes the fetched part of another store that did not become one here.
    pub(super) fn sweep_bootstrap(&self) -> Result<(), Error> {
        remove_tree(&Self::bootstrap_in(&self.path))
    }

    /// Returns the directory in which a replica's store is put together.
    pub(super) fn bootstrap_in(data_dir: &Path) -> PathBuf {
        data_dir.join(BOOTSTRAP)
    }

    /// Returns the directory of checkpoints of this store, for replicas and backups to fetch.
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// Returns the directory in which a store is restored.
    pub(super) fn restore(&self) -> PathBuf {
        self.path.join(RESTORE)
    }

    /// Returns a name in the directory that a store which is restored there would come to stand beside.
    pub(super) fn occupant(&self) -> Result<Option<String>, Error> {
        let is_ours =
            |name: &String| [LOCK, RESTORE, RESTORED, "lost+found"].contains(&name.as_str());
        let mut others = self.names()?;
        others.retain(|name| !is_ours(name));
        let is_store = others.iter().any(|name| name == LINK);
        Ok(others
            .pop()
            .map(|name| if is_store { "a store".to_owned() } else { name }))
    }

    /// Returns the admin ports of the replicas that were served last, a line each.
    pub(super) fn replicas(&self) -> Result<Option<String>, Error> {
        files::read(&self.path.join(REPLICAS))
    }

    /// Notes them, durably.
    pub(super) fn set_replicas(&self, lines: &str) -> Result<(), Error> {
        write_durably(&self.path.join(REPLICAS), lines)
    }

    /// Returns the note of the answers that are requested most.
    pub(super) fn hot_answers(&self) -> Result<Option<String>, Error> {
        files::read(&self.path.join(HOT))
    }

    /// Notes them, durably.
    pub(super) fn set_hot_answers(&self, note: &str) -> Result<(), Error> {
        write_durably(&self.path.join(HOT), note)
    }

    /// Notes the last complete backup, durably.
    pub(super) fn set_backed_up(&self, note: &str) -> Result<(), Error> {
        write_durably(&self.path.join(BACKUP), note)
    }

    /// The file with the id of the store that a replica may take instead of its own. An operator writes it
    /// while the directory is locked.
    pub(super) fn accept_in(data_dir: &Path) -> PathBuf {
        data_dir.join(ACCEPT)
    }

    /// Forgets which store is current.
    pub(super) fn unlink(&self) -> Result<(), Error> {
        remove_file(&self.path.join(LINK))
    }

    /// Notes, durably, that the current store is to be moved aside under a name when another takes its
    /// place. Returns where it will be.
    pub(super) fn keep_current_as(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let Some(current) = self.current()? else {
            return Ok(None);
        };
        let name = format!("{KEPT_PREFIX}{name}");
        write_durably(&current.join(KEEP), &name)?;
        Ok(Some(self.free(&name)))
    }

    /// Returns a free name for a store that is moved aside.
    fn free(&self, name: &str) -> PathBuf {
        let more = (2..).map(|number: u32| self.path.join(format!("{name}-{number}")));
        let mut names = std::iter::once(self.path.join(name)).chain(more);
        names
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.path.join(name))
    }

    /// Removes a store that does not count any more, or moves it aside where that was noted.
    fn discard(&self, store: &Path) -> Result<(), Error> {
        let name = files::read(&store.join(KEEP))?;
        match name.filter(|name| name.starts_with(KEPT_PREFIX) && !name.contains('/')) {
            None => remove_tree(store),
            Some(name) => {
                rename(store, &self.free(&name))?;
                sync(&self.path)
            }
        }
    }

    /// Makes a diverged store a leftover, which the next process removes. Returns where it is.
    pub(super) fn release(&self, kept: &Path, as_id: u128) -> Result<PathBuf, Error> {
        // With that file, it would be moved aside again.
        remove_if_there(&kept.join(KEEP))?;
        let leftover = self.place(as_id);
        rename(kept, &leftover)?;
        sync(&self.path)?;
        Ok(leftover)
    }

    /// Begins a new store with this id. Returns where it is to be built; as long as it does not count, the
    /// next process removes it.
    pub(super) fn begin_store(&self, store_id: u128) -> Result<PathBuf, Error> {
        let place = self.place(store_id);
        let name = format!("{STORE_PREFIX}{store_id:032x}");
        write_durably(&self.path.join(PENDING), &name)?;
        Ok(place)
    }

    /// Removes a store that was begun and is not to be.
    pub(super) fn give_up(&self, place: &Path) -> Result<(), Error> {
        remove_tree(place)?;
        remove_file(&self.path.join(PENDING))
    }

    /// The path of the store with this id.
    fn place(&self, store_id: u128) -> PathBuf {
        self.path.join(format!("{STORE_PREFIX}{store_id:032x}"))
    }

    /// Makes `store`, complete and durable, the current one. The returned handle stands for what remains to
    /// be done once it is: removing the one before, which the next process does if this one cannot.
    pub(super) fn publish(&self, store: &Path) -> Result<PreviousStore<'_>, Error> {
        let before = self.current()?.filter(|before| before != store);
        let doing = || format!("make {} the current store", store.display());
        let next = self.path.join(NEXT_LINK);
        let name = store
            .file_name()
            .ok_or_else(|| Error::io(doing())(io::ErrorKind::InvalidInput.into()))?;
        sync(store)?;
        link(Path::new(name), &next)?;
        // The store's own entry must not come to the disk after the link that names it.
        sync(&self.path)?;
        rename(&next, &self.path.join(LINK))?;
        Ok(PreviousStore {
            data: self,
            store: before,
        })
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        names_in(&self.path)
    }
}

/// Writes the holder of a lock into its file; a full disk may have no space for that, and then it has no
/// name.
fn write_name(lock: &mut File, name: &str) -> io::Result<()> {
    lock.set_len(0)?;
    match lock.write_all(name.as_bytes()) {
        Err(e) if is_no_space(&e) => lock.set_len(0),
        written => written,
    }
}

/// Removes a file, if there is one.
fn remove_if_there(file: &Path) -> Result<(), Error> {
    if file.exists() {
        remove_file(file)?;
    }
    Ok(())
}

/// Returns true if a name is one that [`DataDir::place`] gives.
fn is_store(name: &str) -> bool {
    let id = name.strip_prefix(STORE_PREFIX).map(str::as_bytes);
    id.is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit))
}

/// Returns true if the entry of this name in the data directory holds reviews, or rows that were to be
/// some.
fn holds_reviews(name: &str) -> bool {
    is_store(name)
        || name.starts_with(KEPT_PREFIX)
        || [
            BOOTSTRAP,
            CHECKPOINT,
            RESTORE,
            "rejects.csv",
            "set-aside.txt",
        ]
        .contains(&name)
}

/// The store that counted before another was published.
#[must_use = "the link is durable, and the store removed, only once this is finished"]
pub(super) struct PreviousStore<'d> {
    data: &'d DataDir,
    store: Option<PathBuf>,
}

impl PreviousStore<'_> {
    /// Makes the new link durable and then removes the store it named before.
    pub(super) fn remove(self) -> Result<(), Error> {
        sync(&self.data.path)?;
        if let Some(store) = &self.store {
            self.data.discard(store)?;
        }
        remove_file(&self.data.path.join(PENDING))
    }
}

#[cfg(test)]
mod tests;
