//! Changes of the file system, each an error with its path, and the point at which tests end a process.
//!
//! Must not know what the files are. Invariants: a file that is written here holds its old text or the
//! new one, whenever the process ends; every change of a data directory goes through here, so that a
//! test can end it before any of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The end of the name of a file that is to replace another.
pub(crate) const NEXT: &str = ".next";

/// Writes a whole file, durably, in the place of the one there is, for its owner alone to read.
pub(crate) fn write_durably(file: &Path, text: &str) -> Result<(), Error> {
    let doing = || format!("write {}", file.display());
    let mut next = file.as_os_str().to_owned();
    next.push(NEXT);
    let next = PathBuf::from(next);
    step(&doing())?;
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut open = options.open(&next)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    if let Err(e) = write() {
        // On a full disk it would be in the way of what frees space.
        let _ = fs::remove_file(&next);
        return Err(Error::io(doing())(e));
    }
    rename(&next, file)?;
    file.parent().map_or(Ok(()), sync)
}

/// Renames a file or a directory.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    let doing = format!("move {} to {}", from.display(), to.display());
    step(&doing)?;
    fs::rename(from, to).map_err(Error::io(doing))
}

/// Makes the symbolic link `link` to `name`, in the place of whatever link is there.
pub(crate) fn link(name: &Path, link: &Path) -> Result<(), Error> {
    remove_file(link)?;
    let doing = format!("create the link {}", link.display());
    step(&doing)?;
    symlink(name, link).map_err(Error::io(doing))
}

/// Removes a file or a link; it is no error if there is none.
pub(crate) fn remove_file(file: &Path) -> Result<(), Error> {
    let doing = format!("remove {}", file.display());
    step(&doing)?;
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(doing)(e)),
        _ => Ok(()),
    }
}

/// Removes a directory and all in it; it is no error if there is none.
pub(crate) fn remove_tree(path: &Path) -> Result<(), Error> {
    let doing = format!("remove {}", path.display());
    step(&doing)?;
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(doing)(e)),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync(dir: &Path) -> Result<(), Error> {
    let doing = format!("make {} durable", dir.display());
    step(&doing)?;
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io(doing))
}

/// Returns the text of a file; `None` where there is none.
pub(crate) fn read(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(format!("read {}", file.display()))(e)),
    }
}

/// Returns the names of all that is in a directory.
pub(crate) fn names_in(dir: &Path) -> Result<Vec<String>, Error> {
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

/// Makes a directory and those above it, durably.
pub(crate) fn make_dirs(path: &Path) -> Result<(), Error> {
    let missing = path.ancestors().take_while(|dir| !dir.exists());
    let missing: Vec<_> = missing
        .filter_map(Path::parent)
        .map(Path::to_owned)
        .collect();
    fs::create_dir_all(path).map_err(Error::io(format!(
        "create the data directory {}",
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

/// Notes that the next change is about to be made.
#[cfg(not(test))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a test ends the process here, and nothing else does"
)]
fn step(_doing: &str) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
pub(crate) use cut::{cut_after, step};

/// The end of a process, as a test has it: from a change on, none is made any more.
#[cfg(test)]
mod cut {
    use std::cell::Cell;

    use super::Error;

    thread_local! {
        /// The number of changes that are still made; `None` while nothing is cut.
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(crate) fn step(doing: &str) -> Result<(), Error> {
        LEFT.with(|left| match left.get() {
            None => Ok(()),
            Some(0) => Err(Error::io(format!("{doing}, for the process ended"))(
                std::io::ErrorKind::Interrupted.into(),
            )),
            Some(changes) => {
                left.set(Some(changes - 1));
                Ok(())
            }
        })
    }

    /// Does some work as a process does that ends after so many changes. Returns whether it was ended.
    pub(crate) fn cut_after<T>(changes: u32, work: impl FnOnce() -> Result<T, Error>) -> bool {
        LEFT.with(|left| left.set(Some(changes)));
        let done = work();
        let is_cut = LEFT.with(|left| left.replace(None)) == Some(0) && done.is_err();
        if let (Err(error), false) = (done, is_cut) {
            panic!("after {changes} changes: {error}");
        }
        is_cut
    }
}
