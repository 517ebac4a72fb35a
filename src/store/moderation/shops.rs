//! The rows of the `moderation` family that tell the shop's own reviews from those of customers.
//!
//! The shop gave the ids below those that the store was made with. Must not know values. Invariant: the bytes of a
//! key never change.

use crate::key::{join, number_of};
use crate::model::ReviewId;

/// The first byte of [`ShopsKey`].
const SHOPS: u8 = b'i';
/// The first byte of [`GoneKey`].
const GONE: u8 = b'g';
/// The first byte of [`FreeKey`] of reviews.
const FREE_REVIEWS: u8 = b'f';
/// The first byte of [`FreeKey`] of photos.
const FREE_PHOTOS: u8 = b'p';

/// The row of an id beyond those that the shop gave, which the shop's files have as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShopsKey([u8; 9]);

/// The row of a review of the shop that was erased, so that the files do not bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoneKey([u8; 9]);

/// A kind of ids of which a merge may pass over some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FreeIds {
    /// Those of reviews.
    Reviews,
    /// Those of the photos of reviews.
    Photos,
}

impl FreeIds {
    fn byte(self) -> u8 {
        match self {
            Self::Reviews => FREE_REVIEWS,
            Self::Photos => FREE_PHOTOS,
        }
    }
}

/// The row of a run of ids that the store never gave, because a merge added a higher one: by the last of them. Its
/// value is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FreeKey([u8; 9]);

impl FreeKey {
    /// The row of a run that ends with an id; the rows of runs that end later come behind it.
    pub(crate) fn new(kind: FreeIds, last: u64) -> Self {
        Self(join(&[&[kind.byte()], &last.to_be_bytes()]))
    }

    /// Returns true if a row is that of a run which has an id.
    pub(crate) fn has(kind: FreeIds, key: &[u8], value: &[u8], id: u64) -> bool {
        let last = key.strip_prefix(&[kind.byte()]).and_then(number_of);
        let first = number_of(value);
        first
            .zip(last)
            .is_some_and(|(first, last)| (first..=last).contains(&id))
    }
}

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

impl AsRef<[u8]> for FreeKey {
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
    key.len() == 9
        && matches!(
            key.first(),
            Some(&(SHOPS | GONE | FREE_REVIEWS | FREE_PHOTOS))
        )
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
        let [free, photos] =
            [FreeIds::Reviews, FreeIds::Photos].map(|kind| FreeKey::new(kind, 0x0102));
        assert_eq!(free.as_ref(), b"f\0\0\0\0\0\0\x01\x02");
        assert_eq!(photos.as_ref(), b"p\0\0\0\0\0\0\x01\x02");
        for key in [
            shops.as_ref(),
            gone.as_ref(),
            free.as_ref(),
            photos.as_ref(),
        ] {
            assert!(is_one(key));
        }
        let first = 7_u64.to_be_bytes();
        let has = |id| FreeKey::has(FreeIds::Reviews, free.as_ref(), &first, id);
        assert_eq!([6, 7, 0x0102, 0x0103].map(has), [false, true, true, false]);
        assert!(!FreeKey::has(FreeIds::Reviews, photos.as_ref(), &first, 7));
        assert!(!is_one(b"s") && !is_one(b"i") && !is_one(b""));
    }
}
