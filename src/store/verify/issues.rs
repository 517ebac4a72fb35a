//! What a recount finds, and what mends it.
//!
//! Must not know what is looked for. Invariants: all that is found is counted, and a bounded part of
//! it listed; without `repair` nothing is written.

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
/// Rows that are mended in one batch.
const BATCH_ROWS_MAX: usize = 1000;

/// The change that mends a row of a family that is not made anew as a whole.
#[derive(Debug)]
pub(super) enum RowFix {
    Put(Family, Vec<u8>, Vec<u8>),
    Delete(Family, Vec<u8>),
}

/// The findings so far.
pub(super) struct Issues<'s> {
    sentences: Vec<String>,
    total: u64,
    mended: u64,
    set_aside: u64,
    /// Families that are made anew as a whole, and how much of each differs.
    differing: BTreeMap<Family, u64>,
    /// The amount that differed of each family that was taken to be made anew.
    taken: BTreeMap<Family, u64>,
    repair: Option<Repair<'s>>,
}

/// The changes that mend the store.
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

    /// Something differs in a family that follows from others, and is made anew as a whole.
    pub(super) fn derived(&mut self, family: Family, sentence: String) {
        self.note(sentence);
        *self.differing.entry(family).or_default() += 1;
    }

    /// The families that differ and are to be made anew; none without `repair`.
    pub(super) fn take_differing(&mut self) -> Vec<Family> {
        if self.repair.is_none() {
            return Vec::new();
        }
        self.taken = std::mem::take(&mut self.differing);
        self.taken.keys().copied().collect()
    }

    /// These families were made anew.
    pub(super) fn mended(&mut self, families: &[Family]) {
        for family in families {
            self.mended += self.taken.remove(family).unwrap_or_default();
        }
    }

    /// A row differs, and this mends it.
    pub(super) fn row(&mut self, sentence: String, fix: RowFix) -> Result<(), Error> {
        self.note(sentence);
        let Some(repair) = &mut self.repair else {
            return Ok(());
        };
        self.mended += 1;
        repair.add(fix)
    }

    /// A value cannot be decoded.
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

    /// Something differs that nothing here can mend.
    pub(super) fn lost(&mut self, sentence: String) {
        self.note(sentence);
    }

    /// Makes what was mended so far what the store has.
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
            quarantine: self.set_aside,
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
        // What the batch removes must be in the file first.
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
