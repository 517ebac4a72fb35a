//! What would come of changes that files ask for, without making them.
//!
//! Must not know files. Invariant: nothing is written.

use super::group::{CommitGroup, Times};
use crate::error::Error;
use crate::model::filed::{FiledChange, FiledOutcome};
use crate::store::Store;

/// Files have the dates of their rows.
const TIMES: Times = Times {
    now_ms: 0,
    date_ms: 0,
};

impl Store {
    /// Returns what would come of these changes, one after the other.
    pub fn rehearse(&self, changes: &[FiledChange<'_>]) -> Result<Vec<FiledOutcome>, Error> {
        let mut group = CommitGroup::rehearsal(self, self.counters()?, TIMES);
        changes.iter().map(|change| group.file(change)).collect()
    }
}
