//! The summaries of products within a group.
//!
//! Must not know the queue or how clients are answered. Invariant: a summary counts the published and the hidden
//! reviews of its product, and no others, exactly; one that says nothing is removed.

use super::{CommitGroup, value_of};
use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::{Family, IdKey};
use crate::model::moderation::ReviewState;
use crate::model::{ProductId, Review, ReviewId, Summary};

/// The summary of a product as a change leaves it.
pub(super) struct ChangedSummary {
    /// Its value; `None` where it says nothing any more.
    value: Option<Vec<u8>>,
    /// True if the product had none.
    is_new: bool,
}

impl CommitGroup<'_> {
    /// Returns the summary of the product of a review that comes from one state into another; `None` where it stays.
    pub(super) fn moved_summary(
        &mut self,
        id: ReviewId,
        from: ReviewState,
        to: ReviewState,
    ) -> Result<Option<ChangedSummary>, Error> {
        if from.is_counted() == to.is_counted() {
            return Ok(None);
        }
        let Some(pending) = self.reviews.get(&id) else {
            return Ok(None);
        };
        let review: Review<'_> = read(Family::Reviews, id, &pending.value)?;
        if to.is_counted() {
            self.summary_with(pending.product, &review).map(Some)
        } else {
            self.summary_without(pending.product, &review).map(Some)
        }
    }

    /// Sets the summary of a product.
    pub(super) fn change_summary(&mut self, product: ProductId, summary: ChangedSummary) {
        let counters = &mut self.counters;
        if summary.is_new {
            counters.summaries += 1;
        }
        if summary.value.is_none() {
            counters.summaries = counters.summaries.saturating_sub(1);
        }
        self.summaries.insert(product, summary.value);
    }

    /// Returns the product's summary with one more review.
    pub(super) fn summary_with(
        &self,
        product: ProductId,
        review: &Review<'_>,
    ) -> Result<ChangedSummary, Error> {
        let add = |mut summary: Summary<'_>, is_new| {
            summary.add(review);
            let value = value_of(Family::Summaries, product.0, &summary)?;
            Ok(ChangedSummary {
                value: Some(value),
                is_new,
            })
        };
        match self.summaries.get(&product) {
            Some(Some(value)) => return add(read(Family::Summaries, product.0, value)?, false),
            Some(None) => return add(Summary::default(), true),
            None => {}
        }
        match self.view.get(Family::Summaries, IdKey::from(product))? {
            Some(value) => add(read(Family::Summaries, product.0, &value)?, false),
            None => add(Summary::default(), true),
        }
    }

    /// Returns the product's summary with one review less.
    pub(super) fn summary_without(
        &self,
        product: ProductId,
        review: &Review<'_>,
    ) -> Result<ChangedSummary, Error> {
        let stored;
        let value: &[u8] = match self.summaries.get(&product) {
            Some(Some(value)) => value,
            Some(None) => return Err(counts_less(product)),
            None => {
                stored = self.view.get(Family::Summaries, IdKey::from(product))?;
                stored.as_deref().ok_or_else(|| counts_less(product))?
            }
        };
        let summary: Summary<'_> = read(Family::Summaries, product, value)?;
        let summary = summary
            .without(review)
            .ok_or_else(|| counts_less(product))?;
        let value = if summary.is_empty() {
            None
        } else {
            Some(value_of(Family::Summaries, product, &summary)?)
        };
        Ok(ChangedSummary {
            value,
            is_new: false,
        })
    }
}

pub(super) fn counts_less(product: ProductId) -> Error {
    damaged(
        Family::Summaries,
        product,
        "it counts fewer than the product's reviews; `reviewsd verify --repair` counts again",
    )
}
