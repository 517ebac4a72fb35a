//! Scans of all reviews, in pages: which reviews are of an address, and which were reported.
//!
//! Must not know its callers. Invariant: a page reads a bounded number of rows, and the cursor it returns
//! is where the next one goes on, so that no pass holds anything while no client reads.

use std::collections::BTreeSet;

use super::error::Error;
use super::key::{Family, ReviewKey, review_of_row};
use super::store::Store;
use super::value::decode;
use super::writer::idempotency::IdempotencyKeys;
use crate::model::{ProductId, Review, ReviewId};

/// The number of rows of a page at most: some hundred milliseconds of a disk that is not slow.
pub const PIECE_ROWS_MAX: usize = 50_000;

/// The review after which a pass goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanCursor {
    /// Its product.
    pub product: ProductId,
    /// The review.
    pub review: ReviewId,
}

impl ScanCursor {
    /// Returns the review that a key is of; `None` where it is none, or empty.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        place_of(key)
    }

    /// The key of the review.
    #[must_use]
    pub fn key(self) -> Vec<u8> {
        ReviewKey::new(self.product, self.review).as_ref().to_vec()
    }
}

/// The result of a page of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanPage {
    /// The place at which the next page begins; `None` after the last review.
    pub next: Option<ScanCursor>,
    /// Rows that were read.
    pub rows: usize,
    /// Rows among them that cannot be decoded, and that were passed to no visitor.
    pub unreadable: usize,
}

/// An e-mail address as reviews are looked for by: without spaces around it, and in any case of the
/// ASCII letters. Otherwise two addresses are one only if they are the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address that a text is; `None` for no text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_ascii_lowercase()))
    }

    /// Returns true if a review's address is this one.
    #[must_use]
    pub fn is(&self, stored: &str) -> bool {
        stored.trim().eq_ignore_ascii_case(&self.0)
    }

    /// Its text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Addresses are returned only on a request for them, and never logged.
impl std::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(…)")
    }
}

impl Store {
    /// Visits the reviews after a place, in order of product and id, until `each` has had enough or the
    /// page is over.
    pub fn scan(
        &self,
        after: Option<ScanCursor>,
        mut each: impl FnMut(ScanCursor, &Review<'_>) -> bool,
    ) -> Result<ScanPage, Error> {
        let after = after.map(|place| ReviewKey::new(place.product, place.review));
        let from = after.as_ref().map_or([].as_slice(), AsRef::as_ref);
        self.scan_of(from, true, PIECE_ROWS_MAX, &mut each)
    }

    /// Visits the reviews from the review of a key on.
    pub fn scan_from(
        &self,
        from: &[u8],
        mut each: impl FnMut(ScanCursor, &Review<'_>) -> bool,
    ) -> Result<ScanPage, Error> {
        self.scan_of(from, false, PIECE_ROWS_MAX, &mut each)
    }

    fn scan_of(
        &self,
        from: &[u8],
        is_after: bool,
        rows_max: usize,
        each: &mut dyn FnMut(ScanCursor, &Review<'_>) -> bool,
    ) -> Result<ScanPage, Error> {
        let view = self.rocks().view();
        let mut rows = view.sweep(Family::Reviews, from)?;
        let mut piece = ScanPage {
            next: None,
            rows: 0,
            unreadable: 0,
        };
        let mut last = None;
        loop {
            let (key, value) = match (rows.next(), last) {
                (Ok(Some(row)), _) => row,
                (Ok(None), _) => return Ok(piece),
                // The rows read so far come first. The next page is the error.
                (Err(_), Some(_)) => {
                    piece.next = last;
                    return Ok(piece);
                }
                (Err(error), None) => return Err(error),
            };
            if is_after && key == from {
                continue;
            }
            piece.rows += 1;
            let place = place_of(key);
            last = place.or(last);
            let review = decode::<Review<'_>>(value);
            let goes_on = if let (Some(place), Ok(review)) = (place, review) {
                each(place, &review)
            } else {
                piece.unreadable += 1;
                true
            };
            // A scan can resume only after the key of a review.
            if (!goes_on || piece.rows >= rows_max) && last.is_some() {
                piece.next = last;
                return Ok(piece);
            }
        }
    }

    /// Returns the names of the idempotency records that made these reviews.
    pub fn retries_of(&self, reviews: &BTreeSet<ReviewId>) -> Result<Vec<NamedKey>, Error> {
        let mut found = Vec::new();
        IdempotencyKeys::each(&self.rocks().view(), |name, retried| {
            let review = ReviewId(retried.review);
            if reviews.contains(&review) {
                found.push(NamedKey {
                    review,
                    name: name.to_vec(),
                });
            }
        })?;
        Ok(found)
    }
}

/// An idempotency record, by its name, and the review it made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// The review.
    pub review: ReviewId,
    /// The client's name for it.
    pub name: Vec<u8>,
}

fn place_of(key: &[u8]) -> Option<ScanCursor> {
    let review = review_of_row(key)?;
    let product = key.first_chunk().copied().map(u64::from_be_bytes)?;
    Some(ScanCursor {
        product: ProductId(product),
        review,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_range_is_read_in_pieces_too() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "a test", 32 << 20, 0).unwrap();
        let mut batch = store.rocks().batch();
        for id in 1..=25 {
            let key = ReviewKey::new(ProductId(1), ReviewId(id));
            batch.put(Family::Reviews, key, b"no review").unwrap();
        }
        batch.commit(false).unwrap();
        let mut each = |_: ScanCursor, _: &Review<'_>| panic!("nothing can be decoded");
        let (mut from, mut pieces) = (Vec::new(), Vec::new());
        loop {
            let piece = store.scan_of(&from, true, 10, &mut each).unwrap();
            assert_eq!(piece.unreadable, piece.rows);
            pieces.push(piece.rows);
            match piece.next {
                Some(next) => from = next.key(),
                None => break,
            }
        }
        assert_eq!(pieces, [10, 10, 5]);
    }

    #[test]
    fn an_address_is_itself_in_any_case_and_with_spaces_around() {
        let address = EmailAddress::new("  Ana@Example.org\n").unwrap();
        for same in ["ana@example.org", "ANA@EXAMPLE.ORG", " ana@example.org "] {
            assert!(address.is(same), "{same}");
        }
        for other in [
            "ana+x@example.org",
            "an@example.org",
            "",
            "ana@example.org.",
        ] {
            assert!(!address.is(other), "{other}");
        }
        assert!(EmailAddress::new(" \t").is_none());
        // Only ASCII letters have a case here: for other letters, mail servers disagree on what is the same.
        assert!(
            !EmailAddress::new("Ä@example.org")
                .unwrap()
                .is("ä@example.org")
        );
    }
}
