//! Rows as they are, a page at a time: for a client that copies a store out of it, here or from afar.
//!
//! Owns the form of a page: the length of the key and of the value in four bytes each, big-endian,
//! then both, row after row. Must not know where pages go. Invariants: a page ends after the row
//! with which it reaches its size, or before one that cannot be read, and holds at least one while there
//! are any; damaged bytes are an error, never a panic.

use super::decoding::{damaged, number, read};
use super::error::Error;
use super::key::{Family, number_of, review_of_row};
use super::store::Store;
use super::value::{Related, Styles};
use crate::model::{Product, ProductId, Review, ReviewId, Style, Summary};

/// The bytes after which no further row is added to a page.
const PAGE_BYTES: usize = 1 << 20;

/// Families whose rows are not derived from others.
pub const SOURCES: [Family; 5] = [
    Family::Reviews,
    Family::Summaries,
    Family::Products,
    Family::Styles,
    Family::Related,
];

/// A row of one of the [`SOURCES`].
#[derive(Debug, PartialEq, Eq)]
pub enum Row<'a> {
    /// A review.
    Review(ProductId, ReviewId, Review<'a>),
    /// The review summary of a product.
    Summary(ProductId, Summary<'a>),
    /// A product of the catalogue.
    Product(ProductId, Product<'a>),
    /// A product's styles.
    Styles(ProductId, Vec<Style<'a>>),
    /// The products related to a product.
    Related(ProductId, Vec<ProductId>),
}

impl Store {
    /// Returns the rows of a family after a key, or from the first on; empty after the last.
    pub fn row_page(&self, family: Family, after: &[u8]) -> Result<Vec<u8>, Error> {
        self.row_page_of(family, after, true)
    }

    /// Returns the rows of a family from a key on.
    pub fn row_page_from(&self, family: Family, from: &[u8]) -> Result<Vec<u8>, Error> {
        self.row_page_of(family, from, false)
    }

    fn row_page_of(&self, family: Family, from: &[u8], is_after: bool) -> Result<Vec<u8>, Error> {
        let view = self.rocks().view();
        let mut rows = view.sweep(family, from)?;
        let mut page = Vec::new();
        loop {
            let (key, value) = match rows.next() {
                Ok(Some(row)) => row,
                Err(error) if page.is_empty() => return Err(error),
                // The rows read so far come first; the next page is the error.
                Ok(None) | Err(_) => break,
            };
            if is_after && key == from {
                continue;
            }
            for part in [key, value] {
                let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
                page.extend_from_slice(&length.to_be_bytes());
            }
            page.extend_from_slice(key);
            page.extend_from_slice(value);
            if page.len() >= PAGE_BYTES {
                break;
            }
        }
        Ok(page)
    }
}

/// Visits the rows of a page. Returns the key of the last one, which the next page comes after; `None` for
/// a page that is empty: there are no more.
pub fn each<E: From<Error>>(
    family: Family,
    page: &[u8],
    mut visit: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<Option<Vec<u8>>, E> {
    each_or(family, page, |_, row| visit(row?))
}

/// Visits the rows of a page, with the key of each; one that cannot be decoded is an error in its place.
pub fn each_or<E: From<Error>>(
    family: Family,
    page: &[u8],
    mut visit: impl FnMut(&[u8], Result<Row<'_>, Error>) -> Result<(), E>,
) -> Result<Option<Vec<u8>>, E> {
    let mut rest = page;
    let mut last = None;
    while !rest.is_empty() {
        let (key, value, behind) = cut(rest).ok_or_else(|| within(family))?;
        visit(key, Row::read(family, key, value))?;
        last = Some(key.to_vec());
        rest = behind;
    }
    Ok(last)
}

/// A page of rows, of which one is in view.
pub struct RowPage {
    family: Family,
    bytes: Vec<u8>,
    at: usize,
}

impl RowPage {
    /// A page of a family, with its first row in view.
    #[must_use]
    pub fn new(family: Family, bytes: Vec<u8>) -> Self {
        let at = 0;
        Self { family, bytes, at }
    }

    /// Key and value of the row in view, and what is behind it; `None` behind the last.
    fn cut(&self) -> Result<Option<CutRow<'_>>, Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        cut(rest).map(Some).ok_or_else(|| within(self.family))
    }

    /// Returns the key of the row in view.
    pub fn key(&self) -> Result<Option<&[u8]>, Error> {
        Ok(self.cut()?.map(|(key, ..)| key))
    }

    /// Returns the row in view, of one of the [`SOURCES`].
    pub fn row(&self) -> Result<Option<Row<'_>>, Error> {
        let row = self.cut()?;
        let row = row.map(|(key, value, _)| Row::read(self.family, key, value));
        row.transpose()
    }

    /// Returns the value of the row in view, as it is stored.
    pub fn value(&self) -> Result<Option<&[u8]>, Error> {
        Ok(self.cut()?.map(|(_, value, _)| value))
    }

    /// Brings the next row into view.
    pub fn advance(&mut self) -> Result<(), Error> {
        let left = self.cut()?.map_or(0, |(.., rest)| rest.len());
        self.at = self.bytes.len() - left;
        Ok(())
    }
}

fn within(family: Family) -> Error {
    damaged(family, "a page", "it ends within a row")
}

/// A key, its value, and what is behind them.
type CutRow<'p> = (&'p [u8], &'p [u8], &'p [u8]);

/// Key and value of the first row, and what is behind them.
fn cut(bytes: &[u8]) -> Option<CutRow<'_>> {
    let (key_length, rest) = bytes.split_first_chunk()?;
    let (value_length, rest) = rest.split_first_chunk()?;
    let length = |bytes: &[u8; 4]| usize::try_from(u32::from_be_bytes(*bytes)).ok();
    let (key, rest) = rest.split_at_checked(length(key_length)?)?;
    let (value, rest) = rest.split_at_checked(length(value_length)?)?;
    Some((key, value, rest))
}

impl<'a> Row<'a> {
    fn read(family: Family, key: &[u8], value: &'a [u8]) -> Result<Self, Error> {
        let product = || number(family, key).map(ProductId);
        Ok(match family {
            Family::Reviews => {
                let of = key.get(..8).and_then(number_of).map(ProductId);
                let id = review_of_row(key);
                let (Some(of), Some(id)) = (of, id) else {
                    return Err(damaged(family, "a key", "not 16 bytes"));
                };
                Self::Review(of, id, read(family, id, value)?)
            }
            Family::Summaries => Self::Summary(product()?, read(family, product()?, value)?),
            Family::Products => Self::Product(product()?, read(family, product()?, value)?),
            Family::Styles => {
                let Styles(styles) = read(family, product()?, value)?;
                Self::Styles(product()?, styles)
            }
            Family::Related => {
                let Related(related) = read(family, product()?, value)?;
                Self::Related(product()?, related)
            }
            other => return Err(damaged(other, "a row", "it is derived from others")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_is_read_row_by_row() {
        let mut bytes = Vec::new();
        for (key, value) in [([0, 1], "a"), ([0, 2], "")] {
            for part in [key.as_slice(), value.as_bytes()] {
                bytes.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
            }
            bytes.extend_from_slice(&key);
            bytes.extend_from_slice(value.as_bytes());
        }
        let mut page = RowPage::new(Family::Owners, bytes.clone());
        let view = |page: &RowPage| {
            let (key, value) = (page.key().unwrap(), page.value().unwrap());
            key.zip(value)
                .map(|(key, value)| (key.to_vec(), value.to_vec()))
        };
        assert_eq!(view(&page), Some((vec![0, 1], b"a".to_vec())));
        page.advance().unwrap();
        assert_eq!(view(&page), Some((vec![0, 2], Vec::new())));
        for _ in 0..2 {
            page.advance().unwrap();
            assert_eq!(view(&page), None);
        }
        bytes.pop();
        let cut = RowPage::new(Family::Owners, bytes[..7].to_vec());
        assert!(cut.key().is_err());
    }

    proptest! {
        #[test]
        fn any_page_is_rows_or_an_error(page in prop::collection::vec(any::<u8>(), 0..200)) {
            for family in SOURCES {
                let _: Result<_, Error> = each(family, &page, |_| Ok(()));
            }
        }
    }
}
