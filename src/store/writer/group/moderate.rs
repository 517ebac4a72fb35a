//! A moderator's changes within a group: other states for reviews, one or many, and the undoing of that.
//!
//! Must not know the queue or how clients are answered. Invariants: each review of a change has an outcome of its own,
//! and one that fails keeps none of the others; an action is undone only where the review stands as it left it.

use super::CommitGroup;
use super::reports::is_hidden_by_reports;
use super::states::{AuditedAction, OwnedStanding};
use crate::decoding::read;
use crate::error::Error;
use crate::key::{Family, IdKey};
use crate::model::ReviewId;
use crate::model::moderation::{Actor, AuditAction, ReasonCode, ReviewState};
use crate::moderation::audit::AuditEntry;
use crate::reported::ReportedFilter;
use crate::writer::change::{ChangeOutcome, ModerationOutcome, UndoRefusal};

impl CommitGroup<'_> {
    /// Gives each of these reviews a state.
    pub(super) fn moderate(
        &mut self,
        reviews: &[ReviewId],
        to: ReviewState,
        action: &AuditedAction<'_>,
    ) -> ChangeOutcome {
        let outcomes = reviews.iter().map(|id| {
            let done = self.moderate_one(*id, to, action);
            done.unwrap_or_else(|damaged| ModerationOutcome::Damaged(damaged.to_string()))
        });
        ChangeOutcome::Moderated(outcomes.collect())
    }

    fn moderate_one(
        &mut self,
        id: ReviewId,
        state: ReviewState,
        action: &AuditedAction<'_>,
    ) -> Result<ModerationOutcome, Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(ModerationOutcome::NoSuchReview);
        };
        if pending.head.state == state && !is_hidden_by_reports(&pending.head) {
            return Ok(ModerationOutcome::Already);
        }
        let to = OwnedStanding::decided(state, self.times.now_ms, action.reason, action.by);
        let entry = self.stand(id, to, action)?;
        Ok(entry.map_or(ModerationOutcome::NoSuchReview, ModerationOutcome::Done))
    }

    /// Shows a hidden review again.
    pub(super) fn restore(&mut self, id: ReviewId, by: &Actor) -> Result<ChangeOutcome, Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(ChangeOutcome::NoSuchReview);
        };
        if pending.head.state == ReviewState::Hidden {
            self.show(id, by)?;
        }
        Ok(ChangeOutcome::Changed)
    }

    /// Shows those of some reviews again that reports alone hid, and that are meant.
    pub(super) fn restore_all(
        &mut self,
        reviews: &[ReviewId],
        which: ReportedFilter,
        by: &Actor,
    ) -> Result<ChangeOutcome, Error> {
        // A read is all that can fail.
        for id in reviews {
            if self.reach(*id)?.is_some() {
                self.load_reports(*id)?;
            }
        }
        let mut restored = 0;
        for id in reviews {
            let head = self.reach(*id)?.map(|pending| pending.head);
            let is_meant =
                head.is_some_and(|head| is_hidden_by_reports(&head) && which.takes(head.report));
            if is_meant {
                self.show(*id, by)?;
                restored += 1;
            }
        }
        Ok(ChangeOutcome::Restored(restored))
    }

    fn show(&mut self, id: ReviewId, by: &Actor) -> Result<Option<u64>, Error> {
        let action = AuditedAction {
            action: AuditAction::Restore,
            reason: ReasonCode::Acceptable,
            note: None,
            by,
        };
        let at_ms = self.times.now_ms;
        let to = OwnedStanding::decided(ReviewState::Published, at_ms, action.reason, by);
        self.stand(id, to, &action)
    }

    /// Undoes the action of an entry of the audit log.
    pub(super) fn undo(&mut self, entry: u64, by: &Actor) -> Result<ChangeOutcome, Error> {
        let refused = |why| Ok(ChangeOutcome::NotUndone(why));
        let stored;
        let value = if let Some(value) = self.entries.get(&entry) {
            value.as_slice()
        } else {
            stored = self.view.get(Family::Audit, IdKey::from(entry))?;
            match stored.as_deref() {
                Some(value) => value,
                None => return refused(UndoRefusal::NoSuchEntry),
            }
        };
        let undone: AuditEntry<'_> = read(Family::Audit, entry, value)?;
        let (Some(before), Some(after)) = (undone.before, undone.after) else {
            return refused(UndoRefusal::Final);
        };
        let id = ReviewId(undone.subject);
        let (before, after) = (OwnedStanding::of(&before), OwnedStanding::of(&after));
        let Some(pending) = self.reach(id)? else {
            return refused(UndoRefusal::Erased);
        };
        if pending.standing() != after {
            return refused(UndoRefusal::Changed);
        }
        let action = AuditedAction {
            action: AuditAction::Undo,
            reason: ReasonCode::Mistake,
            note: Some(&format!("entry {entry}")),
            by,
        };
        match self.stand(id, before, &action)? {
            Some(entry) => Ok(ChangeOutcome::Undone(entry)),
            None => refused(UndoRefusal::Erased),
        }
    }
}
