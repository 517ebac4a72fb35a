//! Joins rows to the product their parent belongs to, and reads sorted rows group by group.
//!
//! Must not know files. Invariant: children whose parents' products ascend with the parents' ids
//! come out of the join in product order as they are; any others are sorted once more.

use std::path::Path;

use crate::error::Error;
use crate::progress::ImportProgress;
use crate::rows::unpack_number;
use crate::sort::{Merge, SortKey, Sorted, SortedRows, Sorter};

/// Returns whether parents' products ascend with the parents' ids; `each` sees every pair of them.
pub(crate) fn products_ascend(
    owners: &Sorted,
    joining: JoinContext<'_>,
    progress: &ImportProgress,
    mut each: impl FnMut(u64, u64) -> Result<(), Error>,
) -> Result<bool, Error> {
    let mut owners = owners.merge(joining.memory)?;
    let (mut ascend, mut before) = (true, 0);
    while let Some(([parent, ..], packed)) = owners.next()? {
        let product = unpack_number(packed);
        ascend &= before <= product;
        before = product;
        each(parent, product)?;
        progress.check()?;
    }
    Ok(ascend)
}

/// The context of a join besides the rows.
#[derive(Clone, Copy)]
pub(crate) struct JoinContext<'a> {
    pub(crate) spill_dir: &'a Path,
    /// For each merge and each sorter that is open at a time.
    pub(crate) memory: usize,
}

impl JoinContext<'_> {
    /// Rows in the order of their keys.
    pub(crate) fn cursor(&self, sorted: &Sorted) -> Result<Cursor, Error> {
        Cursor::new(Box::new(sorted.merge(self.memory)?))
    }

    /// Children, keyed (parent, own), as rows keyed (product, parent, own). `in_order` says that
    /// products ascend with the parents' ids.
    pub(crate) fn with_product(
        &self,
        children: &Sorted,
        owners: &Sorted,
        in_order: bool,
        progress: &ImportProgress,
    ) -> Result<Cursor, Error> {
        let mut joined = JoinedRows {
            children: children.merge(self.memory)?,
            owners: owners.merge(self.memory)?,
            owner: None,
        };
        if in_order {
            return Cursor::new(Box::new(joined));
        }
        let mut sorter = Sorter::new(self.spill_dir, self.memory);
        while let Some((key, packed)) = joined.next()? {
            sorter.push(key, packed)?;
            progress.check()?;
        }
        self.cursor(&sorter.finish()?)
    }
}

/// Children with the product of their parent before their key.
struct JoinedRows {
    children: Merge,
    owners: Merge,
    /// The parent last read, and its product.
    owner: Option<(u64, u64)>,
}

impl SortedRows for JoinedRows {
    fn next(&mut self) -> Result<Option<(SortKey, &[u8])>, Error> {
        let Some(([parent, own, _], packed)) = self.children.next()? else {
            return Ok(None);
        };
        while self.owner.is_none_or(|(read, _)| read < parent) {
            let Some(([id, ..], product)) = self.owners.next()? else {
                break;
            };
            self.owner = Some((id, unpack_number(product)));
        }
        match self.owner {
            Some((id, product)) if id == parent => Ok(Some(([product, parent, own], packed))),
            _ => Err(Error::Logic("a row was let through without its parent")),
        }
    }
}

/// Sorted rows, with the next one in view.
pub(crate) struct Cursor {
    rows: Box<dyn SortedRows>,
    key: Option<SortKey>,
    packed: Vec<u8>,
}

impl Cursor {
    fn new(rows: Box<dyn SortedRows>) -> Result<Self, Error> {
        let mut cursor = Self {
            rows,
            key: None,
            packed: Vec::new(),
        };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The key of the row in view.
    pub(crate) fn key(&self) -> Option<SortKey> {
        self.key
    }

    /// The packed fields of the row in view.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The first number of the key in view.
    pub(crate) fn product(&self) -> Option<u64> {
        self.key.map(|key| key[0])
    }

    /// Brings the next row into view.
    pub(crate) fn advance(&mut self) -> Result<(), Error> {
        self.packed.clear();
        self.key = match self.rows.next()? {
            Some((key, packed)) => {
                self.packed.extend_from_slice(packed);
                Some(key)
            }
            None => None,
        };
        Ok(())
    }
}

/// Reports how far a join has come, and stops it when it is to stop.
pub(crate) struct JoinProgress<'a> {
    progress: &'a ImportProgress,
    rows: u64,
}

impl<'a> JoinProgress<'a> {
    /// The rows between two looks at whether to stop.
    const ROWS: u64 = 4096;

    pub(crate) fn new(progress: &'a ImportProgress) -> Self {
        Self { progress, rows: 0 }
    }

    /// Counts rows that have been handed on.
    pub(crate) fn add(&mut self, rows: usize) -> Result<(), Error> {
        self.rows += rows as u64;
        if self.rows < Self::ROWS {
            return Ok(());
        }
        self.finish();
        self.progress.check()
    }

    /// Reports the rows that were not reported yet.
    pub(crate) fn finish(&mut self) {
        self.progress.add_written(std::mem::take(&mut self.rows));
    }
}

/// Rows of one group, buffered while the group is put together.
#[derive(Default)]
pub(crate) struct RowGroup {
    bytes: Vec<u8>,
    /// The last number of each row's key, and where its packed fields are.
    rows: Vec<(u64, usize, usize)>,
}

impl RowGroup {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, own: u64, packed: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(packed);
        self.rows.push((own, start, self.bytes.len()));
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds all rows of a product.
    pub(crate) fn take_product(&mut self, rows: &mut Cursor, product: u64) -> Result<(), Error> {
        while let Some([of, own, _]) = rows.key() {
            if of != product {
                break;
            }
            self.push(own, rows.packed());
            rows.advance()?;
        }
        Ok(())
    }

    /// Adds all rows of a parent.
    pub(crate) fn take_children(
        &mut self,
        rows: &mut Cursor,
        product: u64,
        parent: u64,
    ) -> Result<(), Error> {
        while let Some([of, of_parent, own]) = rows.key() {
            if of != product || of_parent != parent {
                break;
            }
            self.push(own, rows.packed());
            rows.advance()?;
        }
        Ok(())
    }

    /// The rows from one position on, up to another.
    pub(crate) fn rows(&self, from: usize, to: usize) -> impl Iterator<Item = (u64, &[u8])> {
        let rows = self.rows.get(from..to).unwrap_or_default();
        rows.iter()
            .map(|(own, start, end)| (*own, self.bytes.get(*start..*end).unwrap_or_default()))
    }

    /// All rows.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.rows(0, self.len())
    }
}
