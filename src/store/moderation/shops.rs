//! The rows of the `moderation` family that tell the shop's own reviews from those of customers.
//!
//! The shop gave the ids below those that the store was made with. Must not know values. Invariant: the bytes of a
//! key never change.

use crate::key::join;
use crate::model::ReviewId;

/// The first byte of [`ShopsKey`].
const SHOPS: u8 = b'i';
/// The first byte of [`GoneKey`].
const GONE: u8 = b'g';

/// The row of an id beyond those that the shop gave, which the shop's files have as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShopsKey([u8; 9]);

/// The row of a review of the shop that was erased, so that the files do not bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoneKey([u8; 9]);

impl ShopsKey {
    /// The row of a review.
    pub(crate) fn new(review: ReviewId) -> Self {
        Self(join(&[&[SHOPS], &review.0.to_be_bytes()]))
    }
}

impl GoneKey {
    /// The row of a review.
    pub(crate) fn new(review: ReviewId) -> Self {
        Self(join(&[&[GONE], &review.0.to_be_bytes()]))
    }
}

impl AsRef<[u8]> for ShopsKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for GoneKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Returns true if a key is one of these. Nothing else says what they say, so none can be found wrong.
pub(crate) fn is_one(key: &[u8]) -> bool {
    key.len() == 9 && matches!(key.first(), Some(&(SHOPS | GONE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They are on disks: a change of this table is a new format.
    #[test]
    fn the_keys_of_the_shops_reviews_keep_their_bytes() {
        let review = ReviewId(0x0102);
        let (shops, gone) = (ShopsKey::new(review), GoneKey::new(review));
        assert_eq!(shops.as_ref(), b"i\0\0\0\0\0\0\x01\x02");
        assert_eq!(gone.as_ref(), b"g\0\0\0\0\0\0\x01\x02");
        assert!(is_one(shops.as_ref()) && is_one(gone.as_ref()));
        assert!(!is_one(b"s") && !is_one(b"i") && !is_one(b""));
    }
}
