//! The closing report: the outcome of every row of every file.
//!
//! Must not know how rows are checked. Invariant: for every file that was read, rows read are rows
//! stored, skipped and rejected together; a repaired row is a stored one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

/// The number of rows for each reason.
pub type Reasons = BTreeMap<String, u64>;

/// The outcome of all files.
#[derive(Debug, Default, Clone, Serialize)]
pub struct ImportReport {
    /// One entry a file, in the order in which they are read: of all ten, or of those that were found
    /// where files of other shops' programs are read.
    pub files: Vec<FileReport>,
    /// The ids that were made, if a file stores them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<IdsReport>,
}

/// The outcome of one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its name, as found; the current name where it is not there.
    pub file: String,
    /// The state of reading it.
    pub state: FileState,
    /// Its size.
    pub bytes: u64,
    /// Rows in it, the header apart.
    pub rows_read: u64,
    /// Rows that are in the store.
    pub rows_stored: u64,
    /// Rows among those that had to be repaired.
    pub rows_repaired: Reasons,
    /// Rows that mean nothing.
    pub rows_skipped: Reasons,
    /// Rows that could not be stored; the rejects file has them.
    pub rows_rejected: Reasons,
    /// The mapping of columns by which it was read, if it is no file of the ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// The rows that its rows became, by kind.
    #[serde(skip_serializing_if = "Reasons::is_empty")]
    pub rows_made: Reasons,
    /// The fields that no column of it gives, and their defaults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<String>,
}

/// The ids that were made for products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdsReport {
    /// The file that stores them.
    pub file: PathBuf,
    /// Products that had none.
    pub made: u64,
}

/// The state of reading a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// The file was read.
    Read,
    /// The file does not exist.
    Missing,
    /// The file exists, and its rows belong to rows of a file that does not.
    Needs(String),
}

impl FileReport {
    /// Makes the report of a file that is yet to be read, or never.
    pub(crate) fn new(file: &str, state: FileState) -> Self {
        Self {
            file: file.to_owned(),
            state,
            bytes: 0,
            rows_read: 0,
            rows_stored: 0,
            rows_repaired: Reasons::new(),
            rows_skipped: Reasons::new(),
            rows_rejected: Reasons::new(),
            mapping: None,
            rows_made: Reasons::new(),
            defaults: Vec::new(),
        }
    }

    /// A row that counted as stored cannot be stored after all.
    pub(crate) fn reject_stored(&mut self, reason: &str) {
        self.rows_stored -= 1;
        count(&mut self.rows_rejected, reason, 1);
    }
}

impl ImportReport {
    /// Rows read, in all files.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.files.iter().map(|file| file.rows_read).sum()
    }

    /// Bytes of the files that were read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Rows rejected, in all files.
    #[must_use]
    pub fn rows_rejected(&self) -> u64 {
        let of = |file: &FileReport| file.rows_rejected.values().sum::<u64>();
        self.files.iter().map(of).sum()
    }
}

/// Adds rows, if there are any, to a reason.
pub(crate) fn count(reasons: &mut Reasons, reason: &str, rows: u64) {
    if rows == 0 {
        return;
    }
    match reasons.get_mut(reason) {
        Some(so_far) => *so_far += rows,
        None => {
            reasons.insert(reason.to_owned(), rows);
        }
    }
}
