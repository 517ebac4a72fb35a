//! The states of reviews within a group, and the rows that follow from them.
//!
//! Must not know the queue or how clients are answered. Invariant: a review that is not published has one row by
//! its state, and any other none.

use super::PendingReview;
use crate::error::Error;
use crate::key::Family;
use crate::model::ReviewId;
use crate::moderation::keys::StateKey;
use crate::rocks::WriteBatch;
use crate::value::ReviewHead;

/// The row by state that a review has.
pub(crate) fn state_key(id: ReviewId, head: &ReviewHead) -> Option<StateKey> {
    let is_listed = !head.is_published();
    is_listed.then(|| StateKey::new(head.state, head.since_ms(), id))
}

impl PendingReview {
    /// Moves the row by state from where the store has it to where `after` has it.
    pub(super) fn write_state(
        &self,
        id: ReviewId,
        after: Option<&ReviewHead>,
        batch: &mut WriteBatch<'_>,
    ) -> Result<(), Error> {
        let before = self.before.and_then(|before| state_key(id, &before));
        let after = after.and_then(|after| state_key(id, after));
        if before == after {
            return Ok(());
        }
        if let Some(key) = before {
            batch.delete(Family::Moderation, key)?;
        }
        if let Some(key) = after {
            batch.put(Family::Moderation, key, &[])?;
        }
        Ok(())
    }
}
