//! Passes over a family whose rows begin with a number, several read along with each other.
//!
//! Must not know which rows there should be. Invariants: every row that can be read is handed out once;
//! every part that cannot is noted before the row behind it is handed out.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::error::Error;
use super::super::gap::{Gap, gap};
use super::super::key::Family;
use super::super::rocks::{RocksView, Scan};
use crate::model::ProductId;

/// A key and its value.
pub(super) type KeyValue = (Vec<u8>, Vec<u8>);

/// The parts of families that could not be read.
#[derive(Debug, Default, Clone)]
pub(super) struct Gaps(Rc<RefCell<Vec<Gap>>>);

impl Gaps {
    /// Returns true if a part of a family cannot be read.
    pub(super) fn any_of(&self, family: Family) -> bool {
        self.0.borrow().iter().any(|gap| gap.family == family)
    }

    /// Returns true if rows of a product, or of whatever number keys begin with, may be in such a part.
    pub(super) fn touch(&self, family: Family, of: ProductId) -> bool {
        let touches = |gap: &Gap| {
            let after = number(&gap.after).unwrap_or(0);
            let before = gap.before.as_deref().map_or(Some(u64::MAX), number);
            gap.family == family && after <= of.0 && before.is_none_or(|before| of.0 <= before)
        };
        self.0.borrow().iter().any(touches)
    }

    /// Returns the parts that were noted since the last call, to be reported.
    pub(super) fn after(&self, told: usize) -> Vec<Gap> {
        self.0.borrow().iter().skip(told).cloned().collect()
    }
}

/// The number that a key begins with.
fn number(key: &[u8]) -> Option<u64> {
    key.first_chunk().copied().map(u64::from_be_bytes)
}

/// The rows of a family, read along.
pub(super) struct FamilyRows<'v, 'r> {
    view: &'v RocksView<'r>,
    family: Family,
    scan: Scan<'r>,
    gaps: Gaps,
    /// The row that has been read and not yet taken.
    next: Option<KeyValue>,
    /// The key of the last row that was read.
    last: Vec<u8>,
}

impl<'v, 'r> FamilyRows<'v, 'r> {
    /// Begins a pass, which notes in `gaps` what it cannot read.
    pub(super) fn of(view: &'v RocksView<'r>, family: Family, gaps: &Gaps) -> Result<Self, Error> {
        let mut rows = Self {
            view,
            family,
            scan: view.sweep(family, [])?,
            gaps: gaps.clone(),
            next: None,
            last: Vec::new(),
        };
        rows.advance()?;
        Ok(rows)
    }

    /// The next row, if it is of this product or one before it, or its key is too short to tell.
    pub(super) fn take_until(&mut self, product: ProductId) -> Result<Option<KeyValue>, Error> {
        let Some((key, _)) = &self.next else {
            return Ok(None);
        };
        if number(key).is_some_and(|of| of > product.0) {
            return Ok(None);
        }
        self.advance()
    }

    fn advance(&mut self) -> Result<Option<KeyValue>, Error> {
        let next = self.read()?;
        if let Some((key, _)) = &next {
            self.last.clone_from(key);
        }
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The next row that can be read.
    fn read(&mut self) -> Result<Option<KeyValue>, Error> {
        loop {
            let why = match self.scan.next() {
                Ok(row) => return Ok(row.map(|(key, value)| (key.to_vec(), value.to_vec()))),
                Err(why @ Error::Rocks { .. }) => why,
                Err(other) => return Err(other),
            };
            let gap = gap(self.view, self.family, &self.last, &why)?;
            let before = gap.before.clone();
            self.gaps.0.borrow_mut().push(gap);
            let Some(before) = before else {
                return Ok(None);
            };
            self.scan = self.view.sweep(self.family, before)?;
        }
    }
}
