//! The outcomes of the rows of one file.
//!
//! Must not know columns. Invariant: each row is counted once, as stored, skipped or rejected.

use std::sync::Mutex;

use crate::clean::Reason;
use crate::error::Error;
use crate::read::lock;
use crate::rejects::{Reject, Rejects};
use crate::report::{FileReport, count};

/// The reason a row does not go on.
pub(crate) enum RowEnd {
    /// The row cannot be stored.
    Reject {
        /// The column at fault; empty for the whole row.
        column: String,
        reason: Reason,
    },
    /// The row is not to be stored.
    Skip(String),
    /// The import cannot go on.
    Stop(Error),
}

impl From<Error> for RowEnd {
    fn from(error: Error) -> Self {
        Self::Stop(error)
    }
}

/// A maker of rejects for `map_err`.
pub(crate) fn at(column: &str) -> impl FnOnce(Reason) -> RowEnd {
    move |reason| RowEnd::Reject {
        column: column.to_owned(),
        reason,
    }
}

/// Counts the rows of a file.
pub(crate) struct RowLedger<'a> {
    pub(crate) report: FileReport,
    rejects: &'a Mutex<Rejects>,
}

impl<'a> RowLedger<'a> {
    pub(crate) fn new(report: FileReport, rejects: &'a Mutex<Rejects>) -> Self {
        Self { report, rejects }
    }

    /// Counts a row that goes on.
    pub(crate) fn stored(&mut self) {
        self.report.rows_stored += 1;
    }

    /// Counts a repair of a row that goes on.
    pub(crate) fn repaired(&mut self, repair: &str) {
        count(&mut self.report.rows_repaired, repair, 1);
    }

    /// Counts rows that were made of the file's.
    pub(crate) fn made(&mut self, kind: &str, rows: usize) {
        count(&mut self.report.rows_made, kind, rows as u64);
    }

    /// Counts a row that does not go on, and writes it to the rejects if it is one.
    pub(crate) fn ended(
        &mut self,
        end: RowEnd,
        line: u64,
        row: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), Error> {
        let (column, reason) = match end {
            RowEnd::Stop(error) => return Err(error),
            RowEnd::Skip(reason) => {
                count(&mut self.report.rows_skipped, &reason, 1);
                return Ok(());
            }
            RowEnd::Reject { column, reason } => (column, reason),
        };
        let field = if column.is_empty() { "row" } else { &column };
        count(
            &mut self.report.rows_rejected,
            &format!("{field} {reason}"),
            1,
        );
        lock(self.rejects).add(&Reject {
            file: &self.report.file,
            line,
            field,
            reason,
            row: &row(),
        })
    }
}
