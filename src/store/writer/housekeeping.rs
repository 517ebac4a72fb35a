//! The work that the writer does by itself: removed reviews whose time is over are erased, entries of the audit log
//! that are too old are removed, and hidden reviews of a store of format 1 get their rows by state.
//!
//! Must not know the queue. Invariants: a step reads and writes a bounded number of rows, whatever is due; what cannot
//! be read is passed over until the next process; a step that was cut off is done again.

use std::collections::BTreeSet;

use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::{Family, IdKey, number_of, review_of_row};
use crate::model::ReviewId;
use crate::model::moderation::{ReasonCode, ReviewState};
use crate::moderation::audit::AuditEntry;
use crate::moderation::keys::{DUE, DueKey, INDEXED, ReportKey, ReportsKey, StateKey};
use crate::moderation::rows::OpenReport;
use crate::moderation::settings::{ModerationSettings, millis};
use crate::rocks::{Rocks, RocksView};
use crate::scan::NamedKey;
use crate::state::format_of;
use crate::value::{IdempotencyRecord, decode, decode_head, encode};
use crate::writer::idempotency::BY_NAME;

/// Reviews that are erased in one step.
const ERASED_MAX: usize = 256;
/// Entries of the audit log that are removed in one step.
const PRUNED_MAX: usize = 1000;
/// Idempotency records that are read in one step, for those that made reviews which are erased.
const NAMES_MAX: usize = 10_000;
/// Reviews that are read in one step, for those that have no row by state.
const INDEXED_MAX: usize = 4096;

/// The work that is due, as far as it is known.
pub(crate) struct Housekeeping {
    /// The time by the clock from which on there may be work.
    next_ms: i64,
    /// Entries of the audit log before this one are removed.
    first_entry: u64,
    /// The search for the idempotency records of reviews that are to be erased.
    search: Option<NameSearch>,
    /// Reviews that cannot be erased.
    passed_over: BTreeSet<ReviewId>,
    /// The key of the review after which rows by state may be missing; `None` where there are all.
    unindexed: Option<Vec<u8>>,
}

/// A piece of work, to be committed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HouseWork {
    /// Erase these reviews, and the idempotency records that made them.
    Erase(BTreeSet<ReviewId>, Vec<NamedKey>),
    /// Remove these entries of the audit log.
    Prune(Vec<u64>),
    /// Write these rows of `moderation`.
    Index(Vec<(Vec<u8>, Vec<u8>)>),
}

struct NameSearch {
    reviews: BTreeSet<ReviewId>,
    names: Vec<NamedKey>,
    /// The key of the last record that was read.
    after: Vec<u8>,
}

impl Housekeeping {
    /// The work on a store that was just opened.
    pub(crate) fn of(rocks: &Rocks) -> Result<Self, Error> {
        Ok(Self {
            next_ms: i64::MIN,
            first_entry: 0,
            search: None,
            passed_over: BTreeSet::new(),
            unindexed: unindexed(rocks)?,
        })
    }

    /// Returns true if there may be work at a time.
    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        now_ms >= self.next_ms
    }

    /// Returns true if there will be work at some time.
    pub(crate) fn has_work(&self) -> bool {
        self.next_ms < i64::MAX
    }

    /// Notes that something was entered into the audit log at a time: it may have been a removal.
    pub(crate) fn note(&mut self, settings: &ModerationSettings, now_ms: i64) {
        let audit_time = settings.audit_time.unwrap_or(settings.undo_time);
        let first = millis(settings.undo_time).min(millis(audit_time));
        self.next_ms = self.next_ms.min(now_ms.saturating_add(first));
    }

    /// Looks again at once: settings are others.
    pub(crate) fn look_again(&mut self) {
        self.next_ms = i64::MIN;
    }

    /// Does nothing any more, because of what cannot be read.
    pub(crate) fn give_up(&mut self) {
        self.next_ms = i64::MAX;
        self.search = None;
        self.unindexed = None;
    }

    /// Notes that a review cannot be erased.
    pub(crate) fn pass_over(&mut self, review: ReviewId) {
        self.passed_over.insert(review);
    }

    /// Does a step of what is due, and returns what is to be committed for it, if anything.
    pub(crate) fn look(
        &mut self,
        view: &RocksView<'_>,
        settings: &ModerationSettings,
        now_ms: i64,
    ) -> Result<Option<HouseWork>, Error> {
        if self.unindexed.is_some() {
            return self.index(view);
        }
        if self.search.is_none() {
            let (due, next_ms) = self.due(view, settings, now_ms)?;
            if due.is_empty() {
                return self.prune(view, settings, now_ms, next_ms);
            }
            self.search = Some(NameSearch {
                reviews: due,
                names: Vec::new(),
                after: vec![BY_NAME],
            });
        }
        let is_over = match &mut self.search {
            Some(search) => search.step(view)?,
            None => false,
        };
        let over = self.search.take_if(|_| is_over);
        Ok(over.map(|search| HouseWork::Erase(search.reviews, search.names)))
    }

    /// The removed reviews whose time is over, and when that of the next one is.
    fn due(
        &self,
        view: &RocksView<'_>,
        settings: &ModerationSettings,
        now_ms: i64,
    ) -> Result<(BTreeSet<ReviewId>, i64), Error> {
        let mut due = BTreeSet::new();
        let mut rows = view.scan(Family::Moderation, [DUE], Some([DUE + 1]))?;
        while let Some((key, _)) = rows.next()? {
            let (since_ms, review) = DueKey::read(key).ok_or_else(|| {
                damaged(Family::Moderation, "a row", "it is of no removed review")
            })?;
            let due_ms = since_ms.saturating_add(millis(settings.undo_time));
            if due_ms > now_ms {
                return Ok((due, due_ms));
            }
            if !self.passed_over.contains(&review) {
                due.insert(review);
            }
            if due.len() >= ERASED_MAX {
                break;
            }
        }
        Ok((due, i64::MAX))
    }

    /// Finds entries of the audit log that are too old. `next_ms` is when other work is due.
    fn prune(
        &mut self,
        view: &RocksView<'_>,
        settings: &ModerationSettings,
        now_ms: i64,
        next_ms: i64,
    ) -> Result<Option<HouseWork>, Error> {
        self.next_ms = next_ms;
        let Some(audit_time) = settings.audit_time else {
            return Ok(None);
        };
        let mut old = Vec::new();
        let from = IdKey::from(self.first_entry);
        let mut rows = view.scan(Family::Audit, from, None::<IdKey>)?;
        while let Some((key, value)) = rows.next()? {
            let number =
                number_of(key).ok_or_else(|| damaged(Family::Audit, "a key", "not eight bytes"))?;
            let entry: AuditEntry<'_> = read(Family::Audit, number, value)?;
            let due_ms = entry.at_ms.saturating_add(millis(audit_time));
            if due_ms > now_ms {
                self.next_ms = self.next_ms.min(due_ms);
                break;
            }
            old.push(number);
            if old.len() >= PRUNED_MAX {
                self.next_ms = now_ms;
                break;
            }
        }
        let Some(last) = old.last() else {
            return Ok(None);
        };
        self.first_entry = last.saturating_add(1);
        Ok(Some(HouseWork::Prune(old)))
    }

    /// Finds rows that hidden reviews lack in a store of format 1.
    fn index(&mut self, view: &RocksView<'_>) -> Result<Option<HouseWork>, Error> {
        let from = self.unindexed.clone().unwrap_or_default();
        let (mut missing, mut last) = (Vec::new(), None);
        let mut rows = view.sweep(Family::Reviews, &from)?;
        for _ in 0..INDEXED_MAX {
            let Some((key, value)) = rows.next()? else {
                last = None;
                break;
            };
            last = Some(key.to_vec());
            // One that cannot be decoded is for `verify` to find.
            if let (Some(id), Ok(head)) = (review_of_row(key), decode_head(value))
                && head.state == ReviewState::Hidden
                && head.decided.is_none()
            {
                let row = StateKey::new(head.state, head.since_ms(), id);
                missing.push((row.as_ref().to_vec(), Vec::new()));
                if let Some(report) = head.report
                    && !has_reports(view, id)?
                {
                    let open = OpenReport {
                        at_ms: report.at_ms,
                        reason: ReasonCode::Unstated,
                    };
                    let mut value = Vec::new();
                    encode(&open, &mut value)
                        .map_err(|why| damaged(Family::Moderation, id, &why))?;
                    let row = ReportKey::new(id, report.reporter);
                    missing.push((row.as_ref().to_vec(), value));
                    let row = ReportsKey::new(1, report.at_ms, id);
                    missing.push((row.as_ref().to_vec(), Vec::new()));
                }
            }
        }
        let is_over = last.is_none();
        if !missing.is_empty() || is_over {
            // Where the next process goes on; nothing where it has nothing to do.
            missing.push((INDEXED.to_vec(), last.clone().unwrap_or_default()));
        }
        // The next step begins with the last one again, which costs less than to pass it over.
        self.unindexed = last;
        Ok((!missing.is_empty()).then_some(HouseWork::Index(missing)))
    }
}

impl NameSearch {
    /// Reads some records. Returns true after the last.
    fn step(&mut self, view: &RocksView<'_>) -> Result<bool, Error> {
        let mut rows = view.sweep(Family::IdempotencyKeys, &self.after)?;
        for _ in 0..NAMES_MAX {
            let Some((key, value)) = rows.next()? else {
                return Ok(true);
            };
            let Some(name) = key.strip_prefix(&[BY_NAME]) else {
                return Ok(true);
            };
            self.after = key.to_vec();
            let record = decode::<IdempotencyRecord>(value).ok();
            let review = record.map(|record| ReviewId(record.review));
            if let Some(review) = review.filter(|review| self.reviews.contains(review))
                && !self.names.iter().any(|named| named.name == name)
            {
                self.names.push(NamedKey {
                    review,
                    name: name.to_vec(),
                });
            }
        }
        Ok(false)
    }
}

fn has_reports(view: &RocksView<'_>, id: ReviewId) -> Result<bool, Error> {
    let (from, end) = (ReportKey::prefix(id), ReportKey::end(id));
    let mut rows = view.scan(Family::Moderation, from, Some(end))?;
    Ok(rows.next()?.is_some())
}

/// The key after which hidden reviews of a store may lack rows by state.
pub(crate) fn unindexed(rocks: &Rocks) -> Result<Option<Vec<u8>>, Error> {
    if format_of(rocks)? > 1 {
        return Ok(None);
    }
    let mark = rocks.view().get(Family::Moderation, INDEXED)?;
    Ok(match mark {
        None => Some(Vec::new()),
        Some(mark) if mark.is_empty() => None,
        Some(mark) => Some(mark.to_vec()),
    })
}
