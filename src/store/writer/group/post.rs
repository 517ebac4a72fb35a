//! Reviews that a group adds.
//!
//! Must not know the queue or how clients are answered. Invariants: a review that its client sends again is added
//! once; an id is given once; one that is held is in the audit log.

use super::states::AuditedAction;
use super::{CommitGroup, PendingReview, ReviewChange, decided_by};
use crate::decoding::damaged;
use crate::error::Error;
use crate::key::{Family, IdKey, ReviewKey, number_of};
use crate::model::moderation::{Actor, AuditAction, Decision, ReasonCode, ReviewState, Role};
use crate::model::{NewReview, ProductId, Review, ReviewId, ReviewPhoto};
use crate::moderation::keys::EmailKey;
use crate::value::{IdempotencyRecord, decode_head, encode};
use crate::writer::change::{ChangeOutcome, IdempotencyKey};
use crate::writer::idempotency::{IdempotencyKeys, is_over};

/// The name of the actor that holds new reviews.
const HOLDER: &str = "policy";
/// Reviews of an e-mail address and a product that are looked at.
const REVIEWS_OF_EMAIL_MAX: usize = 64;

impl CommitGroup<'_> {
    /// Adds a review, pending where there is a ground to hold it.
    pub(super) fn post(
        &mut self,
        review: &NewReview,
        retry: Option<IdempotencyKey>,
        ground: Option<ReasonCode>,
    ) -> Result<ChangeOutcome, Error> {
        if let Some(retry) = &retry
            && let Some(earlier) = self.earlier(&retry.key)?
        {
            return Ok(if earlier.body == retry.body {
                ChangeOutcome::Created(ReviewId(earlier.review))
            } else {
                ChangeOutcome::OtherBody
            });
        }
        let product = review.product;
        let email = self.store.salt().hash_email(&review.reviewer_email);
        // One that is held for that very reason was found before.
        if self.settings.one_review_per_email
            && ground != Some(ReasonCode::Duplicate)
            && let Some(email) = email
            && let Some(earlier) = self.reviewed(email, product)?
        {
            return Ok(ChangeOutcome::AlreadyReviewed(earlier));
        }
        let id = ReviewId(self.counters.next_review_id);
        let row = self.row_of(review, ground);
        let mut value = Vec::new();
        encode(&row, &mut value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        let summary = if head.state.is_counted() {
            Some(self.summary_with(product, &row)?)
        } else {
            None
        };
        let photos = row.photos.len() as u64;
        let pending = PendingReview {
            product,
            moved_from: None,
            before: None,
            head,
            decided_by: decided_by(&row),
            email,
            value,
            review_change: ReviewChange::Kept,
        };
        let entry = match ground {
            Some(reason) => Some(self.held(id, &pending, reason)?),
            None => None,
        };
        // Nothing fails from here on.
        if let Some(entry) = entry {
            self.push_entry(entry);
        }
        self.bytes += pending.value.len();
        if let Some(summary) = summary {
            self.change_summary(product, summary);
        }
        if let Some(email) = email {
            self.emails.insert((email, product), id);
        }
        self.reviews.insert(id, pending);
        let counters = &mut self.counters;
        counters.next_review_id += 1;
        counters.next_photo_id += photos;
        counters.reviews += 1;
        *counters.of_state(head.state) += 1;
        if let Some(retry) = retry {
            counters.idempotency_keys += 1;
            let retried = IdempotencyRecord {
                review: id.0,
                body: retry.body,
                made_ms: self.times.now_ms,
                client: Some(self.store.salt().hash(retry.client).0),
            };
            self.idempotency_keys.insert(retry.key, retried);
        }
        Ok(ChangeOutcome::Created(id))
    }

    /// The entry of the audit log for a review that is held.
    fn held(
        &self,
        id: ReviewId,
        pending: &PendingReview,
        reason: ReasonCode,
    ) -> Result<Vec<u8>, Error> {
        let by = Actor {
            name: HOLDER.to_owned(),
            role: Role::Reader,
        };
        let action = AuditedAction {
            action: AuditAction::Hold,
            reason,
            note: None,
            by: &by,
        };
        self.entry(id.0, &action, None, Some(&pending.standing()))
    }

    /// Returns the outcome of the review with this name, if it has not expired; an expired one is removed.
    fn earlier(&mut self, name: &[u8]) -> Result<Option<IdempotencyRecord>, Error> {
        if let Some(retried) = self.idempotency_keys.get(name) {
            return Ok(Some(*retried));
        }
        if self.forgotten.contains_key(name) {
            return Ok(None);
        }
        let stored = IdempotencyKeys::stored(&self.view, name)?;
        if let Some(retried) = stored.filter(|old| is_over(old.made_ms, self.times.now_ms)) {
            self.forgotten.insert(name.to_vec(), retried);
            self.counters.idempotency_keys = self.counters.idempotency_keys.saturating_sub(1);
            return Ok(None);
        }
        Ok(stored)
    }

    /// Returns a review of a product by somebody with this e-mail address, that is not removed.
    fn reviewed(&self, email: u64, product: ProductId) -> Result<Option<ReviewId>, Error> {
        let mut found = Vec::new();
        found.extend(self.emails.get(&(email, product)));
        let (from, end) = EmailKey::range(email, product);
        let mut rows = self.view.scan(Family::Moderation, from, Some(end))?;
        for _ in 0..REVIEWS_OF_EMAIL_MAX {
            let Some((key, _)) = rows.next()? else {
                break;
            };
            found.extend(EmailKey::read(key).map(|(_, _, review)| review));
        }
        for id in found {
            if self.is_there(id)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Returns true if a review is there, and not removed.
    fn is_there(&self, id: ReviewId) -> Result<bool, Error> {
        if let Some(pending) = self.reviews.get(&id) {
            return Ok(!pending.is_erased() && pending.head.state != ReviewState::Removed);
        }
        let owner = self.view.get(Family::Owners, IdKey::from(id))?;
        let Some(product) = owner.and_then(|owner| number_of(&owner)) else {
            return Ok(false);
        };
        let key = ReviewKey::new(ProductId(product), id);
        let Some(value) = self.view.get(Family::Reviews, key)? else {
            return Ok(false);
        };
        let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        Ok(head.state != ReviewState::Removed)
    }

    fn row_of<'a>(&self, review: &'a NewReview, ground: Option<ReasonCode>) -> Review<'a> {
        let photos = (self.counters.next_photo_id..).zip(&review.photos);
        let decision = ground.map(|reason| Decision {
            at_ms: self.times.now_ms,
            reason,
            by: HOLDER,
        });
        Review {
            rating: review.rating,
            date_ms: self.times.date_ms,
            recommend: review.recommend,
            state: decision.map_or(ReviewState::Published, |_| ReviewState::Pending),
            report: None,
            decision,
            helpfulness: 0,
            summary: &review.summary,
            body: &review.body,
            reviewer_name: &review.reviewer_name,
            reviewer_email: &review.reviewer_email,
            response: None,
            photos: photos.map(|(id, url)| ReviewPhoto { id, url }).collect(),
            ratings: review.ratings.clone(),
        }
    }
}
