//! The data directory: who may work on it, and which store in it is the one.
//!
//! ```text
//! DIR/LOCK          held by the one process that works on the directory, and who that is
//! DIR/store         a symbolic link to the store that counts
//! DIR/store-<id>/   a store; one that the link does not name is a leftover
//! DIR/FOLLOWS       whom the store is a copy of; there is none on a primary
//! DIR/RESTORED      there until a restored store is served
//! DIR/bootstrap/    a copy of another store on its way here
//! DIR/checkpoint/   copies of this store on their way to others
//! DIR/restore/      a store that is being restored, as a data directory of its own
//! DIR/diverged-…/   a store that went another way than the one it follows now; never removed
//! DIR/rejects.csv   what the last import rejected
//! DIR/set-aside.txt values that a repair set aside
//! ```
//!
//! Must not know what is in a store. Invariants: one process at a time; the link changes by one
//! rename, so that at every instant it names a complete store or there is none.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::Error;
use super::user::refuse_as_root;

const LINK: &str = "store";
const NEXT_LINK: &str = "store.next";
const STORE_PREFIX: &str = "store-";
const LOCK: &str = "LOCK";
const FOLLOWS: &str = "FOLLOWS";
const RESTORED: &str = "RESTORED";
const BOOTSTRAP: &str = "bootstrap";
const CHECKPOINT: &str = "checkpoint";
const RESTORE: &str = "restore";
/// What the names of stores begin with that were moved aside.
pub(super) const KEPT_PREFIX: &str = "diverged-";
/// In a store's directory: under which name it is to be kept when it no longer counts.
const KEEP: &str = "KEEP";
/// What may stand in the directory besides: the importer's rejects, values that a repair set aside,
/// and what file systems put there.
const HARMLESS: [&str; 3] = ["rejects.csv", "set-aside.txt", "lost+found"];

/// The permissions of everybody but a file's owner.
const OTHERS: u32 = 0o077;

/// A data directory that this process alone works on, until it is dropped.
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory where there is none, and locks it in the name of `who`.
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
        lock.set_len(0)
            .and_then(|()| write!(lock, "{who} (process {})", std::process::id()))
            .map_err(Error::io(format!("write {}", file.display())))?;
        let data = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        data.hide()?;
        Ok(data)
    }

    /// Takes from whatever holds reviews the permissions of everybody but its owner: versions that
    /// relied on the umask left it to be read by all.
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

    /// The store that counts, if there is one.
    pub(super) fn current(&self) -> Result<Option<PathBuf>, Error> {
        let link = self.path.join(LINK);
        match fs::read_link(&link) {
            Ok(name) => {
                let store = self.path.join(name);
                if store.is_dir() {
                    return Ok(Some(store));
                }
                Err(Error::Gone { store, link })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("read the link {}", link.display()))(e)),
        }
    }

    /// A name in the directory that is not this program's, if there is one.
    fn foreign(&self) -> Result<Option<String>, Error> {
        Ok(self.names()?.into_iter().find(|name| {
            !(name == LOCK
                || name == LINK
                || name == NEXT_LINK
                || is_store(name)
                || [FOLLOWS, RESTORED, BOOTSTRAP, CHECKPOINT, RESTORE].contains(&name.as_str())
                || name.starts_with(KEPT_PREFIX)
                || HARMLESS.contains(&name.as_str()))
        }))
    }

    /// Refuses a directory with what is not this program's in it, or half of a store that is to be.
    pub(super) fn refuse_foreign(&self) -> Result<(), Error> {
        if self.restore().exists() {
            return Err(Error::Occupied {
                dir: self.path.clone(),
                what: "half of a restored store".to_owned(),
                advice: "finish it with `reviewsd restore`, or remove the directory restore in it",
            });
        }
        self.foreign()?.map_or(Ok(()), |name| {
            Err(Error::Occupied {
                dir: self.path.clone(),
                what: format!("{name}, which is not reviewsd's"),
                advice: "choose a directory of its own for --data",
            })
        })
    }

    /// Removes what an earlier process began and did not finish.
    pub(super) fn sweep(&self) -> Result<(), Error> {
        let current = self.current()?;
        for name in self.names()? {
            let path = self.path.join(&name);
            if name == NEXT_LINK {
                fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
            } else if is_store(&name) && Some(&path) != current.as_ref() {
                self.discard(&path)?;
            } else if name == CHECKPOINT || (name == RESTORE && current.is_some()) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what was fetched of another store and did not become one here.
    pub(super) fn sweep_bootstrap(&self) -> Result<(), Error> {
        remove_tree(&Self::bootstrap_in(&self.path))
    }

    /// Where a copy of another store is put together.
    pub(super) fn bootstrap_in(data_dir: &Path) -> PathBuf {
        data_dir.join(BOOTSTRAP)
    }

    /// Where copies of this store are put for others to fetch.
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// Where a store is restored.
    pub(super) fn restore(&self) -> PathBuf {
        self.path.join(RESTORE)
    }

    /// A name in the directory that a store which is restored there would come to stand beside.
    pub(super) fn occupant(&self) -> Result<Option<String>, Error> {
        let is_ours = |name: &String| {
            [LOCK, RESTORE, RESTORED, NEXT_LINK, "lost+found"].contains(&name.as_str())
        };
        let mut others = self.names()?;
        others.retain(|name| !is_ours(name));
        let is_store = others.iter().any(|name| name == LINK);
        Ok(others
            .pop()
            .map(|name| if is_store { "a store".to_owned() } else { name }))
    }

    /// Whether the store was restored and never served since.
    pub(super) fn is_restored(&self) -> bool {
        self.path.join(RESTORED).exists()
    }

    /// Notes that, or that it is no longer so, durably.
    pub(super) fn set_restored(&self, restored: bool) -> Result<(), Error> {
        let file = self.path.join(RESTORED);
        if restored {
            write_durably(&file, "")?;
        } else if let Err(e) = fs::remove_file(&file)
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(Error::io(format!("remove {}", file.display()))(e));
        }
        sync(&self.path)
    }

    /// Forgets which store counts.
    pub(super) fn unlink(&self) -> Result<(), Error> {
        match fs::remove_file(self.path.join(LINK)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(format!(
                "remove the link in {}",
                self.path.display()
            ))(e)),
            _ => Ok(()),
        }
    }

    /// Whom the store is a copy of.
    pub(super) fn follows(&self) -> Result<Option<String>, Error> {
        let file = self.path.join(FOLLOWS);
        match fs::read_to_string(&file) {
            Ok(primary) => Ok(Some(primary.trim().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(format!("read {}", file.display()))(e)),
        }
    }

    /// Notes, durably, whom the store is a copy of, or that it is none.
    pub(super) fn set_follows(&self, primary: Option<&str>) -> Result<(), Error> {
        let file = self.path.join(FOLLOWS);
        match primary {
            Some(primary) => write_durably(&file, primary)?,
            None => match fs::remove_file(&file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(format!("remove {}", file.display()))(e));
                }
                _ => {}
            },
        }
        sync(&self.path)
    }

    /// Notes, durably, that the current store is to be kept under a name when another takes its
    /// place. Gives where it will be.
    pub(super) fn keep_current_as(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let Some(current) = self.current()? else {
            return Ok(None);
        };
        let name = format!("{KEPT_PREFIX}{name}");
        write_durably(&current.join(KEEP), &name)?;
        sync(&current)?;
        Ok(Some(self.path.join(name)))
    }

    /// Removes a store that does not count any more, or moves it aside where that was noted.
    fn discard(&self, store: &Path) -> Result<(), Error> {
        let name = match fs::read_to_string(store.join(KEEP)) {
            Ok(name) if name.starts_with(KEPT_PREFIX) && !name.contains('/') => name,
            _ => return remove_tree(store),
        };
        let kept = self.path.join(name);
        if kept.exists() {
            // The same position was kept before, so the same rows were.
            return remove_tree(store);
        }
        fs::rename(store, &kept).map_err(Error::io(format!(
            "move {} to {}",
            store.display(),
            kept.display()
        )))?;
        sync(&self.path)
    }

    /// Where a new store with this id is to be built.
    pub(super) fn place(&self, store_id: u128) -> PathBuf {
        self.path.join(format!("{STORE_PREFIX}{store_id:032x}"))
    }

    /// Makes `store`, complete and durable, the one that counts. What this gives is what remains
    /// to be done once it does: removing the one before, which the next process does if this one
    /// cannot.
    pub(super) fn publish(&self, store: &Path) -> Result<Before<'_>, Error> {
        let before = self.current()?.filter(|before| before != store);
        let doing = || format!("make {} the current store", store.display());
        let next = self.path.join(NEXT_LINK);
        let name = store
            .file_name()
            .ok_or_else(|| Error::io(doing())(io::ErrorKind::InvalidInput.into()))?;
        sync(store)?;
        symlink(name, &next).map_err(Error::io(doing()))?;
        // The store's own entry must not come to the disk after the link that names it.
        sync(&self.path)?;
        fs::rename(&next, self.path.join(LINK)).map_err(Error::io(doing()))?;
        Ok(Before {
            data: self,
            store: before,
        })
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        names_in(&self.path)
    }
}

/// The names of all that is in a directory.
pub(super) fn names_in(dir: &Path) -> Result<Vec<String>, Error> {
    let doing = || format!("list {}", dir.display());
    fs::read_dir(dir)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map(|entries| {
            entries
                .iter()
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect()
        })
        .map_err(Error::io(doing()))
}

/// Whether a name is one that [`DataDir::place`] gives.
fn is_store(name: &str) -> bool {
    let id = name.strip_prefix(STORE_PREFIX).map(str::as_bytes);
    id.is_some_and(|id| id.len() == 32 && id.iter().all(u8::is_ascii_hexdigit))
}

/// Whether what has a name in the data directory holds reviews, or rows that were to be some.
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
pub(super) struct Before<'d> {
    data: &'d DataDir,
    store: Option<PathBuf>,
}

impl Before<'_> {
    /// Makes the new link durable and then removes the store it named before.
    pub(super) fn remove(self) -> Result<(), Error> {
        sync(&self.data.path)?;
        let store = self.store.as_deref();
        store.map_or(Ok(()), |store| self.data.discard(store))
    }
}

/// Removes a directory and all in it; that there is none is fine.
pub(super) fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()))(e))
        }
        _ => Ok(()),
    }
}

/// Makes a directory and those above it, durably.
fn make_dirs(path: &Path) -> Result<(), Error> {
    let missing = path.ancestors().take_while(|dir| !dir.exists());
    let missing: Vec<_> = missing
        .filter_map(Path::parent)
        .map(Path::to_owned)
        .collect();
    fs::create_dir_all(path).map_err(Error::io(format!(
        "make the data directory {}",
        path.display()
    )))?;
    let here = |dir: PathBuf| {
        if dir.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            dir
        }
    };
    missing.into_iter().map(here).try_for_each(|dir| sync(&dir))
}

fn write_durably(file: &Path, text: &str) -> Result<(), Error> {
    let write = || {
        let mut open = File::create(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    write().map_err(Error::io(format!("write {}", file.display())))
}

fn sync(dir: &Path) -> Result<(), Error> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io(format!("make {} durable", dir.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _first = DataDir::lock(dir.path(), "reviewsd serve").unwrap();
        let second = DataDir::lock(dir.path(), "reviewsd import").err().unwrap();
        let sentence = second.to_string();
        assert!(
            sentence.contains("in use by reviewsd serve (process"),
            "{sentence}"
        );
    }

    #[test]
    fn a_published_store_is_current_and_the_one_before_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        assert_eq!(data.current().unwrap(), None);
        for id in [1, 2] {
            let place = data.place(id);
            fs::create_dir(&place).unwrap();
            data.publish(&place).unwrap().remove().unwrap();
            assert_eq!(data.current().unwrap(), Some(place));
        }
        assert!(!data.place(1).exists());
    }

    #[test]
    fn leftovers_are_swept_and_the_current_store_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        let (kept, left) = (data.place(1), data.place(2));
        fs::create_dir(&kept).unwrap();
        data.publish(&kept).unwrap().remove().unwrap();
        fs::create_dir(&left).unwrap();
        symlink("store-nowhere", dir.path().join(NEXT_LINK)).unwrap();
        data.sweep().unwrap();
        assert!(kept.exists() && !left.exists());
        assert!(fs::symlink_metadata(dir.path().join(NEXT_LINK)).is_err());
    }

    #[test]
    fn a_store_that_is_to_be_kept_is_moved_aside_though_the_process_dies_before() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        for (id, dies) in [(1, false), (3, true)] {
            let (old, new) = (data.place(id), data.place(id + 1));
            fs::create_dir(&old).unwrap();
            fs::create_dir(&new).unwrap();
            fs::write(old.join("row"), "kept").unwrap();
            data.publish(&old).unwrap().remove().unwrap();
            let kept = data.keep_current_as(&format!("{id}")).unwrap().unwrap();
            let before = data.publish(&new).unwrap();
            if dies {
                data.sweep().unwrap();
            } else {
                before.remove().unwrap();
            }
            assert!(!old.exists());
            assert_eq!(fs::read_to_string(kept.join("row")).unwrap(), "kept");
            data.sweep().unwrap();
            assert!(kept.exists());
            assert_eq!(data.foreign().unwrap(), None);
        }
    }

    #[test]
    fn whom_a_store_follows_is_remembered_until_it_follows_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        assert_eq!(data.follows().unwrap(), None);
        data.set_follows(Some("http://primary:1")).unwrap();
        assert_eq!(data.follows().unwrap().as_deref(), Some("http://primary:1"));
        for _ in 0..2 {
            data.set_follows(None).unwrap();
            assert_eq!(data.follows().unwrap(), None);
        }
    }

    #[test]
    fn what_only_looks_like_a_store_is_somebody_else_s() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        fs::create_dir(dir.path().join("store-frontend")).unwrap();
        data.sweep().unwrap();
        assert_eq!(data.foreign().unwrap().as_deref(), Some("store-frontend"));
    }

    #[test]
    fn a_link_to_a_store_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        symlink("store-nowhere", dir.path().join(LINK)).unwrap();
        let sentence = data.current().unwrap_err().to_string();
        assert!(sentence.contains("is gone"), "{sentence}");
    }

    #[test]
    fn a_file_of_somebody_else_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "test").unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        assert_eq!(data.foreign().unwrap(), None);
        fs::write(dir.path().join("thesis.odt"), "").unwrap();
        assert_eq!(data.foreign().unwrap().as_deref(), Some("thesis.odt"));
    }
}
