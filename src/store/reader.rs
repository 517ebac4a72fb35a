//! Reads: one page of a list, one review, one summary, and the catalogue.
//!
//! Must not know HTTP, JSON or RocksDB. Invariants: every answer is a state the store had at one
//! instant; a page of a list costs the rows it passes over and gives, never the product's size;
//! with [`ReadTier::Memory`] no read waits for the disk, or is long in rows or in bytes.

mod posted;

use std::cell::Cell;
use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};

use super::clients::Salt;
use super::decoding::{damaged, number, read};
use super::error::{Error, ReadError};
use super::key::{
    self, Family, IdKey, RANK_STRIDE, ReviewKey, review_of_order_row, review_of_row, state,
};
use super::large_products::LargeProducts;
use super::log::position::LogPosition;
use super::ranks::{self, RankNode, RankPlace};
use super::rocks::{ReadTier, RocksView, Value};
use super::store::Store;
use super::stored_product::StoredProduct;
use super::value::{Counters, Related, ReviewHead, Styles, decode_head};
use crate::model::catalogue::{ProductEtag, WholeProduct};
use crate::model::{Order, Page, Product, ProductId, Review, ReviewId, Style, Summary};

/// A product with at most this many reviews is read whole and sorted; a larger one is read through
/// its order family. Reading 32 neighbours costs about what four single reads do.
const SCAN_ROWS_MAX: usize = 32;
/// Reviews of a large product that are read, and their blocks kept from being thrown out, at once.
const READ_AT_ONCE_MAX: usize = 32;
/// Rows of a large product that are passed over and given before a read counts as one that blocks.
const QUICK_ROWS_MAX: u64 = 256;
/// Bytes of rows that are read before a read counts as one that blocks, whatever their number.
const QUICK_BYTES_MAX: usize = 64 << 10;

/// The result of a read from memory alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryRead<T> {
    /// All that the read needs is in memory.
    Complete(T),
    /// Memory does not hold all that the read needs, or the read is long: to be read from the disk, where
    /// it may block.
    Incomplete,
}

impl Store {
    /// Reads from memory alone, and nothing long.
    pub fn read_in_memory<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<MemoryRead<T>, Error> {
        match read(&self.reader(ReadTier::Memory)) {
            Ok(found) => Ok(MemoryRead::Complete(found)),
            Err(ReadError::Incomplete) => Ok(MemoryRead::Incomplete),
            Err(ReadError::Failed(error)) => Err(error),
        }
    }

    /// Reads, from the disk where needed; may block.
    pub fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<T, Error> {
        read(&self.reader(ReadTier::Disk)).map_err(|error| match error {
            ReadError::Failed(error) => error,
            ReadError::Incomplete => unreachable!("a read that may use the disk is complete"),
        })
    }

    /// Returns a view that reads as far as `tier` says.
    #[must_use]
    pub fn reader(&self, tier: ReadTier) -> Reader<'_> {
        Reader {
            view: self.rocks().view_within(tier),
            salt: self.salt(),
            large: self.large_products(),
            read_bytes: Cell::new(0),
        }
    }
}

/// The rows that products are listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductListing {
    /// Products with reviews or characteristics.
    Summaries,
    /// Products with styles.
    Styles,
    /// Products of the catalogue.
    Products,
}

/// A view of the store that reads as far as its [`ReadTier`] says.
pub struct Reader<'s> {
    pub(super) view: RocksView<'s, ReadError>,
    pub(super) salt: Salt,
    large: &'s LargeProducts,
    /// Bytes of the values that were read.
    read_bytes: Cell<usize>,
}

impl Reader<'_> {
    /// Returns the store's position in its history; `None` before its first commit.
    pub fn head(&self) -> Result<Option<LogPosition>, ReadError> {
        let value = self.view.get(Family::State, state::HEAD)?;
        let head = value.map(|value| {
            LogPosition::from_value(&value)
                .ok_or_else(|| damaged(Family::State, "head", "it is no position"))
        });
        Ok(head.transpose()?)
    }

    /// Visits one page of a product's published reviews in `order`, until `each` has enough.
    pub fn list(
        &self,
        product: ProductId,
        order: Order,
        page: Page,
        mut each: impl FnMut(ReviewId, &Review<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if page.rows == 0 {
            return Ok(());
        }
        let Some(mut small) = self.small(product)? else {
            return self.list_large(product, order, page, each);
        };
        small.sort(order);
        for row in small.page(page) {
            let value = small.values.get(row.value.clone()).unwrap_or_default();
            if each(row.id, &read(Family::Reviews, row.id.0, value)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Counts the bytes of a value; an error where they make the read a long one, which none from memory
    /// may be.
    fn count(&self, value: &[u8]) -> Result<(), ReadError> {
        let bytes = self.read_bytes.get() + value.len();
        self.read_bytes.set(bytes);
        if bytes > QUICK_BYTES_MAX && self.view.tier() == ReadTier::Memory {
            return Err(ReadError::Incomplete);
        }
        Ok(())
    }

    /// The value under a key.
    pub(super) fn get(
        &self,
        family: Family,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value<'_>>, ReadError> {
        let value = self.view.get(family, key)?;
        if let Some(value) = &value {
            self.count(value)?;
        }
        Ok(value)
    }

    /// Hands over one review with its product, in whatever state; `None` when there is none.
    pub fn review<T>(
        &self,
        id: ReviewId,
        with: impl FnOnce(ProductId, &Review<'_>) -> T,
    ) -> Result<Option<T>, ReadError> {
        let Some(owner) = self.view.get(Family::Owners, IdKey::from(id))? else {
            return Ok(None);
        };
        let product = ProductId(number(Family::Owners, &owner)?);
        let value = self.get(Family::Reviews, ReviewKey::new(product, id))?;
        value
            .map(|value| Ok(with(product, &read(Family::Reviews, id.0, &value)?)))
            .transpose()
    }

    /// Hands over a product's summary; `None` when it has neither reviews nor characteristics.
    pub fn summary<T>(
        &self,
        product: ProductId,
        with: impl FnOnce(&Summary<'_>) -> T,
    ) -> Result<Option<T>, ReadError> {
        let value = self.get(Family::Summaries, IdKey::from(product))?;
        value
            .map(|value| Ok(with(&read(Family::Summaries, product.0, &value)?)))
            .transpose()
    }

    /// Hands over a product of the catalogue.
    pub fn product<T>(
        &self,
        id: ProductId,
        with: impl FnOnce(&Product<'_>) -> T,
    ) -> Result<Option<T>, ReadError> {
        let value = self.get(Family::Products, IdKey::from(id))?;
        value
            .map(|value| Ok(with(&read(Family::Products, id.0, &value)?)))
            .transpose()
    }

    /// Visits one page of the catalogue in id order, until `each` has enough.
    pub fn products(
        &self,
        page: Page,
        mut each: impl FnMut(ProductId, &Product<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if self.view.tier() == ReadTier::Memory && page.rows as u64 > QUICK_ROWS_MAX {
            return Err(ReadError::Incomplete);
        }
        // Ranks and products must be of one instant: a product may be put before the page between two reads.
        let view = self.view.still();
        let place = ranks::locate(page.skip, |key| {
            let value = view.get(Family::Ranks, key.bytes())?;
            let node = value.map(|value| RankNode::of_value(key, &value));
            Ok::<_, ReadError>(node.transpose()?)
        })?;
        let (from, mut pass_over) = match place {
            RankPlace::Beyond => return Ok(()),
            RankPlace::At { from, pass_over } => (from, pass_over),
            RankPlace::Imported => {
                let mark = page.skip - page.skip % RANK_STRIDE;
                let Some(first) = view.get(Family::Ranks, IdKey::from(mark))? else {
                    return Ok(());
                };
                (number(Family::Ranks, &first)?, page.skip - mark)
            }
        };
        let mut rows = view.scan(Family::Products, IdKey::from(from), None::<IdKey>)?;
        let mut left = page.rows;
        while left > 0 {
            let Some((key, value)) = rows.next()? else {
                break;
            };
            if pass_over > 0 {
                pass_over -= 1;
                continue;
            }
            let id = number(Family::Products, key)?;
            self.count(value)?;
            if each(ProductId(id), &read(Family::Products, id, value)?).is_break() {
                break;
            }
            left -= 1;
        }
        Ok(())
    }

    /// Returns a product with its styles and relations, and the hash of all of it; `None` when the catalogue
    /// does not have it.
    pub fn whole_product(
        &self,
        id: ProductId,
    ) -> Result<Option<(ProductEtag, WholeProduct)>, ReadError> {
        let stored = StoredProduct::read(&self.view.still(), id)?;
        for value in stored.values().into_iter().flatten() {
            self.count(value)?;
        }
        let whole = stored.whole(id)?;
        Ok(stored.etag().zip(whole))
    }

    /// Returns the hash of a product as it is stored, which costs less than the product; `None` when the
    /// catalogue does not have it.
    pub fn product_etag(&self, id: ProductId) -> Result<Option<ProductEtag>, ReadError> {
        Ok(StoredProduct::read(&self.view.still(), id)?.etag())
    }

    /// Returns true if the store has products.
    pub fn has_catalogue(&self) -> Result<bool, ReadError> {
        let value = self.view.get(Family::State, state::COUNTERS)?;
        let value = value.as_deref().unwrap_or_default();
        let counters: Counters = read(Family::State, "counters", value)?;
        Ok(counters.products > 0)
    }

    /// Returns the first products from one on that have such rows.
    pub fn product_ids(
        &self,
        rows: ProductListing,
        from: ProductId,
        ids_max: usize,
    ) -> Result<Vec<ProductId>, ReadError> {
        let family = match rows {
            ProductListing::Summaries => Family::Summaries,
            ProductListing::Styles => Family::Styles,
            ProductListing::Products => Family::Products,
        };
        let mut rows = self.view.sweep(family, IdKey::from(from))?;
        let mut ids = Vec::new();
        while ids.len() < ids_max
            && let Some((key, _)) = rows.next()?
        {
            ids.push(ProductId(number(family, key)?));
        }
        Ok(ids)
    }

    /// Hands over a product's styles; `None` when neither the product nor a style of it is known.
    pub fn styles<T>(
        &self,
        product: ProductId,
        with: impl FnOnce(&[Style<'_>]) -> T,
    ) -> Result<Option<T>, ReadError> {
        if let Some(value) = self.get(Family::Styles, IdKey::from(product))? {
            let Styles(styles) = read(Family::Styles, product.0, &value)?;
            return Ok(Some(with(&styles)));
        }
        Ok(self.in_catalogue(product)?.then(|| with(&[])))
    }

    /// Hands over a product's related products; `None` when neither the product nor a relation of
    /// it is known.
    pub fn related<T>(
        &self,
        product: ProductId,
        with: impl FnOnce(&[ProductId]) -> T,
    ) -> Result<Option<T>, ReadError> {
        if let Some(value) = self.get(Family::Related, IdKey::from(product))? {
            let Related(related) = read(Family::Related, product.0, &value)?;
            return Ok(Some(with(&related)));
        }
        Ok(self.in_catalogue(product)?.then(|| with(&[])))
    }

    fn in_catalogue(&self, product: ProductId) -> Result<bool, ReadError> {
        let value = self.view.get(Family::Products, IdKey::from(product))?;
        Ok(value.is_some())
    }

    /// The visible reviews of a product that has few reviews; `None` when it has many.
    fn small(&self, product: ProductId) -> Result<Option<Small>, ReadError> {
        if self.large.has(product.0) {
            return Ok(None);
        }
        let mut rows =
            self.view
                .scan(Family::Reviews, IdKey::from(product), key::after(product))?;
        let mut small = Small::default();
        let mut seen = 0;
        while let Some((key, value)) = rows.next()? {
            seen += 1;
            if seen > SCAN_ROWS_MAX {
                self.large.add(product.0);
                return Ok(None);
            }
            let id = review_of_row(key)
                .ok_or_else(|| damaged(Family::Reviews, "a key", "not 16 bytes"))?;
            let head = decode_head(value).map_err(|why| damaged(Family::Reviews, id, &why))?;
            if head.is_published() {
                self.count(value)?;
                let start = small.values.len();
                small.values.extend_from_slice(value);
                let value = start..small.values.len();
                small.rows.push(SmallRow { id, head, value });
            }
        }
        Ok(Some(small))
    }

    fn list_large(
        &self,
        product: ProductId,
        order: Order,
        page: Page,
        mut each: impl FnMut(ReviewId, &Review<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let beyond = |summary: &Summary<'_>| page.skip >= summary.ratings.iter().sum();
        if self.summary(product, beyond)? == Some(true) {
            return Ok(());
        }
        let rows = page.skip.saturating_add(page.rows as u64);
        if self.view.tier() == ReadTier::Memory && rows > QUICK_ROWS_MAX {
            return Err(ReadError::Incomplete);
        }
        // Order rows and reviews must be of one instant: a vote moves a row between two reads.
        let view = self.view.still();
        let family = key::family_of(order);
        let mut rows = view.scan(family, IdKey::from(product), key::after(product))?;
        for _ in 0..page.skip {
            if rows.next()?.is_none() {
                return Ok(());
            }
        }
        let mut ids = Vec::with_capacity(page.rows.min(READ_AT_ONCE_MAX));
        while ids.len() < page.rows
            && let Some((key, _)) = rows.next()?
        {
            let id = review_of_order_row(key);
            ids.push(id.ok_or_else(|| damaged(family, "a key", "it is too short"))?);
        }
        for ids in ids.chunks(READ_AT_ONCE_MAX) {
            let keys = ids.iter().map(|id| ReviewKey::new(product, *id));
            let values = view.get_all(Family::Reviews, keys)?;
            for (id, value) in ids.iter().zip(values) {
                let value = value.ok_or_else(|| damaged(family, id, "its review is missing"))?;
                self.count(&value)?;
                if each(*id, &read(Family::Reviews, id.0, &value)?).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The visible reviews of one product, read whole.
#[derive(Default)]
struct Small {
    values: Vec<u8>,
    rows: Vec<SmallRow>,
}

struct SmallRow {
    id: ReviewId,
    head: ReviewHead,
    value: Range<usize>,
}

impl Small {
    fn sort(&mut self, order: Order) {
        self.rows.sort_unstable_by_key(|SmallRow { id, head, .. }| {
            let helpfulness = match order {
                Order::Newest => 0,
                Order::Helpful => head.helpfulness,
            };
            Reverse((helpfulness, head.date_ms, *id))
        });
    }

    fn page(&self, page: Page) -> impl Iterator<Item = &SmallRow> {
        let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
        self.rows.iter().skip(skip).take(page.rows)
    }
}
