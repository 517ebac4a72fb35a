//! Owners: each review has one row that names its product, and there are no others.
//!
//! Must not know reviews' values. Invariant: memory does not grow with the reviews. Both families are
//! read once and compared by a sum over all pairs of review and product, which tells two sets apart
//! as a hash does; only when the sums differ are the rows looked up one by one.

use super::super::error::Error;
use super::super::key::{Family, IdKey, ReviewKey, number_of};
use super::super::value::decode;
use super::order::FamilyRows;
use super::reviews::place;
use super::{ALL, Gaps, Verifier};
use crate::model::{ProductId, Review, ReviewId};

/// A set of reviews and their products, as two numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwnedReviews {
    pairs: u64,
    sum: u128,
}

impl OwnedReviews {
    pub(super) fn add(&mut self, review: ReviewId, product: ProductId) {
        self.pairs += 1;
        let pair = (u128::from(review.0) << 64) | u128::from(product.0);
        self.sum = self.sum.wrapping_add(mixed(pair));
    }
}

/// A number as good as random that follows from a pair: multiplications by odd numbers, and shifts,
/// each of which can be undone, so that no two pairs have the same.
fn mixed(mut pair: u128) -> u128 {
    pair ^= pair >> 67;
    pair = pair.wrapping_mul(0xdb36_357d_f7a6_21fb_9e37_79b9_7f4a_7c15);
    pair ^= pair >> 61;
    pair = pair.wrapping_mul(0x94d0_49bb_1331_11eb_bf58_476d_1ce4_e5b9);
    pair ^ (pair >> 64)
}

impl Verifier<'_, '_> {
    /// Compares the owners with what the reviews say.
    pub(super) fn owners(&mut self, expected: &OwnedReviews) -> Result<(), Error> {
        let mut stored = OwnedReviews::default();
        let mut is_whole = true;
        let mut rows = FamilyRows::of(self.view, Family::Owners, &self.gaps)?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(Family::Owners);
            match (number_of(&key), number_of(&value)) {
                (Some(review), Some(product)) => stored.add(ReviewId(review), ProductId(product)),
                _ => is_whole = false,
            }
        }
        // If a part of either cannot be read, nothing follows from the rest.
        let is_torn = self.gaps.any_of(Family::Reviews) || self.gaps.any_of(Family::Owners);
        if is_torn || is_whole && stored == *expected {
            return Ok(());
        }
        self.stray_owners()?;
        self.lost_owners()
    }

    /// Finds reviews whose owner is missing or another.
    fn lost_owners(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, Family::Reviews, &Gaps::default())?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            let (Some((product, id)), Ok(_)) = (place(&key), decode::<Review<'_>>(&value)) else {
                continue;
            };
            let owner = self.view.get(Family::Owners, IdKey::from(id))?;
            let owner = owner.and_then(|owner| number_of(&owner)).map(ProductId);
            if owner == Some(product) {
                continue;
            }
            if let Some(other) = owner
                && self.has_review(other, id)?
            {
                self.found.lost(format!(
                    "review {id} is stored for the products {other} and {product}"
                ));
                continue;
            }
            let sentence = match owner {
                Some(other) => {
                    format!("review {id} of product {product} has the owner {other}")
                }
                None => format!("review {id} of product {product} has no owner"),
            };
            self.found.derived(Family::Owners, sentence);
        }
        Ok(())
    }

    /// Finds owners of reviews that do not exist.
    fn stray_owners(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, Family::Owners, &Gaps::default())?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            let sentence = match (number_of(&key), number_of(&value)) {
                (Some(id), Some(product)) => {
                    if self.has_review(ProductId(product), ReviewId(id))? {
                        continue;
                    }
                    format!("owners has review {id} of product {product}, which does not exist")
                }
                (Some(id), None) => format!("the owner of review {id} is not eight bytes"),
                (None, _) => format!("owners has a key of {} bytes", key.len()),
            };
            self.found.derived(Family::Owners, sentence);
        }
        Ok(())
    }

    /// Returns true if a product has a review, and one that can be decoded, as far as it can be read.
    pub(super) fn has_review(&self, product: ProductId, id: ReviewId) -> Result<bool, Error> {
        match self.view.get(Family::Reviews, ReviewKey::new(product, id)) {
            Ok(value) => Ok(value.is_some_and(|value| decode::<Review<'_>>(&value).is_ok())),
            Err(Error::Rocks { .. }) => Ok(true),
            Err(other) => Err(other),
        }
    }
}
