//! Stores that went another way than the one that is followed now, and were moved aside.
//!
//! Invariant: they are told of and never removed: each may hold what no other store does, and only
//! a person knows whether that is missed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::datadir::KEPT_PREFIX;
use super::error::Error;
use super::files::names_in;

/// A store that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The stores that are kept in a data directory, by name.
pub fn kept(data_dir: &Path) -> Result<Vec<Kept>, Error> {
    let names = names_in(data_dir)?.into_iter();
    let mut names: Vec<_> = names.filter(|name| name.starts_with(KEPT_PREFIX)).collect();
    names.sort();
    let kept = names.into_iter().map(|name| {
        let path = data_dir.join(name);
        let bytes = bytes_of(&path);
        let bytes = bytes.map_err(Error::io(format!("measure {}", path.display())))?;
        Ok(Kept { path, bytes })
    });
    kept.collect()
}

/// Bytes of the files of a store, which has directories of files at most.
fn bytes_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_of(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
