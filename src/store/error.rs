//! The errors of the store, each as one sentence that says what, where and what to do.
//!
//! Must not know the caller. Invariant: no variant is ever swallowed here; the code that answers the client
//! or ends the process decides what becomes of it.

use std::fmt;
use std::path::PathBuf;

use super::datadir::taken_writes::TakenWrites;
use super::log::position::LogPosition;
use super::writer::disk_space::is_no_space;

/// The reason for which the store could not do what it was asked.
#[derive(Debug)]
pub enum Error {
    /// A value does not decode: the disk or a program has damaged it.
    Damaged {
        /// The value, by family and key.
        what: String,
        /// The fault.
        why: String,
    },
    /// RocksDB refused or failed.
    Rocks {
        /// The operation that failed.
        doing: String,
        /// RocksDB's own message.
        why: String,
    },
    /// A file's description of its contents is damaged, so that RocksDB does not open the store.
    DamagedFile {
        /// The store's directory.
        dir: PathBuf,
        /// RocksDB's message, with the file.
        why: String,
    },
    /// The operating system refused or failed.
    Io {
        /// The operation that failed, with its path.
        doing: String,
        /// The reason.
        source: std::io::Error,
    },
    /// Another process works on the data directory.
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other process, by the name it gave itself.
        by: String,
    },
    /// The directory holds something that a new store must not replace unasked.
    Occupied {
        /// The directory.
        dir: PathBuf,
        /// The contents found.
        what: String,
        /// The remedy.
        advice: &'static str,
    },
    /// The store was written to since it was made, and was to be replaced by one without those writes.
    Unsaved {
        /// The data directory.
        dir: PathBuf,
        /// The writes that would be lost.
        written: TakenWrites,
    },
    /// The data directory belongs to another user than root, which this process is.
    OtherUser {
        /// The directory.
        dir: PathBuf,
        /// The reason for which this process does not work as that user.
        why: &'static str,
        /// The command line that works as that user.
        command: String,
    },
    /// The directory has no store.
    NoStore {
        /// The directory.
        dir: PathBuf,
    },
    /// The link names a store that is not there.
    Gone {
        /// The store's directory.
        store: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// The store was written in a format this program does not read.
    Format {
        /// The store's directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The format this program reads and writes.
        known: u32,
    },
    /// A commit of another store that does not belong behind this one's last.
    Unfit {
        /// The fault.
        why: String,
    },
    /// The store follows another, and was to be written to.
    Follows {
        /// The data directory.
        dir: PathBuf,
        /// The primary that it follows.
        primary: String,
    },
    /// The store lacks writes that it acknowledged.
    Lost(Box<Loss>),
    /// Without its damaged log the store is not as it was at any one moment.
    Unsound {
        /// The data directory.
        dir: PathBuf,
    },
    /// The rows found are not those that were written.
    Miscount {
        /// The family whose rows were counted.
        family: &'static str,
        /// Rows handed to it.
        written: u64,
        /// Rows found in it.
        found: u64,
    },
}

/// The reason for which a read returns nothing.
#[derive(Debug)]
pub enum ReadError {
    /// The read was to stay in memory ([`super::ReadTier::Memory`]) and be short, and it cannot.
    Incomplete,
    /// The store failed.
    Failed(Error),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Acknowledged writes that a store lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The data directory.
    pub dir: PathBuf,
    /// The primary that the store follows.
    pub primary: Option<String>,
    /// The position up to which it is whole, where that can be told.
    pub has: Option<LogPosition>,
    /// The position up to which it acknowledged writes, where that is known.
    pub acknowledged: Option<LogPosition>,
    /// The fault of its log.
    pub why: String,
}

/// The system's own words for want of space.
const NO_SPACE: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// The remedies, by the system's own words, which RocksDB passes on: it does not retain the error's number.
const REMEDIES: [(&str, &str); 8] = [
    (
        "Too many levels of symbolic links",
        "; it is a symbolic link, which is not followed there: delete it",
    ),
    (
        "Permission denied",
        "; make the user that reviewsd runs as the owner of the data directory and its files, or run it \
         as their owner",
    ),
    (
        "Read-only file system",
        "; mount it writable, because reviewsd writes even while it only serves reads",
    ),
    (NO_SPACE[0], "; free space on the disk"),
    (NO_SPACE[1], "; free space, or raise the quota"),
    (
        "Too many open files",
        "; raise the limit of open files with `ulimit -n`, or LimitNOFILE= in the unit",
    ),
    ("Not a directory", "; give --data a directory"),
    ("File exists", "; give --data a directory"),
];

fn remedy(why: &str) -> &'static str {
    let known = REMEDIES.iter().find(|(words, _)| why.contains(words));
    known.map_or("", |(_, remedy)| remedy)
}

impl Error {
    /// An [`Error::Io`] maker for `map_err`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Returns true if the disk had no space for a write, or a quota allowed no more. Nothing else leads to
    /// a store that is only read.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_no_space(source),
            // RocksDB passes on the system's words, and does not retain the error's number.
            Self::Rocks { why, .. } => NO_SPACE.iter().any(|words| why.contains(words)),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { what, why } => write!(
                f,
                "the value of {what} is damaged ({why}); restore the store from a backup or import it again"
            ),
            Self::Rocks { doing, why } => write!(f, "cannot {doing}: {why}{}", remedy(why)),
            Self::DamagedFile { dir, why } => write!(
                f,
                "the store in {} does not open, because the disk has damaged a file of it ({why}); restore \
                 a backup, or, if it is a replica's, empty its data directory, so that it is fetched \
                 again; `reviewsd export --skip-damaged` saves what can be read",
                dir.display()
            ),
            Self::Io { doing, source } => {
                let why = source.to_string();
                write!(f, "cannot {doing}: {why}{}", remedy(&why))
            }
            Self::InUse { dir, by } => write!(
                f,
                "the data directory {} is in use by {by}; stop it first, or choose another --data",
                dir.display()
            ),
            Self::Occupied { dir, what, advice } => {
                write!(f, "{} already contains {what}; {advice}", dir.display())
            }
            Self::Unsaved { dir, .. } => write!(
                f,
                "the store in {} took writes since it was created, which the new one would not have",
                dir.display()
            ),
            Self::OtherUser { dir, why, command } => write!(
                f,
                "{} belongs to another user, and this process is root ({why}); run it as that user: \
                 {command}",
                dir.display()
            ),
            Self::NoStore { dir } => write!(
                f,
                "there is no store in {}; name its data directory with --data",
                dir.display()
            ),
            Self::Gone { store, link } => write!(
                f,
                "the store {}, which {} links to, does not exist; copy it back, or delete the link and \
                 import again",
                store.display(),
                link.display()
            ),
            Self::Format { dir, found, known } if found > known => write!(
                f,
                "the store in {} has format {found}, and this reviewsd reads format {known}; run the \
                 newer reviewsd that wrote it, or import what that one exports",
                dir.display()
            ),
            Self::Format { dir, found, known } => write!(
                f,
                "the store in {} has format {found}, which this reviewsd (format {known}) no longer \
                 reads; export it with the version that wrote it, and import that",
                dir.display()
            ),
            Self::Unfit { why } => write!(f, "a commit of the primary cannot be applied: {why}"),
            Self::Follows { dir, primary } => write!(
                f,
                "the store in {} is a replica of {primary}; serve it with --follow, or promote it with \
                 reviewsd promote",
                dir.display()
            ),
            Self::Lost(loss) => loss.fmt(f),
            Self::Unsound { dir } => write!(
                f,
                "the store in {} is inconsistent without its damaged log; promote a replica of it, or \
                 restore a backup",
                dir.display()
            ),
            Self::Miscount {
                family,
                written,
                found,
            } => write!(
                f,
                "the family {family} has {found} rows after {written} were written; the new store is \
                 deleted, please try again and report it"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, why) = (self.dir.display(), &self.why);
        write!(
            f,
            "the store in {dir} lacks acknowledged writes, because its log is damaged ({why}): it is \
             complete up to "
        )?;
        match self.has {
            Some(has) => write!(f, "{has}")?,
            None => f.write_str("its last flush")?,
        }
        f.write_str(" and had acknowledged ")?;
        match self.acknowledged {
            Some(acknowledged) => write!(f, "up to {acknowledged}")?,
            None => f.write_str("more")?,
        }
        let missing =
            |(has, acknowledged): (LogPosition, LogPosition)| acknowledged.seq.checked_sub(has.seq);
        if let Some(rows) = self.has.zip(self.acknowledged).and_then(missing) {
            write!(f, ", so {rows} rows are lost")?;
        }
        match &self.primary {
            Some(primary) => write!(
                f,
                "; if {primary} still has them, start with --accept-loss to fetch them again, otherwise \
                 promote another replica"
            ),
            None => f.write_str(
                "; promote a replica, restore a backup, or start with `reviewsd serve --accept-loss`, \
                 which gives them up: the store begins a new epoch, and replicas that have them fetch \
                 it again",
            ),
        }
    }
}
