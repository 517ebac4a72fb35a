//! A directory that appears when it is whole, and the files in it.
//!
//! Must not know the content of the files. Invariants: an existing file is never overwritten; an unfinished
//! export is removed; only the owner can read any of it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A directory that is being filled.
pub(super) struct ExportDir {
    partial: PathBuf,
    out: PathBuf,
    published: bool,
}

/// A file that is being written, row after row.
pub(super) struct ExportFile {
    name: &'static str,
    file: BufWriter<File>,
    count: u64,
    bytes: u64,
}

impl ExportDir {
    /// Begins a directory that is to be `out`.
    pub(super) fn begin(out: &Path) -> io::Result<Self> {
        let shown = out.display();
        let is_there = fs::symlink_metadata(out).is_ok();
        let is_empty = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
        if is_there && !is_empty {
            let why = format!("{shown} exists; name a directory that does not");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let mut name = out
            .file_name()
            .ok_or_else(|| io::Error::other(format!("{shown} does not name a directory")))?
            .to_owned();
        name.push(".partial");
        let partial = out.with_file_name(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&partial)
            .map_err(|e| {
                let partial = partial.display();
                let why = match e.kind() {
                    io::ErrorKind::AlreadyExists => format!(
                        "{partial} exists: another export is running, or one was killed; in the second \
                         case delete it"
                    ),
                    _ => format!("make {partial}: {e}"),
                };
                io::Error::new(e.kind(), why)
            })?;
        Ok(Self {
            partial,
            out: out.to_owned(),
            published: false,
        })
    }

    /// Returns the directory of the files.
    pub(super) fn path(&self) -> &Path {
        &self.partial
    }

    /// Makes the directory, in which all files are durable, the requested one.
    pub(super) fn publish(mut self) -> io::Result<()> {
        File::open(&self.partial)?.sync_all()?;
        // An empty directory is replaced; any other is not.
        fs::rename(&self.partial, &self.out)?;
        self.published = true;
        let parent = match self.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)?.sync_all()
    }
}

impl Drop for ExportDir {
    fn drop(&mut self) {
        if !self.published {
            // A later export reports files that cannot be deleted.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

impl ExportFile {
    /// Begins a file.
    pub(super) fn create(dir: &Path, name: &'static str) -> io::Result<Self> {
        let file = File::create_new(dir.join(name))?;
        Ok(Self {
            name,
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            count: 0,
            bytes: 0,
        })
    }

    /// Writes bytes that are not a row.
    pub(super) fn head(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Writes a row.
    pub(super) fn row(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.head(bytes)
    }

    /// Returns the number of rows.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Makes the file durable; gives its name, rows and bytes.
    pub(super) fn finish(self) -> io::Result<(String, u64, u64)> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((self.name.to_owned(), self.count, self.bytes))
    }
}

/// Makes files durable; gives the rows of each, and the bytes of all.
pub(super) fn finish(
    files: impl IntoIterator<Item = ExportFile>,
) -> io::Result<(BTreeMap<String, u64>, u64)> {
    let mut counts = BTreeMap::new();
    let mut all = 0;
    for file in files {
        let (name, rows, bytes) = file.finish()?;
        counts.insert(name, rows);
        all += bytes;
    }
    Ok((counts, all))
}
