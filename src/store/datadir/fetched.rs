//! A directory that the files of a store are fetched into, out of a backup or from a primary.
//!
//! Must not know where they come from. Invariant: a fetch can resume from what [`keep_beginnings`] leaves
//! in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Bytes of a file's name at most.
const NAME_BYTES_MAX: usize = 255;

/// The space that is missing for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSpace {
    /// Bytes that are still to come.
    pub needed: u64,
    /// Bytes that are free.
    pub free: u64,
}

/// Returns true if a list of files that came from elsewhere may hold such a name: it is no path, and
/// nothing hidden.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

/// Returns the bytes of files of these sizes; `None` where they add up to no number, as only those of a
/// damaged list do.
pub fn total_bytes(mut sizes: impl Iterator<Item = u64>) -> Option<u64> {
    sizes.try_fold(0, u64::checked_add)
}

/// Removes what cannot be the beginning of a file with one of these names and sizes. A named pipe would be
/// waited on for ever.
pub fn keep_beginnings(dir: &Path, files: &BTreeMap<&str, u64>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let found = entry.metadata()?;
        let name = entry.file_name();
        let bytes = name.to_str().and_then(|name| files.get(name));
        if found.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if !bytes.is_some_and(|bytes| found.is_file() && found.len() <= *bytes) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Returns the space that is missing in `dir` for files of so many bytes, what is there of them counted.
pub fn missing_space(dir: &Path, bytes: u64) -> io::Result<Option<NoSpace>> {
    let there: u64 = fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum();
    let needed = bytes.saturating_sub(there);
    // A file system that does not report its free space is not thereby full.
    let space = rustix::fs::statvfs(dir).ok();
    let free = space.map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
    Ok((needed > free).then_some(NoSpace { needed, free }))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_beginnings_of_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, bytes) in [("whole", 5), ("begun", 3), ("longer", 6), ("other", 1)] {
            fs::write(path(name), vec![0; bytes]).unwrap();
        }
        fs::create_dir(path("directory")).unwrap();
        let made = Command::new("mkfifo").arg(path("pipe")).status();
        assert!(made.unwrap().success());
        let names = ["whole", "begun", "longer", "directory", "pipe"];
        let files = names.into_iter().map(|name| (name, 5)).collect();
        keep_beginnings(dir.path(), &files).unwrap();
        let left = crate::datadir::files::names_in(dir.path()).unwrap();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(path("whole").exists() && path("begun").exists());
        assert_eq!(missing_space(dir.path(), 8).unwrap(), None);
        let missing = missing_space(dir.path(), u64::MAX).unwrap().unwrap();
        assert_eq!(missing.needed, u64::MAX - 8);
    }

    #[test]
    fn paths_and_sizes_of_no_disk_are_refused() {
        for name in ["", ".", "../x", "a/b", "a b", &"x".repeat(256)] {
            assert!(!is_file_name(name), "{name}");
        }
        assert!(is_file_name("000012.sst"));
        assert_eq!(total_bytes([1, 2].into_iter()), Some(3));
        assert_eq!(total_bytes([u64::MAX, 1].into_iter()), None);
    }
}
