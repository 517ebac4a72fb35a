//! The families of a database: stores of earlier formats lack the later ones.
//!
//! Must not know what keys and values mean. Invariant: a family is made where it is one of a later format and
//! the database is opened to be written; every other one that is missing is an error.

use std::path::Path;

use rocksdb::{ColumnFamily, DB, Options};

use super::{Error, Family, Rocks, no_family};

/// Returns the families that the database in `dir` is to be opened with to be read: a missing one is left out where
/// earlier formats lack it. All of them where the list cannot be read, which opening it reports.
pub(super) fn to_read(dir: &Path) -> Vec<Family> {
    let listed = listed(dir);
    let is_opened = |family: &Family| match &listed {
        Some(listed) => listed.contains(family) || !family.is_later(),
        None => true,
    };
    Family::ALL.into_iter().filter(is_opened).collect()
}

/// Returns true if the database in `dir` is of an earlier format, and lacks nothing but families of later ones.
pub(super) fn lacks_later(dir: &Path) -> bool {
    let listed = listed(dir).unwrap_or_default();
    let mut missing = Family::ALL
        .into_iter()
        .filter(|family| !listed.contains(family))
        .peekable();
    missing.peek().is_some() && missing.all(Family::is_later)
}

fn listed(dir: &Path) -> Option<Vec<Family>> {
    let names = DB::list_cf(&Options::default(), dir).ok()?;
    let is_listed = |family: &Family| names.iter().any(|name| name == family.name());
    Some(Family::ALL.into_iter().filter(is_listed).collect())
}

impl Rocks {
    /// The family, or an error where the database has none of that name.
    pub(super) fn handle(&self, family: Family) -> Result<&ColumnFamily, Error> {
        self.db
            .cf_handle(family.name())
            .ok_or_else(|| no_family(family))
    }

    /// The family; `None` for one that is empty, because the store is of an earlier format and only read.
    pub(super) fn handle_if_there(&self, family: Family) -> Result<Option<&ColumnFamily>, Error> {
        match self.db.cf_handle(family.name()) {
            None if family.is_later() => Ok(None),
            handle => handle.ok_or_else(|| no_family(family)).map(Some),
        }
    }
}
