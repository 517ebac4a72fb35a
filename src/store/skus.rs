//! The product of a stock keeping unit: runs of sku ids without gaps, each of one product.
//!
//! ```text
//! the last sku id of a run       the product, and how many ids the run has
//! nine bytes, all of them 0xff   the product up to which the styles of an imported store are entered
//! ```
//!
//! A store as it was imported has none of these rows. They are entered from its styles, some products a
//! commit, before the first change that needs them. Must not know how products are changed. Invariants: no id
//! is in two runs; once all styles are entered, an id is in a run exactly if a style has it.

use std::collections::{BTreeMap, BTreeSet};

use super::decoding::{damaged, number, read};
use super::error::Error;
use super::key::{Family, IdKey};
use super::rocks::{RocksView, WriteBatch};
use super::value::Styles;

/// The key of the row that says how far the styles are entered.
pub(super) const ENTERED: [u8; 9] = [0xff; 9];
/// All styles are entered.
const ALL: u64 = u64::MAX;
/// Products whose styles are entered in one commit at most.
const PRODUCTS_AT_ONCE: usize = 1000;
/// Bytes of the styles that are read for one commit, but for the last product's.
const BYTES_AT_ONCE: usize = 8 << 20;

/// The kind and the version of the value of a run; `value.rs` has the other kinds.
const RUN_HEADER: [u8; 2] = [21, 1];

/// Sku ids without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SkuRun {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Returns the runs of a product's sku ids.
pub(super) fn runs_of(ids: impl Iterator<Item = u64>) -> BTreeSet<SkuRun> {
    let ids: BTreeSet<u64> = ids.collect();
    let mut runs = BTreeSet::new();
    let mut open: Option<SkuRun> = None;
    for id in ids {
        match &mut open {
            Some(run) if run.last.checked_add(1) == Some(id) => run.last = id,
            open => {
                runs.extend(open.replace(SkuRun {
                    first: id,
                    last: id,
                }));
            }
        }
    }
    runs.extend(open);
    runs
}

/// Returns the runs of the ids in a stored value of styles.
pub(super) fn runs_in(product: u64, styles: Option<&[u8]>) -> Result<BTreeSet<SkuRun>, Error> {
    let Some(value) = styles else {
        return Ok(BTreeSet::new());
    };
    let Styles(styles) = read(Family::Styles, product, value)?;
    Ok(runs_of(
        styles
            .iter()
            .flat_map(|style| style.skus.iter().map(|sku| sku.id)),
    ))
}

impl SkuRun {
    /// Returns the value of the row of a run.
    pub(super) fn to_value(self, product: u64) -> Vec<u8> {
        let mut value = RUN_HEADER.to_vec();
        value.extend_from_slice(&product.to_be_bytes());
        value.extend_from_slice(&(self.last - self.first).saturating_add(1).to_be_bytes());
        value
    }

    /// Returns the run and the product of a row.
    pub(super) fn of_row(last: u64, value: &[u8]) -> Result<(Self, u64), Error> {
        let row = value.strip_prefix(&RUN_HEADER).and_then(|value| {
            let (product, count) = value.split_first_chunk()?;
            let count = u64::from_be_bytes(count.try_into().ok()?);
            let first = last.checked_sub(count.checked_sub(1)?)?;
            Some((Self { first, last }, u64::from_be_bytes(*product)))
        });
        row.ok_or_else(|| damaged(Family::Skus, last, "it is no run"))
    }
}

/// A sku id that another product has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TakenSku {
    pub(super) sku: u64,
    pub(super) product: u64,
}

/// The rows that a group of changes leaves, until they are written.
#[derive(Debug, Default)]
pub(super) struct PendingSkus {
    /// The run and the product of each row by its last id; `None` for one that is removed.
    rows: BTreeMap<u64, Option<(SkuRun, u64)>>,
    /// How far the styles are entered, where the group went on with that.
    entered: Option<u64>,
}

/// The rows of one change.
#[derive(Debug, Default)]
pub(super) struct SkuChanges {
    rows: BTreeMap<u64, Option<(SkuRun, u64)>>,
}

/// Returns how far the styles are entered: the product that is the next.
fn entered(view: &RocksView<'_>) -> Result<u64, Error> {
    let value = view.get(Family::Skus, ENTERED)?;
    value.map_or(Ok(0), |value| number(Family::Skus, &value))
}

/// Returns true if all styles of a store are entered.
pub(super) fn is_complete(view: &RocksView<'_>) -> Result<bool, Error> {
    Ok(entered(view)? == ALL)
}

impl PendingSkus {
    /// Returns true if there is a row to write.
    pub(super) fn is_changed(&self) -> bool {
        self.entered.is_some()
    }

    /// Returns true if all styles are entered.
    pub(super) fn is_complete(&self, view: &RocksView<'_>) -> Result<bool, Error> {
        match self.entered {
            Some(entered) => Ok(entered == ALL),
            None => is_complete(view),
        }
    }

    /// Returns the first row whose run ends at an id or behind it.
    fn first_from(&self, view: &RocksView<'_>, from: u64) -> Result<Option<(SkuRun, u64)>, Error> {
        let mut pending = self.rows.range(from..);
        let pending = pending.find_map(|(_, row)| *row);
        let mut rows = view.scan(Family::Skus, IdKey::from(from), Some(ENTERED))?;
        while let Some((key, value)) = rows.next()? {
            let last = number(Family::Skus, key)?;
            if pending.is_some_and(|(run, _)| run.last < last) {
                break;
            }
            if !self.rows.contains_key(&last) {
                return SkuRun::of_row(last, value).map(Some);
            }
        }
        Ok(pending)
    }

    /// Returns the product that has a sku id.
    pub(super) fn owner(&self, view: &RocksView<'_>, sku: u64) -> Result<Option<u64>, Error> {
        let row = self.first_from(view, sku)?;
        let row = row.filter(|(run, _)| run.first <= sku);
        Ok(row.map(|(_, product)| product))
    }

    /// Returns the first id of a run that another product has.
    fn taken(&self, view: &RocksView<'_>, run: SkuRun, by: u64) -> Result<Option<TakenSku>, Error> {
        let mut from = run.first;
        loop {
            let row = self.first_from(view, from)?;
            let Some((found, product)) = row.filter(|(found, _)| found.first <= run.last) else {
                return Ok(None);
            };
            if product != by {
                let sku = found.first.max(run.first);
                return Ok(Some(TakenSku { sku, product }));
            }
            match found.last.checked_add(1).filter(|next| *next <= run.last) {
                Some(next) => from = next,
                None => return Ok(None),
            }
        }
    }

    /// Returns the rows with which a product has other runs, unless another one has an id of them.
    pub(super) fn plan(
        &self,
        view: &RocksView<'_>,
        product: u64,
        before: &BTreeSet<SkuRun>,
        after: &BTreeSet<SkuRun>,
    ) -> Result<Result<SkuChanges, TakenSku>, Error> {
        for run in after.difference(before) {
            if let Some(taken) = self.taken(view, *run, product)? {
                return Ok(Err(taken));
            }
        }
        let removed = before.difference(after).map(|run| (run.last, None));
        let mut rows: BTreeMap<_, _> = removed.collect();
        let added = after.difference(before);
        rows.extend(added.map(|run| (run.last, Some((*run, product)))));
        Ok(Ok(SkuChanges { rows }))
    }

    /// Takes over the rows of a change.
    pub(super) fn apply(&mut self, mut changes: SkuChanges) {
        self.rows.append(&mut changes.rows);
    }

    /// Enters the styles of some more products, and returns whether all are entered.
    pub(super) fn enter(&mut self, view: &RocksView<'_>) -> Result<bool, Error> {
        let from = match self.entered {
            Some(entered) => entered,
            None => entered(view)?,
        };
        if from == ALL {
            return Ok(true);
        }
        let mut after = Self {
            rows: self.rows.clone(),
            entered: None,
        };
        let (mut products, mut bytes, mut next) = (0, 0, ALL);
        let mut rows = view.sweep(Family::Styles, IdKey::from(from))?;
        while let Some((key, value)) = rows.next()? {
            let product = number(Family::Styles, key)?;
            if products >= PRODUCTS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                next = product;
                break;
            }
            products += 1;
            bytes += value.len();
            for run in runs_in(product, Some(value))? {
                // No import lets an id through twice; of what it is, the first product has it.
                if after.taken(view, run, product)?.is_none() {
                    after.rows.insert(run.last, Some((run, product)));
                }
            }
        }
        after.entered = Some(next);
        *self = after;
        Ok(next == ALL)
    }

    /// Adds the rows to a batch.
    pub(super) fn write(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for (last, row) in &self.rows {
            let key = IdKey::from(*last);
            match row {
                Some((run, product)) => batch.put(Family::Skus, key, &run.to_value(*product))?,
                None => batch.delete(Family::Skus, key)?,
            }
        }
        if let Some(entered) = self.entered {
            batch.put(Family::Skus, ENTERED, IdKey::from(entered).as_ref())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, last: u64) -> SkuRun {
        SkuRun { first, last }
    }

    #[test]
    fn ids_without_gaps_are_one_run() {
        let runs = |ids: &[u64]| runs_of(ids.iter().copied()).into_iter().collect::<Vec<_>>();
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[3, 1, 2]), [run(1, 3)]);
        assert_eq!(
            runs(&[u64::MAX, 9, 7]),
            [run(7, 7), run(9, 9), run(u64::MAX, u64::MAX)]
        );
    }

    #[test]
    fn a_run_has_the_bytes_that_are_documented() {
        let value = run(5, 7).to_value(258);
        let golden = [21, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        assert_eq!(value, golden);
        assert_eq!(SkuRun::of_row(7, &value).unwrap(), (run(5, 7), 258));
        let longest = run(0, u64::MAX).to_value(1);
        assert!(SkuRun::of_row(7, &longest).is_err(), "it begins before 0");
        for wrong in [&b""[..], &[21, 1], &[21, 2, 0], &golden[..17]] {
            assert!(SkuRun::of_row(7, wrong).is_err(), "{wrong:?}");
        }
        let mut none = golden;
        none[17] = 0;
        assert!(SkuRun::of_row(7, &none).is_err());
    }
}
