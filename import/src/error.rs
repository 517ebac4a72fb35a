//! Errors that stop an import, each as one sentence that says what, where and what to do.
//!
//! Must not know the store. Invariant: a bad row is not an error but a reject; only too many of
//! them are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The reason an import cannot go on.
#[derive(Debug)]
pub enum Error {
    /// There is nothing to import.
    NoFiles {
        /// The directory that was looked at.
        dir: PathBuf,
    },
    /// A CSV file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A CSV file's first line does not name the columns it must have.
    Header {
        /// The file.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// Two files of the same rows, old name and new.
    Twice {
        /// One.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// More rows were rejected than allowed.
    TooManyRejects {
        /// The number that was allowed.
        max: u64,
        /// The file with the rejected rows.
        rejects: PathBuf,
        /// The reject that was one too many.
        last: String,
    },
    /// Too large a share of a file was rejected.
    LargeShare {
        /// The file.
        name: String,
        /// Its rejected rows.
        rejected: u64,
        /// Its rows.
        rows: u64,
        /// The file with the rejected rows.
        rejects: PathBuf,
    },
    /// No row of a file can be stored.
    NothingStored {
        /// The file.
        name: String,
        /// The name by which it may be allowed to be empty.
        flag: &'static str,
        /// Its rejected rows.
        rejected: u64,
        /// The path of the rejects file.
        rejects: PathBuf,
    },
    /// The rejects file cannot be written.
    Rejects {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A spill file cannot be written or read.
    Spill {
        /// The operation that failed.
        doing: String,
        /// The reason.
        source: io::Error,
    },
    /// The ids of a file are so scattered that remembering them takes more than the memory.
    ScatteredIds {
        /// The file.
        path: PathBuf,
        /// The memory they may take, in bytes.
        memory_max: u64,
    },
    /// A file of another shop's program, or one that says how to read it, is not usable.
    Refused {
        /// The file.
        path: PathBuf,
        /// The fault, and what to do.
        why: String,
    },
    /// Products are named by handles, and no file stores the ids that are made for them.
    NoIds {
        /// The first handle.
        key: String,
    },
    /// The file of ids cannot be written.
    Ids {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The handles of the products take more than the memory.
    ManyHandles {
        /// The memory they may take, in bytes.
        memory_max: u64,
    },
    /// The import was asked to stop.
    Interrupted,
    /// A thread cannot be started.
    Thread(io::Error),
    /// The receiver of the rows failed; its own error says why.
    Sink(Box<dyn std::error::Error + Send + Sync>),
    /// A mistake in this program.
    Logic(&'static str),
}

impl Error {
    /// An [`Error::Spill`] maker for `map_err`.
    pub(crate) fn spill(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        move |source| Self::Spill { doing, source }
    }

    /// An [`Error::Read`] maker for `map_err`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFiles { dir } => write!(
                f,
                "{} has none of the CSV files; give the directory of reviews.csv, product.csv and the \
                 others with --csv",
                dir.display()
            ),
            Self::Read { path, source } => write!(
                f,
                "cannot read {}: {source}; repair or delete it and import again",
                path.display()
            ),
            Self::Header { path, why } => write!(f, "{}, line 1: {why}", path.display()),
            Self::Twice { one, other } => write!(
                f,
                "{} and {} are two names of the same file; delete one",
                one.display(),
                other.display()
            ),
            Self::TooManyRejects { max, rejects, last } => write!(
                f,
                "more than {max} rows were rejected, the last one at {last}; see {}, correct the files \
                 or raise --max-rejects",
                rejects.display()
            ),
            Self::LargeShare {
                name,
                rejected,
                rows,
                rejects,
            } => write!(
                f,
                "{rejected} of the {rows} rows of {name} were rejected; see {}, correct the file or \
                 raise the share that --max-rejects allows",
                rejects.display()
            ),
            Self::NothingStored {
                name,
                flag,
                rejected,
                rejects,
            } => write!(
                f,
                "no row of {name} can be stored, and {rejected} were rejected; see {}, correct the \
                 file, or import without it with --allow-empty {flag}",
                rejects.display()
            ),
            Self::Rejects { path, source } => write!(
                f,
                "cannot write the rejects file {}: {source}; choose another with --rejects",
                path.display()
            ),
            Self::Spill { doing, source } if source.kind() == io::ErrorKind::StorageFull => write!(
                f,
                "cannot {doing}, because the disk is full; an import needs about 1.3 times the size of \
                 the CSV files there until it is done"
            ),
            Self::Spill { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::ScatteredIds { path, memory_max } => write!(
                f,
                "the ids of {} are so scattered that remembering them takes more than {} MiB; raise --memory",
                path.display(),
                memory_max >> 20
            ),
            Self::Refused { path, why } => write!(f, "{}: {why}", path.display()),
            Self::NoIds { key } => write!(
                f,
                "the product {key:?} has a handle and no id; name a file that keeps the ids that are made, so that a later import makes the same, with --ids ids.csv (it need not be there)"
            ),
            Self::Ids { path, source } => write!(
                f,
                "cannot write the ids of products to {}: {source}; choose another file with --ids",
                path.display()
            ),
            Self::ManyHandles { memory_max } => write!(
                f,
                "the handles of the products take more than {} MiB; raise --memory",
                memory_max >> 20
            ),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Thread(source) => write!(f, "cannot start a thread: {source}"),
            Self::Sink(source) => source.fmt(f),
            Self::Logic(what) => write!(f, "a bug in reviewsd, please report it: {what}"),
        }
    }
}

impl std::error::Error for Error {}
