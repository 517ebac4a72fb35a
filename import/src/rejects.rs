//! The rejects file: every row that could not be stored, as a CSV of file, line, field, reason
//! and the row itself.
//!
//! Must not know why rows are rejected. Invariants: the file is made at the first reject, replacing
//! one of an earlier import, and is complete whenever the import ends; past the limit the import
//! stops.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Error;

/// A row that cannot be stored.
#[derive(Debug)]
pub(crate) struct Reject<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u64,
    pub(crate) field: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) row: &'a [u8],
}

/// Writes rejected rows and counts them.
pub(crate) struct Rejects {
    path: PathBuf,
    writer: Option<csv::Writer<File>>,
    count: u64,
    max: u64,
}

impl Rejects {
    /// Forgets the rejects of an earlier import.
    pub(crate) fn new(path: &Path, max: u64) -> Result<Self, Error> {
        forget(path).map_err(|source| Error::Rejects {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            writer: None,
            count: 0,
            max,
        })
    }

    /// Adds a row; an error when it is one too many.
    pub(crate) fn add(&mut self, reject: &Reject<'_>) -> Result<(), Error> {
        self.write(reject).map_err(|source| Error::Rejects {
            path: self.path.clone(),
            source,
        })?;
        self.count += 1;
        if self.count > self.max {
            self.flush()?;
            return Err(Error::TooManyRejects {
                max: self.max,
                rejects: self.path.clone(),
                last: format!(
                    "{}, line {}: {} {}",
                    reject.file, reject.line, reject.field, reject.reason
                ),
            });
        }
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        writer.flush().map_err(|source| Error::Rejects {
            path: self.path.clone(),
            source,
        })
    }

    fn write(&mut self, reject: &Reject<'_>) -> io::Result<()> {
        let writer = if let Some(writer) = &mut self.writer {
            writer
        } else {
            let mut writer = csv::Writer::from_writer(create(&self.path)?);
            writer.write_record(["file", "line", "field", "reason", "row"])?;
            self.writer.insert(writer)
        };
        let line = reject.line.to_string();
        writer.write_record([
            reject.file.as_bytes(),
            line.as_bytes(),
            reject.field.as_bytes(),
            reject.reason.as_bytes(),
            reject.row,
        ])?;
        Ok(())
    }
}

/// Opens the file, for its owner alone to read: rejected rows have e-mail addresses. A symbolic link is
/// not followed, so that a user who may write to the directory cannot choose which file is written over.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    options.custom_flags(nofollow).open(path)
}

/// Removes the file of an earlier import. If it is not a regular file, such as `/dev/null` or a pipe, it is
/// written to as it is.
fn forget(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(io::Error::other(
            "it is a symbolic link, which is not followed",
        )),
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => fs::remove_file(path),
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
