//! An operator's changes within a group: the merchant's answers, and reviews that are erased.
//!
//! Must not know the queue or how clients are answered. Invariants: a change that fails leaves the group as
//! it was; a review that is erased is taken out of its summary exactly, and leaves no row behind; an id
//! that was given once is not reused.

use std::collections::btree_map::Entry;

use super::{CommitGroup, PendingReview, ReviewChange, value_of};
use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey};
use crate::model::{ProductId, Review, ReviewId, Summary};
use crate::rocks::WriteBatch;
use crate::writer::change::ChangeOutcome;
use crate::writer::idempotency::IdempotencyKeys;

impl CommitGroup<'_> {
    /// Sets the merchant's answer.
    pub(super) fn respond(
        &mut self,
        id: ReviewId,
        response: Option<&str>,
    ) -> Result<ChangeOutcome, Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(ChangeOutcome::NoSuchReview);
        };
        let mut review: Review<'_> = read(Family::Reviews, id, &pending.value)?;
        if review.response != response {
            review.response = response;
            pending.value = value_of(Family::Reviews, id, &review)?;
            pending.review_change = ReviewChange::Amended;
            self.bytes += response.map_or(0, str::len);
        }
        Ok(ChangeOutcome::Changed)
    }

    /// Removes a review, and the idempotency records with these names that made it.
    pub(super) fn erase(
        &mut self,
        id: ReviewId,
        idempotency_keys: Vec<Vec<u8>>,
    ) -> Result<ChangeOutcome, Error> {
        if self.reach(id)?.is_none() {
            return Ok(ChangeOutcome::NoSuchReview);
        }
        let is_shops = self.is_shops(id)?;
        self.take_out(id, idempotency_keys)?;
        if is_shops {
            self.note_gone(id);
        }
        Ok(ChangeOutcome::Changed)
    }

    /// Takes a review out, with the idempotency records with these names that made it.
    pub(super) fn take_out(
        &mut self,
        id: ReviewId,
        idempotency_keys: Vec<Vec<u8>>,
    ) -> Result<(), Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(());
        };
        let (product, value) = (pending.product, pending.value.clone());
        let state = pending.head.state;
        let summary = if state.is_counted() {
            let review = read(Family::Reviews, id, &value)?;
            Some(self.summary_without(product, &review)?)
        } else {
            None
        };
        let forgotten = self.made_by(id, idempotency_keys)?;
        // Nothing fails from here on.
        let counters = &mut self.counters;
        counters.reviews = counters.reviews.saturating_sub(1);
        let count = counters.of_state(state);
        *count = count.saturating_sub(1);
        if let Some(summary) = summary {
            if summary.is_none() {
                counters.summaries = counters.summaries.saturating_sub(1);
            }
            self.summaries.insert(product, summary);
        }
        for (name, retried) in forgotten {
            if let Entry::Vacant(place) = self.forgotten.entry(name) {
                place.insert(retried);
                counters.idempotency_keys = counters.idempotency_keys.saturating_sub(1);
            }
        }
        self.idempotency_keys.retain(|_, retried| {
            let stays = retried.review != id.0;
            counters.idempotency_keys = counters.idempotency_keys.saturating_sub(u64::from(!stays));
            stays
        });
        if let Some(pending) = self.reviews.get_mut(&id) {
            pending.review_change = ReviewChange::Erased;
            pending.value.clear();
        }
        Ok(())
    }

    /// Returns the idempotency records in the store that made a review.
    fn made_by(
        &self,
        id: ReviewId,
        names: Vec<Vec<u8>>,
    ) -> Result<Vec<(Vec<u8>, super::IdempotencyRecord)>, Error> {
        let mut made = Vec::new();
        for name in names {
            let stored = IdempotencyKeys::stored(&self.view, &name)?;
            if let Some(retried) = stored.filter(|retried| retried.review == id.0) {
                made.push((name, retried));
            }
        }
        Ok(made)
    }

    /// Returns the product's summary with one review less; `None` when it then says nothing.
    fn summary_without(
        &self,
        product: ProductId,
        review: &Review<'_>,
    ) -> Result<Option<Vec<u8>>, Error> {
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
        if summary.is_empty() {
            return Ok(None);
        }
        value_of(Family::Summaries, product, &summary).map(Some)
    }
}

pub(super) fn counts_less(product: ProductId) -> Error {
    damaged(
        Family::Summaries,
        product,
        "it counts fewer than the product's reviews; `reviewsd verify --repair` counts again",
    )
}

impl PendingReview {
    pub(super) fn write_erased(
        &self,
        id: ReviewId,
        batch: &mut WriteBatch<'_>,
    ) -> Result<(), Error> {
        let Some(before) = self.before else {
            // It came with this group, and is removed with it.
            return Ok(());
        };
        let product = self.stored_product();
        batch.delete(Family::Reviews, ReviewKey::new(product, id))?;
        batch.delete(Family::Owners, IdKey::from(id))?;
        if before.is_published() {
            let (votes, date_ms) = (before.helpfulness, before.date_ms);
            batch.delete(Family::Newest, NewestKey::new(product, date_ms, id))?;
            batch.delete(
                Family::Helpful,
                HelpfulKey::new(product, votes, date_ms, id),
            )?;
        }
        self.write_state(id, None, batch)
    }
}
