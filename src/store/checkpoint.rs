//! A checkpoint: the store at one instant, for replicas and backups to fetch.
//!
//! Must not know what fetches it. Invariant: its files never change, however long they are read, and are
//! removed with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::Xxh3;

use super::datadir::files::remove_tree;
use super::decoding::damaged;
use super::error::Error;
use super::key::{Family, state};
use super::log::position::LogPosition;
use super::rocks::Rocks;
use super::state::new_store_id;
use super::store::Store;

/// The bytes of a file that are read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Files with this ending never change, and no other file of an open store ever has the name of one.
const LASTING: &str = "sst";

/// A checkpoint of the store. Its files share the disk with those of the store as far as they can.
pub struct Checkpoint {
    dir: PathBuf,
    id: u128,
    position: LogPosition,
    files: Vec<CheckpointFile>,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Its name, which is no path.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The XXH3 of its contents.
    pub hash: u128,
}

/// Length and hash of files that never change, by name: a file that one checkpoint has read, the next one
/// does not read again.
#[derive(Debug, Default)]
pub(super) struct Hashes(Mutex<BTreeMap<String, (u64, u128)>>);

impl Checkpoint {
    /// Makes a checkpoint. Reads all that was written since the one before, so it takes a while.
    pub fn make(store: &Store) -> Result<Self, Error> {
        let all = store.data().checkpoints();
        fs::create_dir_all(&all).map_err(Error::io(format!("make {}", all.display())))?;
        let id = new_store_id()?;
        let mut checkpoint = Self {
            dir: all.join(format!("{id:032x}")),
            id,
            position: store.opened_at(),
            files: Vec::new(),
        };
        store.rocks().checkpoint(&checkpoint.dir)?;
        checkpoint.files = files_of(&checkpoint.dir, store.hashes())?;
        if let Some(head) = Rocks::peek_state(&checkpoint.dir, state::HEAD)? {
            checkpoint.position = LogPosition::from_value(&head)
                .ok_or_else(|| damaged(Family::State, "head", "it is no position"))?;
        }
        Ok(checkpoint)
    }

    /// A random name for it.
    #[must_use]
    pub fn id(&self) -> u128 {
        self.id
    }

    /// Returns the position of the store in it.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Its files, by name.
    #[must_use]
    pub fn files(&self) -> &[CheckpointFile] {
        &self.files
    }

    /// Opens one of its files at an offset; `None` where it has none of that name.
    pub fn open(&self, name: &str, offset: u64) -> Result<Option<File>, Error> {
        if !self.files.iter().any(|file| file.name == name) {
            return Ok(None);
        }
        let path = self.dir.join(name);
        let mut file = File::open(&path).map_err(Error::io(format!("open {}", path.display())))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io(format!("read {}", path.display())))?;
        Ok(Some(file))
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // A file that cannot be removed now is swept by the next process.
        let _ = remove_tree(&self.dir);
    }
}

fn files_of(dir: &Path, hashes: &Hashes) -> Result<Vec<CheckpointFile>, Error> {
    let doing = || format!("read the checkpoint in {}", dir.display());
    let mut known = hashes.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, mut files) = (std::mem::take(&mut *known), Vec::new());
    for entry in fs::read_dir(dir).map_err(Error::io(doing()))? {
        let path = entry.map_err(Error::io(doing()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        let lasts = path.extension().is_some_and(|end| end == LASTING);
        let (bytes, hash) = match before.get(&name) {
            Some(found) if lasts => *found,
            _ => {
                let whole = File::open(&path).and_then(hash_rest);
                let (bytes, hash) = whole.map_err(Error::io(doing()))?;
                (bytes, hash.digest128())
            }
        };
        if lasts {
            known.insert(name.clone(), (bytes, hash));
        }
        files.push(CheckpointFile { name, bytes, hash });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Reads to the end, and returns the number of bytes and their hash, which can be continued with the bytes
/// behind.
pub fn hash_rest(mut from: impl Read) -> std::io::Result<(u64, Xxh3)> {
    let (mut bytes, mut hash) = (0, Xxh3::new());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, hash));
        }
        hash.update(piece.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}
