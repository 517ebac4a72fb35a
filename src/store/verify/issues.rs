//! The issues that a verification finds, and their repair.
//!
//! Must not know what is looked for. Invariants: every issue is counted, and a bounded part of them listed;
//! without `repair` nothing is written.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::key::Family;
use super::super::rocks::{Rocks, WriteBatch};
use super::super::store::Store;
use super::super::value::Counters;
use super::Verification;
use super::quarantine::Quarantine;

/// Further differences are counted only.
const DIFFERENCES_MAX: usize = 1000;
/// The number of rows that are repaired in one batch.
const BATCH_ROWS_MAX: usize = 1000;

/// The change that repairs a row of a family that is not rebuilt as a whole.
#[derive(Debug)]
pub(super) enum RowFix {
    Put(Family, Vec<u8>, Vec<u8>),
    Delete(Family, Vec<u8>),
}

/// The issues so far.
pub(super) struct Issues<'s> {
    sentences: Vec<String>,
    total: u64,
    mended: u64,
    set_aside: u64,
    /// The families that are rebuilt as a whole, and how much of each differs.
    differing: BTreeMap<Family, u64>,
    /// The amount that differed of each family that was taken to be rebuilt.
    taken: BTreeMap<Family, u64>,
    repair: Option<Repair<'s>>,
}

/// The changes that repair the store.
struct Repair<'s> {
    rocks: &'s Rocks,
    batch: WriteBatch<'s>,
    batch_rows: usize,
    quarantine: Quarantine,
}

impl<'s> Issues<'s> {
    pub(super) fn new(store: &'s Store, repair: bool) -> Self {
        let repair = repair.then(|| Repair {
            rocks: store.rocks(),
            batch: store.rocks().batch(),
            batch_rows: 0,
            quarantine: Quarantine::of(store.data_dir()),
        });
        Self {
            sentences: Vec::new(),
            total: 0,
            mended: 0,
            set_aside: 0,
            differing: BTreeMap::new(),
            taken: BTreeMap::new(),
            repair,
        }
    }

    /// Notes a difference in a family that follows from others, and is rebuilt as a whole.
    pub(super) fn derived(&mut self, family: Family, sentence: String) {
        self.note(sentence);
        *self.differing.entry(family).or_default() += 1;
    }

    /// Returns the families that differ and are to be rebuilt; none without `repair`.
    pub(super) fn take_differing(&mut self) -> Vec<Family> {
        if self.repair.is_none() {
            return Vec::new();
        }
        self.taken = std::mem::take(&mut self.differing);
        self.taken.keys().copied().collect()
    }

    /// Notes that these families were rebuilt.
    pub(super) fn mended(&mut self, families: &[Family]) {
        for family in families {
            self.mended += self.taken.remove(family).unwrap_or_default();
        }
    }

    /// Notes that a row differs, and the change that repairs it.
    pub(super) fn row(&mut self, sentence: String, fix: RowFix) -> Result<(), Error> {
        self.note(sentence);
        let Some(repair) = &mut self.repair else {
            return Ok(());
        };
        self.mended += 1;
        repair.add(fix)
    }

    /// Notes that a value cannot be decoded.
    pub(super) fn damaged(
        &mut self,
        family: Family,
        key: &[u8],
        value: &[u8],
        what: impl std::fmt::Display,
        why: &str,
    ) -> Result<(), Error> {
        self.note(format!(
            "the value of {} {what} is damaged ({why})",
            family.name()
        ));
        let Some(repair) = &mut self.repair else {
            return Ok(());
        };
        self.set_aside += 1;
        repair.quarantine.add(family, key, value, why)?;
        repair.add(RowFix::Delete(family, key.to_vec()))
    }

    /// Notes a difference that nothing here can repair.
    pub(super) fn lost(&mut self, sentence: String) {
        self.note(sentence);
    }

    /// Commits the repairs so far to the store.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.repair.as_mut().map_or(Ok(()), Repair::settle)
    }

    pub(super) fn finish(
        mut self,
        counted: Counters,
        store: &Store,
    ) -> Result<Verification, Error> {
        if let Some(mut repair) = self.repair.take() {
            repair.settle()?;
            store.rocks().flush()?;
        }
        Ok(Verification {
            differences: self.sentences,
            total: self.total,
            mended: self.mended,
            quarantined: self.set_aside,
            counted,
            rows: Vec::new(),
        })
    }

    fn note(&mut self, sentence: String) {
        self.total += 1;
        if self.sentences.len() < DIFFERENCES_MAX {
            self.sentences.push(sentence);
        }
    }
}

impl Repair<'_> {
    fn add(&mut self, fix: RowFix) -> Result<(), Error> {
        match fix {
            RowFix::Put(family, key, value) => self.batch.put(family, key, &value)?,
            RowFix::Delete(family, key) => self.batch.delete(family, key)?,
        }
        self.batch_rows += 1;
        if self.batch_rows >= BATCH_ROWS_MAX {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.batch_rows = 0;
        let batch = std::mem::replace(&mut self.batch, self.rocks.batch());
        // The values that the batch removes must be in the file first.
        self.quarantine.sync()?;
        batch.commit(true)
    }

    fn settle(&mut self) -> Result<(), Error> {
        if self.batch_rows > 0 {
            self.commit()?;
        }
        Ok(())
    }
}
