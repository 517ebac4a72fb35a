//! Changes of single reviews within a group: the merchant's answers, and reviews that are erased.
//!
//! Must not know the queue or how clients are answered. Invariants: a change that fails leaves the group as
//! it was; a review that is erased is taken out of its summary exactly, and leaves no row behind but those of the
//! audit log; an id that was given once is not reused.

use std::collections::btree_map::Entry;

use super::states::AuditedAction;
use super::{CommitGroup, PendingReview, ReviewChange, value_of};
use crate::decoding::read;
use crate::error::Error;
use crate::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey};
use crate::model::moderation::{Actor, AuditAction, ReasonCode, ReviewState};
use crate::model::{Review, ReviewId};
use crate::moderation::keys::EmailKey;
use crate::rocks::WriteBatch;
use crate::writer::change::ChangeOutcome;
use crate::writer::idempotency::IdempotencyKeys;

impl CommitGroup<'_> {
    /// Sets the merchant's answer.
    pub(super) fn respond(
        &mut self,
        id: ReviewId,
        response: Option<&str>,
        by: &Actor,
    ) -> Result<ChangeOutcome, Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(ChangeOutcome::NoSuchReview);
        };
        let mut review: Review<'_> = read(Family::Reviews, id, &pending.value)?;
        if review.response == response {
            return Ok(ChangeOutcome::Changed);
        }
        review.response = response;
        let value = value_of(Family::Reviews, id, &review)?;
        self.audit(
            id.0,
            &AuditedAction {
                action: AuditAction::Respond,
                reason: ReasonCode::Unstated,
                note: None,
                by,
            },
        )?;
        // Nothing fails from here on.
        self.bytes += response.map_or(0, str::len);
        if let Some(pending) = self.reviews.get_mut(&id) {
            pending.value = value;
            pending.review_change = ReviewChange::Amended;
        }
        Ok(ChangeOutcome::Changed)
    }

    /// Removes a review, and the idempotency records with these names that made it.
    pub(super) fn erase(
        &mut self,
        id: ReviewId,
        idempotency_keys: Vec<Vec<u8>>,
        action: &AuditedAction<'_>,
    ) -> Result<ChangeOutcome, Error> {
        if self.reach(id)?.is_none() {
            return Ok(ChangeOutcome::NoSuchReview);
        }
        let is_shops = self.is_shops(id)?;
        self.take_out(id, idempotency_keys, action)?;
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
        action: &AuditedAction<'_>,
    ) -> Result<(), Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(());
        };
        let (product, state) = (pending.product, pending.head.state);
        let before = pending.standing();
        let review: Review<'_> = read(Family::Reviews, id, &pending.value)?;
        let address = review.reviewer_email.to_owned();
        let email = self.store.salt().hash_email(&address);
        // Those that count come out of the summary, as those do that are removed.
        let summary = self.moved_summary(id, state, ReviewState::Removed)?;
        let forgotten = self.made_by(id, idempotency_keys)?;
        self.load_reports(id)?;
        let entry = self.entry(id.0, action, Some(&before), None)?;
        self.forget_votes(id)?;
        // Nothing fails from here on.
        self.push_entry(entry);
        if let Some(summary) = summary {
            self.change_summary(product, summary);
        }
        self.close_reports(id);
        let counters = &mut self.counters;
        counters.reviews = counters.reviews.saturating_sub(1);
        let count = counters.of_state(state);
        *count = count.saturating_sub(1);
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
            pending.email = email;
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
}

impl PendingReview {
    pub(super) fn is_erased(&self) -> bool {
        self.review_change == ReviewChange::Erased
    }

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
        if let Some(email) = self.email {
            batch.delete(Family::Moderation, EmailKey::new(email, product, id))?;
        }
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
