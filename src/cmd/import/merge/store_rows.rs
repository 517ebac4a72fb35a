//! The rows of a store in the order of their keys, a page at a time.
//!
//! Must not know what they are compared with. Invariants: one page is in memory for each family; rows between
//! two that are looked for are passed over without being fetched, as far as they are not on a page with either.

use reviewsd_import as csv;
use reviewsd_import::KnownRows;

use crate::store::key::{Family, number_of};
use crate::store::rows::{Row, RowPage};

use super::super::super::store_target::{Error, PageStart, StoreTarget};

/// The rows of a family, of which one is in view.
pub(super) struct StoreRows<'t> {
    target: &'t dyn StoreTarget,
    family: Family,
    page: RowPage,
    /// The key that the next page comes after.
    after: Vec<u8>,
    is_over: bool,
}

impl<'t> StoreRows<'t> {
    /// The rows of a family; the first is in view when one was looked for.
    pub(super) fn new(target: &'t dyn StoreTarget, family: Family) -> Self {
        Self {
            target,
            family,
            page: RowPage::new(family, Vec::new()),
            after: Vec::new(),
            is_over: false,
        }
    }

    /// Brings the first row into view that has this key or a later one, and is not passed already.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        loop {
            match self.page.key()? {
                Some(at) if at >= key => return Ok(()),
                Some(_) => self.pass()?,
                None if self.is_over => return Ok(()),
                None => {
                    let before = before(key);
                    if self.after < before {
                        self.after = before;
                    }
                    self.fetch()?;
                }
            }
        }
    }

    /// Brings the next row into view.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        self.pass()?;
        if self.page.key()?.is_none() && !self.is_over {
            self.fetch()?;
        }
        Ok(())
    }

    /// The key of the row in view.
    pub(super) fn key(&self) -> Result<Option<&[u8]>, Error> {
        Ok(self.page.key()?)
    }

    /// The first number of the key of the row in view.
    pub(super) fn first(&self) -> Result<Option<u64>, Error> {
        let key = self.page.key()?;
        Ok(key.and_then(|key| number_of(key.get(..8)?)))
    }

    /// The row in view.
    pub(super) fn row(&self) -> Result<Option<Row<'_>>, Error> {
        Ok(self.page.row()?)
    }

    /// The value of the row in view if it has this key.
    pub(super) fn value_of(&self, key: &[u8]) -> Result<Option<&[u8]>, Error> {
        if self.page.key()? != Some(key) {
            return Ok(None);
        }
        Ok(self.page.value()?)
    }

    /// The row in view if it has this key.
    pub(super) fn row_of(&self, key: &[u8]) -> Result<Option<Row<'_>>, Error> {
        if self.page.key()? != Some(key) {
            return Ok(None);
        }
        self.row()
    }

    fn pass(&mut self) -> Result<(), Error> {
        if let Some(key) = self.page.key()? {
            self.after.clear();
            self.after.extend_from_slice(key);
        }
        Ok(self.page.advance()?)
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let from = PageStart::After(self.after.clone());
        let page = self.target.page(self.family, &from)?;
        self.is_over = page.is_empty();
        self.page = RowPage::new(self.family, page);
        Ok(())
    }
}

/// The key before a key of its length; empty before the first.
fn before(key: &[u8]) -> Vec<u8> {
    let mut before = key.to_vec();
    for byte in before.iter_mut().rev() {
        let (less, is_borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !is_borrowed {
            return before;
        }
    }
    Vec::new()
}

/// The rows of a store that rows of files may belong to.
pub(super) struct StoreKnows<'t>(pub(super) &'t dyn StoreTarget);

impl StoreKnows<'_> {
    fn each(
        &self,
        family: Family,
        mut visit: impl FnMut(&StoreRows<'_>) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        let sink = |error: Error| csv::Error::Sink(error.into());
        let mut rows = StoreRows::new(self.0, family);
        rows.seek(&[]).map_err(sink)?;
        while rows.key().map_err(sink)?.is_some() {
            visit(&rows)?;
            rows.advance().map_err(sink)?;
        }
        Ok(())
    }

    fn each_row(
        &self,
        family: Family,
        mut visit: impl FnMut(Row<'_>) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        self.each(family, |rows| {
            let row = rows.row().map_err(|error| csv::Error::Sink(error.into()))?;
            row.map_or(Ok(()), &mut visit)
        })
    }
}

impl KnownRows for StoreKnows<'_> {
    fn products(
        &self,
        each: &mut dyn FnMut(u64) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        self.each(Family::Products, |rows| {
            let product = rows.first().map_err(|e| csv::Error::Sink(e.into()))?;
            product.map_or(Ok(()), &mut *each)
        })
    }

    fn reviews(
        &self,
        each: &mut dyn FnMut(u64, u64) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        self.each(Family::Owners, |rows| {
            let sink = |error: Error| csv::Error::Sink(error.into());
            let review = rows.first().map_err(sink)?;
            let key = rows.key().map_err(sink)?.unwrap_or_default();
            let product = rows.value_of(key).map_err(sink)?.and_then(number_of);
            match review.zip(product) {
                Some((review, product)) => each(review, product),
                None => Ok(()),
            }
        })
    }

    fn characteristics(
        &self,
        each: &mut dyn FnMut(u64) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        self.each_row(Family::Summaries, |row| {
            let Row::Summary(_, summary) = row else {
                return Ok(());
            };
            let mut all = summary.characteristics.iter();
            all.try_for_each(|one| each(one.id))
        })
    }

    fn styles(
        &self,
        each: &mut dyn FnMut(u64, u64) -> Result<(), csv::Error>,
    ) -> Result<(), csv::Error> {
        self.each_row(Family::Styles, |row| {
            let Row::Styles(product, styles) = row else {
                return Ok(());
            };
            let mut all = styles.iter();
            all.try_for_each(|style| each(style.id, product.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn the_key_before_a_key_has_its_length() {
        assert_eq!(before(&[0, 1]), [0, 0]);
        assert_eq!(before(&[1, 0]), [0, 255]);
        assert_eq!(before(&[0, 0]), [0; 0]);
        assert_eq!(before(&[]), [0; 0]);
    }
}
