//! Reads beside the reviews: which were posted with an e-mail address, and what the audit log says.
//!
//! Must not know HTTP or JSON. Invariant: a read looks at a bounded number of rows, or at
//! as many as its caller wants.

use std::ops::ControlFlow;

use crate::decoding::{damaged, number, read};
use crate::error::ReadError;
use crate::key::{Family, IdKey, ReviewKey};
use crate::model::moderation::ReviewState;
use crate::model::{ProductId, ReviewId};
use crate::moderation::audit::AuditEntry;
use crate::moderation::keys::EmailKey;
use crate::reader::Reader;
use crate::value::decode_head;

/// Reviews of an e-mail address that are looked at.
const REVIEWS_MAX: usize = 64;

impl Reader<'_> {
    /// Returns true if a review that was posted with an e-mail address is published, of those that were posted
    /// first.
    pub fn has_published(&self, email: &str) -> Result<bool, ReadError> {
        let Some(email) = self.salt.hash_email(email) else {
            return Ok(false);
        };
        let is_published = |state| state == ReviewState::Published;
        let found = self.posted(EmailKey::range_of(email), is_published)?;
        Ok(found.is_some())
    }

    /// Returns the review of a product that was posted with an e-mail address, and is not removed.
    pub fn reviewed(&self, email: &str, product: ProductId) -> Result<Option<ReviewId>, ReadError> {
        let Some(email) = self.salt.hash_email(email) else {
            return Ok(None);
        };
        let is_there = |state| state != ReviewState::Removed;
        self.posted(EmailKey::range(email, product), is_there)
    }

    /// Visits the entries of the audit log after a number, or from the first on, until `each` has had enough.
    pub fn audit(
        &self,
        after: Option<u64>,
        mut each: impl FnMut(u64, &AuditEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let from = after.map_or(Some(0), |after| after.checked_add(1));
        let Some(from) = from else {
            return Ok(());
        };
        let mut rows = self
            .view
            .scan(Family::Audit, IdKey::from(from), None::<IdKey>)?;
        while let Some((key, value)) = rows.next()? {
            let entry = number(Family::Audit, key)?;
            if each(entry, &read(Family::Audit, entry, value)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn posted(
        &self,
        (from, end): (EmailKey, Vec<u8>),
        is_meant: impl Fn(ReviewState) -> bool,
    ) -> Result<Option<ReviewId>, ReadError> {
        let mut rows = self.view.scan(Family::Moderation, from, Some(end))?;
        for _ in 0..REVIEWS_MAX {
            let Some((key, _)) = rows.next()? else {
                break;
            };
            let Some((_, product, id)) = EmailKey::read(key) else {
                continue;
            };
            if let Some(value) = self.get(Family::Reviews, ReviewKey::new(product, id))? {
                let head = decode_head(&value);
                let head = head.map_err(|why| damaged(Family::Reviews, id, &why))?;
                if is_meant(head.state) {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }
}
