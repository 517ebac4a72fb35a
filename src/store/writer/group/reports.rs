//! Reports within a group: one for each client and review, until a moderator decides or the client takes it back.
//!
//! Must not know the queue or how clients are answered. Invariants: the report that hid a review stays with it until
//! its state changes, whoever reports it besides; as many reports as the settings say hide a review, and when fewer
//! are left it is shown again, unless a moderator has decided; only counted reviews have open reports.

use std::collections::btree_map::BTreeMap;
use std::net::IpAddr;

use super::states::{AuditedAction, OwnedStanding, move_row};
use super::{CommitGroup, value_of};
use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::Family;
use crate::model::moderation::{Actor, AuditAction, ReasonCode, ReviewState, Role};
use crate::model::{ClientHash, Report, ReviewId};
use crate::moderation::keys::{ReportKey, ReportsKey};
use crate::moderation::rows::OpenReport;
use crate::moderation::settings::REPORTS_MAX;
use crate::rocks::WriteBatch;
use crate::value::ReviewHead;
use crate::writer::change::ChangeOutcome;

/// The bytes that a report takes in memory, and a little more.
const REPORT_BYTES: usize = 64;

/// The open reports of a review, as the store has them and as the group leaves them.
#[derive(Debug, Default)]
pub(super) struct PendingReports {
    stored: BTreeMap<ClientHash, OpenReport>,
    now: BTreeMap<ClientHash, OpenReport>,
}

impl PendingReports {
    pub(super) fn is_changed(&self) -> bool {
        self.stored != self.now
    }
}

/// The row that a review with these open reports has.
pub(crate) fn reports_key(
    id: ReviewId,
    state: ReviewState,
    reports: impl ExactSizeIterator<Item = i64>,
) -> Option<ReportsKey> {
    let count = u32::try_from(reports.len()).unwrap_or(u32::MAX);
    let last_ms = reports.max().filter(|_| state.is_counted())?;
    Some(ReportsKey::new(count, last_ms, id))
}

impl CommitGroup<'_> {
    /// Counts a client's report of a review, which hides it if there are enough.
    pub(super) fn report(
        &mut self,
        id: ReviewId,
        client: IpAddr,
        reason: ReasonCode,
        may_hide: bool,
    ) -> Result<ChangeOutcome, Error> {
        let Some(state) = self.counted_state(id)? else {
            return Ok(ChangeOutcome::NoSuchReview);
        };
        self.load_reports(id)?;
        let at_ms = self.times.now_ms;
        let reporter = self.store.salt().hash(client);
        let open = self.reports.get(&id).map(|reports| &reports.now);
        let is_known = open.is_some_and(|open| open.contains_key(&reporter));
        let count = open.map_or(0, BTreeMap::len);
        if is_known || count >= REPORTS_MAX {
            return Ok(ChangeOutcome::Changed);
        }
        let hides = may_hide && count + 1 >= self.settings.reports_to_hide();
        if state == ReviewState::Published && hides {
            let report = Report { at_ms, reporter };
            let to = OwnedStanding::reported(ReviewState::Hidden, Some(report));
            self.stand(id, to, &of_clients(&clients(), AuditAction::Report))?;
            self.hidden_by.push(reporter);
        }
        self.bytes += REPORT_BYTES;
        let reports = self.reports.entry(id).or_default();
        reports.now.insert(reporter, OpenReport { at_ms, reason });
        Ok(ChangeOutcome::Changed)
    }

    /// Takes a client's report of a review back, and shows the review again if too few are left and nobody decided.
    pub(super) fn withdraw_report(
        &mut self,
        id: ReviewId,
        client: IpAddr,
    ) -> Result<ChangeOutcome, Error> {
        if self.counted_state(id)?.is_none() {
            return Ok(ChangeOutcome::NoSuchReview);
        }
        self.load_reports(id)?;
        let reporter = self.store.salt().hash(client);
        let open = self.reports.get(&id).map(|reports| &reports.now);
        if !open.is_some_and(|open| open.contains_key(&reporter)) {
            return Ok(ChangeOutcome::Changed);
        }
        let left = open.map_or(0, |open| open.len().saturating_sub(1));
        let head = self.reviews.get(&id).map(|pending| pending.head);
        if head.is_some_and(|head| is_hidden_by_reports(&head))
            && left < self.settings.reports_to_hide()
        {
            let to = OwnedStanding::reported(ReviewState::Published, None);
            self.stand(id, to, &of_clients(&clients(), AuditAction::Withdraw))?;
        }
        if let Some(reports) = self.reports.get_mut(&id) {
            reports.now.remove(&reporter);
        }
        Ok(ChangeOutcome::Changed)
    }

    /// The state of a review that clients may vote for and report; `None` where there is none.
    pub(super) fn counted_state(&mut self, id: ReviewId) -> Result<Option<ReviewState>, Error> {
        let state = self.reach(id)?.map(|pending| pending.head.state);
        Ok(state.filter(|state| state.is_counted()))
    }

    /// Reads the open reports of a review that the group has, unless it has them too.
    pub(super) fn load_reports(&mut self, id: ReviewId) -> Result<(), Error> {
        if self.reports.contains_key(&id) {
            return Ok(());
        }
        let mut stored = BTreeMap::new();
        let end = ReportKey::end(id);
        let mut rows = self
            .view
            .scan(Family::Moderation, ReportKey::prefix(id), Some(end))?;
        while let Some((key, value)) = rows.next()? {
            let (_, client) = ReportKey::read(key)
                .ok_or_else(|| damaged(Family::Moderation, id, "a key of its reports is none"))?;
            stored.insert(client, read(Family::Moderation, id, value)?);
        }
        let mut now = stored.clone();
        let head = self.reviews.get(&id).map(|pending| pending.head);
        if let Some(head) = head.filter(is_hidden_by_reports)
            && let (true, Some(report)) = (now.is_empty(), head.report)
        {
            // It was hidden before each report had a row.
            let open = OpenReport {
                at_ms: report.at_ms,
                reason: ReasonCode::Unstated,
            };
            now.insert(report.reporter, open);
        }
        self.bytes += REPORT_BYTES * now.len();
        self.reports.insert(id, PendingReports { stored, now });
        Ok(())
    }

    /// Removes the open reports of a review, which were loaded.
    pub(super) fn close_reports(&mut self, id: ReviewId) {
        if let Some(reports) = self.reports.get_mut(&id) {
            reports.now.clear();
        }
    }

    pub(super) fn write_reports(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for (id, reports) in &self.reports {
            let Some(pending) = self.reviews.get(id) else {
                continue;
            };
            let of = |state: Option<ReviewState>, open: &BTreeMap<ClientHash, OpenReport>| {
                let times = open.values().map(|report| report.at_ms);
                state.and_then(|state| reports_key(*id, state, times))
            };
            let before = pending.before.map(|before| before.state);
            let after = Some(pending.head.state).filter(|_| !pending.is_erased());
            let keys = (of(before, &reports.stored), of(after, &reports.now));
            move_row(keys.0, keys.1, batch)?;
            for client in reports.stored.keys() {
                if !reports.now.contains_key(client) {
                    batch.delete(Family::Moderation, ReportKey::new(*id, *client))?;
                }
            }
            for (client, report) in &reports.now {
                if reports.stored.get(client) != Some(report) {
                    let value = value_of(Family::Moderation, id, report)?;
                    batch.put(Family::Moderation, ReportKey::new(*id, *client), &value)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns true if reports hid it, and nobody has decided since.
pub(super) fn is_hidden_by_reports(head: &ReviewHead) -> bool {
    head.state == ReviewState::Hidden && head.decided.is_none()
}

/// The actor that stands for all clients that report.
fn clients() -> Actor {
    Actor {
        name: "reports".to_owned(),
        role: Role::Reader,
    }
}

fn of_clients(by: &Actor, action: AuditAction) -> AuditedAction<'_> {
    AuditedAction {
        action,
        reason: ReasonCode::Reports,
        note: None,
        by,
    }
}
