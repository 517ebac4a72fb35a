//! The writer's own work within a group: removed reviews that are erased, and rows that were missing.
//!
//! Must not know what is due. Invariant: a review is erased where it is still removed, and no other.

use super::CommitGroup;
use super::states::AuditedAction;
use crate::error::Error;
use crate::key::Family;
use crate::model::ReviewId;
use crate::model::moderation::{Actor, AuditAction, ReasonCode, ReviewState, Role};
use crate::rocks::WriteBatch;

impl CommitGroup<'_> {
    /// Erases a removed review, and the idempotency records with these names that made it. Returns whether it was
    /// there.
    pub(crate) fn expire(
        &mut self,
        id: ReviewId,
        idempotency_keys: Vec<Vec<u8>>,
    ) -> Result<bool, Error> {
        let head = self.reach(id)?.map(|pending| pending.head);
        let Some(head) = head.filter(|head| head.state == ReviewState::Removed) else {
            return Ok(false);
        };
        let by = Actor {
            name: "undo_time".to_owned(),
            role: Role::Operator,
        };
        let reason = head.decided.map(|decided| decided.reason);
        let action = AuditedAction {
            action: AuditAction::Expire,
            reason: reason.unwrap_or(ReasonCode::Unstated),
            note: None,
            by: &by,
        };
        self.erase(id, idempotency_keys, &action)?;
        Ok(true)
    }

    /// Adds rows of `moderation` that were missing.
    pub(crate) fn add_missing(&mut self, rows: Vec<(Vec<u8>, Vec<u8>)>) {
        self.missing_rows.extend(rows);
    }

    pub(super) fn write_missing(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for (key, value) in &self.missing_rows {
            batch.put(Family::Moderation, key, value)?;
        }
        Ok(())
    }
}
