//! Reports within a group: reviews that are hidden, and shown again.
//!
//! Must not know the queue or how clients are answered. Invariants: the report that hid a review stays with
//! it until it is shown again, whoever reports it besides; of many reviews that are shown again at once,
//! either all that are still meant are, or the group is as it was.

use std::net::IpAddr;

use super::CommitGroup;
use crate::error::Error;
use crate::model::moderation::ReviewState;
use crate::model::{Report, ReviewId};
use crate::reported::ReportedFilter;
use crate::value::ReviewHead;
use crate::writer::change::ChangeOutcome;

impl CommitGroup<'_> {
    /// Hides a review, which the client with this address reports.
    pub(super) fn report(&mut self, id: ReviewId, client: IpAddr) -> Result<ChangeOutcome, Error> {
        let report = Report {
            at_ms: self.times.now_ms,
            reporter: self.store.salt().hash(client),
        };
        let mut hides = false;
        let outcome = self.touch(id, |head| {
            if head.is_published() {
                head.state = ReviewState::Hidden;
                head.report = Some(report);
                head.decided = None;
                hides = true;
            }
        })?;
        if hides {
            self.hidden_by.push(report.reporter);
        }
        Ok(outcome)
    }

    /// Shows a review again.
    pub(super) fn restore(&mut self, id: ReviewId) -> Result<ChangeOutcome, Error> {
        self.touch(id, |head| {
            if head.state == ReviewState::Hidden {
                show(head);
            }
        })
    }

    /// Shows those of some reviews again that are reported, and meant.
    pub(super) fn restore_all(
        &mut self,
        reviews: &[ReviewId],
        which: ReportedFilter,
    ) -> Result<ChangeOutcome, Error> {
        // A read is all that can fail.
        for id in reviews {
            self.reach(*id)?;
        }
        let mut restored = 0;
        for id in reviews {
            self.touch(*id, |head| {
                if is_hidden_by_reports(head) && which.takes(head.report) {
                    show(head);
                    restored += 1;
                }
            })?;
        }
        Ok(ChangeOutcome::Restored(restored))
    }
}

fn is_hidden_by_reports(head: &ReviewHead) -> bool {
    head.state == ReviewState::Hidden && head.decided.is_none()
}

fn show(head: &mut ReviewHead) {
    head.state = ReviewState::Published;
    head.report = None;
    head.decided = None;
}
