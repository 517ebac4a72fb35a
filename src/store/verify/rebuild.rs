//! Rebuilds families that follow from others: order rows and owners from reviews, ranks from products.
//!
//! Must not know what was wrong with them. Invariants: memory is bounded by a batch; a rebuild that is cut
//! off leaves a family that lacks rows, which the next verification finds and rebuilds.

use super::super::error::Error;
use super::super::key::{Family, HelpfulKey, IdKey, NewestKey, RANK_STRIDE, number_of};
use super::super::rocks::{Rocks, WriteBatch};
use super::super::value::decode;
use super::order::FamilyRows;
use super::reviews::place;
use super::{ALL, Gaps, Verifier};
use crate::model::{Product, ProductId, Review, ReviewId};

/// Rows that are written in one batch.
const BATCH_ROWS_MAX: usize = 4096;

/// The families that follow from reviews alone.
const OF_REVIEWS: [Family; 3] = [Family::Newest, Family::Helpful, Family::Owners];

/// Rows on their way into a store.
struct Rebuilt<'r> {
    rocks: &'r Rocks,
    batch: WriteBatch<'r>,
    rows: usize,
}

impl Verifier<'_, '_> {
    /// Rebuilds those of these families that differ, where the families that they follow from can be read.
    pub(super) fn rebuild(&mut self, rocks: &Rocks) -> Result<(), Error> {
        let differ = self.found.take_differing();
        let of_reviews = OF_REVIEWS.iter().filter(|family| differ.contains(family));
        let of_reviews: Vec<_> = of_reviews.copied().collect();
        if !of_reviews.is_empty() && !self.gaps.any_of(Family::Reviews) {
            let mut rebuilt = Rebuilt::begin(rocks, &of_reviews)?;
            let mut rows = FamilyRows::of(self.view, Family::Reviews, &Gaps::default())?;
            while let Some((key, value)) = rows.take_until(ALL)? {
                if let (Some((product, id)), Ok(review)) =
                    (place(&key), decode::<Review<'_>>(&value))
                {
                    rebuilt.review(product, id, &review, &of_reviews)?;
                }
            }
            rebuilt.finish()?;
            self.found.mended(&of_reviews);
        }
        if differ.contains(&Family::Ranks) && !self.gaps.any_of(Family::Products) {
            self.rebuild_ranks(rocks)?;
            self.found.mended(&[Family::Ranks]);
        }
        if differ.contains(&Family::Skus) {
            // They are entered anew before the first change that needs them.
            rocks.clear(Family::Skus)?;
            self.found.mended(&[Family::Skus]);
        }
        Ok(())
    }

    fn rebuild_ranks(&self, rocks: &Rocks) -> Result<(), Error> {
        let mut rebuilt = Rebuilt::begin(rocks, &[Family::Ranks])?;
        let mut rows = FamilyRows::of(self.view, Family::Products, &Gaps::default())?;
        let mut rank: u64 = 0;
        while let Some((key, value)) = rows.take_until(ALL)? {
            let Some(id) = number_of(&key).filter(|_| decode::<Product<'_>>(&value).is_ok()) else {
                continue;
            };
            if rank.is_multiple_of(RANK_STRIDE) {
                let product = IdKey::from(id);
                rebuilt.put(Family::Ranks, IdKey::from(rank), product.as_ref())?;
            }
            rank += 1;
        }
        rebuilt.finish()
    }
}

impl<'r> Rebuilt<'r> {
    fn begin(rocks: &'r Rocks, families: &[Family]) -> Result<Self, Error> {
        for family in families {
            rocks.clear(*family)?;
        }
        Ok(Self {
            rocks,
            batch: rocks.batch(),
            rows: 0,
        })
    }

    fn review(
        &mut self,
        product: ProductId,
        id: ReviewId,
        review: &Review<'_>,
        families: &[Family],
    ) -> Result<(), Error> {
        let Review {
            date_ms,
            helpfulness,
            ..
        } = *review;
        let is_published = review.is_published();
        for family in families {
            match family {
                Family::Newest if is_published => {
                    self.put(*family, NewestKey::new(product, date_ms, id), &[])?;
                }
                Family::Helpful if is_published => {
                    let key = HelpfulKey::new(product, helpfulness, date_ms, id);
                    self.put(*family, key, &[])?;
                }
                Family::Owners => {
                    self.put(*family, IdKey::from(id), IdKey::from(product).as_ref())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn put(&mut self, family: Family, key: impl AsRef<[u8]>, value: &[u8]) -> Result<(), Error> {
        self.batch.put(family, key, value)?;
        self.rows += 1;
        if self.rows >= BATCH_ROWS_MAX {
            self.rows = 0;
            let batch = std::mem::replace(&mut self.batch, self.rocks.batch());
            batch.commit(false)?;
        }
        Ok(())
    }

    /// Makes all of it durable, which flushing does at the end of a repair as well.
    fn finish(self) -> Result<(), Error> {
        self.batch.commit(true)
    }
}
