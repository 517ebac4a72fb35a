//! The errors of backups, each as one sentence that says what, where and what to do.
//!
//! Must not know the caller.

use std::fmt;
use std::path::PathBuf;

use super::standing::Ownership;
use crate::store;

/// The reason for which there is no backup, or no store out of one.
#[derive(Debug)]
pub enum Error {
    /// A text names no place for backups.
    Place(String),
    /// The directory or the bucket refused or failed.
    Target {
        /// The operation that failed, and where.
        doing: String,
        /// Its message, and what to do.
        why: String,
    },
    /// An object that is needed is missing.
    Missing {
        /// The object.
        name: String,
        /// The target that should have it.
        target: String,
    },
    /// An object differs from the one that was written.
    Damaged {
        /// The object.
        name: String,
        /// The target that it is in.
        target: String,
        /// The fault.
        why: String,
    },
    /// A newer program wrote an object.
    Newer {
        /// The object.
        name: String,
        /// Its version.
        found: u32,
        /// The version that this program writes.
        known: u32,
    },
    /// A newer program wrote a segment.
    NewerSegment {
        /// The object.
        name: String,
        /// Its version and those that are read.
        why: String,
    },
    /// It is unclear which store is meant, or the target belongs to another one.
    Ownership(Ownership),
    /// An object that was written cannot be read back as a restore would read it.
    Unrestorable {
        /// The object.
        name: String,
        /// The target that it is in.
        target: String,
        /// The result that came instead.
        why: String,
    },
    /// There is no backup.
    Empty {
        /// The target that was looked through.
        target: String,
    },
    /// There is no backup of this name.
    NoSuch {
        /// The name.
        id: String,
        /// The target that was looked through.
        target: String,
    },
    /// No backup reaches that moment.
    Unreachable {
        /// The requested end.
        asked: String,
        /// The end of the available commits.
        reach: String,
    },
    /// The server rejects a request.
    Server(String),
    /// A fetched file is not the one that was announced.
    Changed(String),
    /// The backup took longer than the objects it builds on are sure to stay.
    Slow,
    /// The last commits were not shipped at the end.
    Unshipped,
    /// The store here.
    Store(store::Error),
    /// The system refused or failed.
    Io {
        /// The operation that failed.
        doing: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The disk has no space for the restore.
    NoRoom {
        /// The directory.
        dir: PathBuf,
        /// Bytes that are missing.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
}

impl Error {
    /// Returns true if one object is missing, damaged, or of a newer program, and the target answers.
    pub(super) fn is_of_an_object(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Damaged { .. }
                | Self::Newer { .. }
                | Self::NewerSegment { .. }
        )
    }

    /// An [`Error::Io`] maker for `map_err`.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

impl From<Ownership> for Error {
    fn from(error: Ownership) -> Self {
        Self::Ownership(error)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(text) => write!(
                f,
                "{text} is not a backup target; give a directory (./NAME if there is a colon in \
                 its name), or s3://BUCKET/PREFIX"
            ),
            Self::Target { doing, why } => write!(f, "cannot {doing}: {why}"),
            Self::Missing { name, target } => write!(
                f,
                "{name} is missing in {target}; copy it back, or restore from another backup \
                 (`reviewsd backups` lists them)"
            ),
            Self::Damaged { name, target, why } => write!(
                f,
                "{name} in {target} is damaged ({why}); copy an intact one back, or restore from \
                 another backup (`reviewsd backups` lists them)"
            ),
            Self::Newer { name, found, known } => write!(
                f,
                "{name} has version {found} of backups, and this reviewsd reads version {known}; \
                 run the newer reviewsd that wrote it"
            ),
            Self::NewerSegment { name, why } => {
                write!(
                    f,
                    "{name} cannot be read: {why}; run the reviewsd that wrote it"
                )
            }
            Self::Ownership(error) => error.fmt(f),
            Self::Unrestorable { name, target, why } => write!(
                f,
                "{target} does not return a part of an object ({name}: {why}), so a restore from there \
                 would fail; use another target, or a server that supports range requests"
            ),
            Self::Empty { target } => write!(f, "there is no backup in {target}"),
            Self::NoSuch { id, target } => write!(
                f,
                "there is no backup {id} in {target}; `reviewsd backups` lists the backups"
            ),
            Self::Unreachable { asked, reach } => {
                write!(f, "no backup has the state {asked}; {reach}")
            }
            Self::Server(why) => f.write_str(why),
            Self::Changed(name) => write!(
                f,
                "{name} does not match the server's list; please back up again, and if that does not \
                 help check the disk"
            ),
            Self::Slow => f.write_str(
                "the backup took longer than a day, or stalled for an hour, so files that it needs may \
                 have been deleted; please back up again: written files are reused",
            ),
            Self::Unshipped => f.write_str(
                "the target did not store the last commits; they are shipped when `reviewsd backup \
                 --follow` runs again",
            ),
            Self::Store(error) => error.fmt(f),
            Self::Io { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::NoRoom { dir, needed, free } => write!(
                f,
                "the restored store needs {needed} bytes more in {}, where {free} are free; make \
                 room, or restore elsewhere",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for Error {}
