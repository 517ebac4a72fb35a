//! The states of reviews within a group: how a review comes from one into another, and the rows that follow.
//!
//! Must not know the queue or how clients are answered. Invariants: a review that is not published has one row by
//! its state, and any other none; a change of state moves the summary and the counters with it, and is in the audit
//! log; one that fails leaves the group as it was.

use super::{CommitGroup, PendingReview, ReviewChange};
use crate::error::Error;
use crate::key::Family;
use crate::model::moderation::{Actor, AuditAction, Decision, ReasonCode, ReviewState};
use crate::model::{Report, ReviewId};
use crate::moderation::audit::ReviewStanding;
use crate::moderation::keys::{DueKey, StateKey};
use crate::rocks::WriteBatch;
use crate::value::{Decided, ReviewHead};

/// How a review stands, with a text of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnedStanding {
    pub(super) state: ReviewState,
    pub(super) report: Option<Report>,
    pub(super) decided: Option<Decided>,
    /// The name of the actor that decided; empty where nobody did.
    pub(super) by: String,
}

/// An action for the audit log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditedAction<'c> {
    /// What is done.
    pub(crate) action: AuditAction,
    /// On what ground.
    pub(crate) reason: ReasonCode,
    /// The actor's own words.
    pub(crate) note: Option<&'c str>,
    /// Who does it.
    pub(crate) by: &'c Actor,
}

impl OwnedStanding {
    /// A state that an actor decides on.
    pub(super) fn decided(state: ReviewState, at_ms: i64, reason: ReasonCode, by: &Actor) -> Self {
        Self {
            state,
            report: None,
            decided: Some(Decided { at_ms, reason }),
            by: by.name.clone(),
        }
    }

    /// A state that only reports gave, or took away.
    pub(super) fn reported(state: ReviewState, report: Option<Report>) -> Self {
        Self {
            state,
            report,
            decided: None,
            by: String::new(),
        }
    }

    pub(super) fn of(standing: &ReviewStanding<'_>) -> Self {
        let decided = standing.decision.map(|decision| Decided {
            at_ms: decision.at_ms,
            reason: decision.reason,
        });
        let by = standing.decision.map_or("", |decision| decision.by);
        Self {
            state: standing.state,
            report: standing.report,
            decided,
            by: by.to_owned(),
        }
    }

    pub(super) fn as_entry(&self) -> ReviewStanding<'_> {
        ReviewStanding {
            state: self.state,
            report: self.report,
            decision: self.decided.map(|decided| Decision {
                at_ms: decided.at_ms,
                reason: decided.reason,
                by: &self.by,
            }),
        }
    }
}

impl CommitGroup<'_> {
    /// Gives a review another standing. Returns the number of the entry in the audit log; `None` where there is no
    /// such review. A decision answers the reports that are open.
    pub(super) fn stand(
        &mut self,
        id: ReviewId,
        to: OwnedStanding,
        action: &AuditedAction<'_>,
    ) -> Result<Option<u64>, Error> {
        let Some(pending) = self.reach(id)? else {
            return Ok(None);
        };
        let before = pending.standing();
        let product = pending.product;
        let summary = self.moved_summary(id, before.state, to.state)?;
        self.load_reports(id)?;
        let entry = self.entry(id.0, action, Some(&before), Some(&to))?;
        // Nothing fails from here on.
        if let Some(summary) = summary {
            self.change_summary(product, summary);
        }
        if before.state != to.state {
            self.counters.move_review(before.state, to.state);
        }
        if to.decided.is_some() {
            self.close_reports(id);
        }
        if let Some(pending) = self.reviews.get_mut(&id) {
            pending.set_standing(to);
        }
        Ok(Some(self.push_entry(entry)))
    }
}

impl PendingReview {
    /// How it stands within the group.
    pub(super) fn standing(&self) -> OwnedStanding {
        OwnedStanding {
            state: self.head.state,
            report: self.head.report,
            decided: self.head.decided,
            by: self.decided_by.clone(),
        }
    }

    fn set_standing(&mut self, to: OwnedStanding) {
        self.head.state = to.state;
        self.head.report = to.report;
        self.head.decided = to.decided;
        if self.decided_by != to.by {
            self.decided_by = to.by;
            self.review_change = ReviewChange::Amended;
        }
    }

    /// Moves the rows by state from where the store has them to where `after` has them.
    pub(super) fn write_state(
        &self,
        id: ReviewId,
        after: Option<&ReviewHead>,
        batch: &mut WriteBatch<'_>,
    ) -> Result<(), Error> {
        let before = self.before.as_ref();
        let of = |head: Option<&ReviewHead>| head.and_then(|head| state_key(id, head));
        move_row(of(before), of(after), batch)?;
        let of = |head: Option<&ReviewHead>| head.and_then(|head| due_key(id, head));
        move_row(of(before), of(after), batch)
    }
}

/// The row by state that a review has.
pub(crate) fn state_key(id: ReviewId, head: &ReviewHead) -> Option<StateKey> {
    let is_listed = !head.is_published();
    is_listed.then(|| StateKey::new(head.state, head.since_ms(), id))
}

/// The row that a removed review has.
pub(crate) fn due_key(id: ReviewId, head: &ReviewHead) -> Option<DueKey> {
    let is_removed = head.state == ReviewState::Removed;
    is_removed.then(|| DueKey::new(head.since_ms(), id))
}

/// Replaces a row without a value by another one.
pub(super) fn move_row<K: AsRef<[u8]> + PartialEq>(
    before: Option<K>,
    after: Option<K>,
    batch: &mut WriteBatch<'_>,
) -> Result<(), Error> {
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
