//! Lists for a moderator: reviews by state, by open reports, and those that are published, newest first.
//!
//! Must not know HTTP or JSON. Invariant: a page looks at [`QUEUE_ROWS_MAX`] rows at most, whatever the filter finds, and
//! its cursor says where the next one goes on.

use std::ops::{ControlFlow, RangeInclusive};

use crate::decoding::{damaged, number, read};
use crate::error::ReadError;
use crate::key::{Family, IdKey, ReviewKey};
use crate::model::moderation::ReviewState;
use crate::model::{ProductId, Review, ReviewId};
use crate::moderation::keys::{BY_REPORTS, BY_STATE, ReportKey, ReportsKey, StateKey};
use crate::moderation::rows::OpenReport;
use crate::reader::Reader;

/// Rows that a page looks at.
pub const QUEUE_ROWS_MAX: usize = 2000;

/// A list for a moderator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueList {
    /// The reviews in a state: those that came into it last first, and published ones by id, the highest first.
    State(ReviewState),
    /// The reviews with open reports: most first, and then those that were reported last.
    Reports,
}

/// The reviews of a list that are meant: all of them, as far as nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFilter {
    /// The product.
    pub product: Option<ProductId>,
    /// The ratings.
    pub ratings: Option<RangeInclusive<u8>>,
    /// The earliest date, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// The time that dates must be before.
    pub until_ms: Option<i64>,
    /// A text that headline, text or name have in them, whatever the case of its letters.
    pub text: Option<String>,
    /// Open reports at least.
    pub reports_min: usize,
}

/// A review of a list.
#[derive(Debug, Clone, Copy)]
pub struct QueueItem<'r> {
    /// Its id.
    pub id: ReviewId,
    /// Its product.
    pub product: ProductId,
    /// The review.
    pub review: &'r Review<'r>,
    /// Its open reports.
    pub reports: usize,
}

/// The end of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePage {
    /// The cursor of the next page; `None` after the last row.
    pub next: Option<Vec<u8>>,
    /// The rows that were looked at.
    pub rows: usize,
}

impl QueueFilter {
    /// Returns true if a review is meant, whatever its reports. `text` is the filter's in lower case.
    fn takes(&self, product: ProductId, review: &Review<'_>, text: Option<&str>) -> bool {
        let has = |text: &str| {
            let texts = [review.summary, review.body, review.reviewer_name];
            texts.iter().any(|one| one.to_lowercase().contains(text))
        };
        let ratings = self.ratings.as_ref();
        self.product.is_none_or(|wanted| wanted == product)
            && ratings.is_none_or(|wanted| wanted.contains(&review.rating))
            && self.since_ms.is_none_or(|since| review.date_ms >= since)
            && self.until_ms.is_none_or(|until| review.date_ms < until)
            && text.is_none_or(has)
    }
}

impl Reader<'_> {
    /// Visits a page of a list, after the row of a cursor, until `each` has had enough. A cursor of another list gives
    /// that part of this list which is behind it.
    pub fn queue(
        &self,
        list: QueueList,
        filter: &QueueFilter,
        after: Option<&[u8]>,
        mut each: impl FnMut(QueueItem<'_>) -> ControlFlow<()>,
    ) -> Result<QueuePage, ReadError> {
        let text = filter.text.as_deref().map(str::to_lowercase);
        let mut page = QueuePage {
            next: None,
            rows: 0,
        };
        let mut look = |id: ReviewId, key: &[u8]| -> Result<ControlFlow<()>, ReadError> {
            page.rows += 1;
            let flow = self.look(id, list, filter, text.as_deref(), &mut each)?;
            if flow.is_break() || page.rows >= QUEUE_ROWS_MAX {
                page.next = Some(key.to_vec());
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        };
        let (family, from, end) = match list {
            QueueList::State(ReviewState::Published) => {
                let mut rows = self.view.scan_back(Family::Owners, after)?;
                while let Some((key, _)) = rows.next()? {
                    let is_after = Some(key) == after;
                    let id = ReviewId(number(Family::Owners, key)?);
                    if !is_after && look(id, key)?.is_break() {
                        break;
                    }
                }
                return Ok(page);
            }
            QueueList::State(state) => {
                let prefix = vec![BY_STATE, state.number()];
                let end = vec![BY_STATE, state.number() + 1];
                (Family::Moderation, prefix, end)
            }
            QueueList::Reports => (Family::Moderation, vec![BY_REPORTS], vec![BY_REPORTS + 1]),
        };
        let from = after.map_or(from.clone(), |after| from.max(after.to_vec()));
        let mut rows = self.view.scan(family, &from, Some(end))?;
        while let Some((key, _)) = rows.next()? {
            let id = match list {
                QueueList::State(_) => StateKey::read(key).map(|(.., id)| id),
                QueueList::Reports => ReportsKey::read(key).map(|(.., id)| id),
            };
            let id = id.ok_or_else(|| damaged(family, "a key", "it is of no review"))?;
            if Some(key) != after && look(id, key)?.is_break() {
                break;
            }
        }
        Ok(page)
    }

    /// Hands over a review of a list that is meant. One that is no longer there, or in another state since, is not.
    fn look(
        &self,
        id: ReviewId,
        list: QueueList,
        filter: &QueueFilter,
        text: Option<&str>,
        each: &mut dyn FnMut(QueueItem<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let goes_on = Ok(ControlFlow::Continue(()));
        let Some(owner) = self.view.get(Family::Owners, IdKey::from(id))? else {
            return goes_on;
        };
        let product = ProductId(number(Family::Owners, &owner)?);
        if filter.product.is_some_and(|wanted| wanted != product) {
            return goes_on;
        }
        let Some(value) = self.get(Family::Reviews, ReviewKey::new(product, id))? else {
            return goes_on;
        };
        let review: Review<'_> = read(Family::Reviews, id, &value)?;
        let is_listed = match list {
            QueueList::State(state) => review.state == state,
            QueueList::Reports => review.state.is_counted(),
        };
        if !is_listed || !filter.takes(product, &review, text) {
            return goes_on;
        }
        let reports = self.open_reports(id)?;
        if reports < filter.reports_min {
            return goes_on;
        }
        Ok(each(QueueItem {
            id,
            product,
            review: &review,
            reports,
        }))
    }

    /// Counts the open reports of a review, of which there are few.
    fn open_reports(&self, id: ReviewId) -> Result<usize, ReadError> {
        let (from, end) = (ReportKey::prefix(id), ReportKey::end(id));
        let mut rows = self.view.scan(Family::Moderation, from, Some(end))?;
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Visits the open reports of a review: when, and on what ground.
    pub fn reports_of(
        &self,
        id: ReviewId,
        mut each: impl FnMut(OpenReport),
    ) -> Result<(), ReadError> {
        let (from, end) = (ReportKey::prefix(id), ReportKey::end(id));
        let mut rows = self.view.scan(Family::Moderation, from, Some(end))?;
        while let Some((_, value)) = rows.next()? {
            each(read(Family::Moderation, id, value)?);
        }
        Ok(())
    }
}
