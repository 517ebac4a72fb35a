//! What becomes of the rows of each file.
//!
//! Must not know rows. Invariant: a row that a file has is counted once.

use std::ops::AddAssign;

use reviewsd_import::File;
use serde::Serialize;

/// The outcomes of the rows of one file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    /// Rows that the store did not have.
    #[serde(rename = "rows_inserted")]
    pub(super) inserted: u64,
    /// Rows that it had otherwise.
    #[serde(rename = "rows_changed")]
    pub(super) changed: u64,
    /// Rows of the store that the file no longer has.
    #[serde(rename = "rows_removed")]
    pub(super) removed: u64,
    /// Rows that it had already.
    #[serde(rename = "rows_unchanged")]
    pub(super) unchanged: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.changed += other.changed;
        self.removed += other.removed;
        self.unchanged += other.unchanged;
    }
}

impl Tally {
    /// The rows that are inserted, changed or removed.
    pub(super) fn merged(&self) -> u64 {
        self.inserted + self.changed + self.removed
    }

    /// The rows that the store had, as far as the merge looked at them.
    pub(super) fn before(&self) -> u64 {
        self.changed + self.removed + self.unchanged
    }
}

/// The outcomes of the rows of all files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tallies([Tally; File::ALL.len()]);

impl Tallies {
    /// The outcomes of a file's rows.
    pub(super) fn of(&self, file: File) -> Tally {
        self.0.get(file as usize).copied().unwrap_or_default()
    }

    /// Counts a row that the store has, or had, in the place of one of the file, or had not, or has no more.
    pub(super) fn row<T: PartialEq>(&mut self, file: File, before: Option<T>, filed: Option<T>) {
        let Some(tally) = self.0.get_mut(file as usize) else {
            return;
        };
        match (before, filed) {
            (None, None) => {}
            (None, Some(_)) => tally.inserted += 1,
            (Some(_), None) => tally.removed += 1,
            (Some(before), Some(filed)) if before == filed => tally.unchanged += 1,
            (Some(_), Some(_)) => tally.changed += 1,
        }
    }

    /// Counts the rows of a list that has taken the place of another one.
    pub(super) fn list<T: PartialEq>(&mut self, file: File, before: &[T], filed: &[T]) {
        for at in 0..before.len().max(filed.len()) {
            self.row(file, before.get(at), filed.get(at));
        }
    }

    /// Counts rows that the store has already.
    pub(super) fn same(&mut self, file: File, rows: usize) {
        if let Some(tally) = self.0.get_mut(file as usize) {
            tally.unchanged += rows as u64;
        }
    }

    /// Returns true if no row is inserted, changed or removed.
    pub(super) fn is_unchanged(&self) -> bool {
        self.0.iter().all(|tally| tally.merged() == 0)
    }

    /// The same rows, which turned out to be in the store already.
    pub(super) fn found(&self) -> Self {
        let mut found = *self;
        for tally in &mut found.0 {
            let rows = tally.inserted + tally.changed + tally.unchanged;
            *tally = Tally {
                unchanged: rows,
                ..Tally::default()
            };
        }
        found
    }
}

impl AddAssign<&Self> for Tallies {
    fn add_assign(&mut self, other: &Self) {
        for (tally, other) in self.0.iter_mut().zip(other.0) {
            *tally += other;
        }
    }
}

/// The files that are given, and whether rows that they no longer have are removed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct GivenFiles {
    files: [bool; File::ALL.len()],
    pub(super) prune: bool,
}

impl GivenFiles {
    /// The files of which `has` says that they are given.
    pub(super) fn new(prune: bool, has: impl Fn(File) -> bool) -> Self {
        let files = File::ALL.map(has);
        Self { files, prune }
    }

    /// Returns true if a file is given.
    pub(super) fn has(&self, file: File) -> bool {
        self.files.get(file as usize).copied().unwrap_or_default()
    }

    /// Returns true if rows go that this file no longer has.
    pub(super) fn prunes(&self, file: File) -> bool {
        self.prune && self.has(file)
    }

    /// Returns true if the list that a row of another file has in this file takes the place of the store's.
    pub(super) fn replaces<T>(&self, file: File, list: &[T]) -> bool {
        !list.is_empty() || self.prunes(file)
    }
}
