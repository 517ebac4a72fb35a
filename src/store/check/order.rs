//! A family whose rows begin with a product, read along with the reviews.
//!
//! Must not know which rows there should be. Invariant: every row is handed out once.

use super::super::error::Error;
use super::super::key::Family;
use super::super::rocks::{Scan, View};
use crate::model::ProductId;

/// A key and its value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// The rows of a family whose keys begin with a product, read along.
pub(super) struct Rows<'r> {
    scan: Scan<'r>,
    /// The row that has been read and not yet taken.
    next: Option<Row>,
}

impl<'r> Rows<'r> {
    pub(super) fn of(view: &View<'r>, family: Family) -> Result<Self, Error> {
        let scan = view.sweep(family, [])?;
        let mut rows = Self { scan, next: None };
        rows.advance()?;
        Ok(rows)
    }

    /// The next row, if it is of this product or one before it, or its key is too short to tell.
    pub(super) fn take_until(&mut self, product: ProductId) -> Result<Option<Row>, Error> {
        let Some((key, _)) = &self.next else {
            return Ok(None);
        };
        let of = key.first_chunk().copied().map(u64::from_be_bytes);
        if of.is_some_and(|of| of > product.0) {
            return Ok(None);
        }
        self.advance()
    }

    fn advance(&mut self) -> Result<Option<Row>, Error> {
        let next = self.scan.next()?;
        let next = next.map(|(key, value)| (key.to_vec(), value.to_vec()));
        Ok(std::mem::replace(&mut self.next, next))
    }
}
