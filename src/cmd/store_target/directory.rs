//! A store in a directory that no server has open.
//!
//! Must not know how the results are shown.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::{PersonArgs, ReportedArgs};
use crate::model::filed::{FiledChange, FiledOutcome};
use crate::model::moderation::Actor;
use crate::model::record::FullReview;
use crate::model::{Review, ReviewId};
use crate::store::erase::Traces;
use crate::store::key::Family;
use crate::store::reported::{Reported, ReportedFilter, ReportedTally};
use crate::store::scan::{EmailAddress, ScanCursor};
use crate::store::{
    self, Change, ChangeOutcome, Gap, LostReviews, OpenOptions, ProductOutcome, Stats, Store,
};

use super::super::as_owner_of;
use super::lone_writer::LoneWriter;
use super::{
    ErasedReviews, Error, PageStart, ProductChange, ProductResult, StoreTarget, Unsearched,
};

/// Ids of lost reviews that are listed.
const LOST_IDS_MAX: usize = 1000;

/// An open store.
pub(super) struct DirectoryTarget {
    store: Store,
    /// Made at the first change.
    writer: OnceCell<LoneWriter>,
}

impl DirectoryTarget {
    /// Opens the store in a directory, in the name of `who`.
    pub(super) fn open(data: &Path, who: &str, open_options: OpenOptions) -> Result<Self, Error> {
        as_owner_of(data)?;
        let opened = Store::open_existing(data, who, open_options);
        let writer = OnceCell::new();
        opened
            .map(|store| Self { store, writer })
            .map_err(|error| match error {
                store::Error::InUse { dir, by } => Error::Store(store::Error::InUse {
                    dir,
                    by: format!("{by}, which --server can ask"),
                }),
                other => Error::Store(other),
            })
    }

    fn writer(&self) -> Result<&LoneWriter, Error> {
        if let Some(writer) = self.writer.get() {
            return Ok(writer);
        }
        let writer = LoneWriter::of(&self.store)?;
        Ok(self.writer.get_or_init(|| writer))
    }

    /// Enters the skus of a store that was imported.
    fn enter_skus(&self) -> Result<(), Error> {
        loop {
            match self.writer()?.change(Change::EnterSkus)? {
                ChangeOutcome::Product(ProductOutcome::SkusEntered { all: false }) => {}
                ChangeOutcome::Product(ProductOutcome::SkusEntered { all: true }) => return Ok(()),
                other => return Err(Error::Rejected(format!("{other:?}"))),
            }
        }
    }

    fn filter(&self, which: &ReportedArgs) -> ReportedFilter {
        let reporter = which.reporter.as_deref();
        ReportedFilter {
            since_ms: which.since.map(|time| time.0),
            until_ms: which.until.map(|time| time.0),
            reporter: reporter.and_then(|text| self.store.client_of(text)),
        }
    }
}

impl StoreTarget for DirectoryTarget {
    fn stats(&self) -> Result<Stats, Error> {
        Ok(self.store.stats()?)
    }

    fn page(&self, family: Family, from: &PageStart) -> Result<Vec<u8>, Error> {
        Ok(match from {
            PageStart::After(key) => self.store.row_page(family, key)?,
            PageStart::At(key) => self.store.row_page_from(family, key)?,
        })
    }

    fn gap(&self, family: Family, from: &PageStart, error: &Error) -> Result<Option<Gap>, Error> {
        let Error::Store(why @ store::Error::Rocks { .. }) = error else {
            return Ok(None);
        };
        let (PageStart::After(after) | PageStart::At(after)) = from;
        Ok(Some(self.store.gap(family, after, why)?))
    }

    fn lost(&self, gap: &Gap) -> Option<LostReviews> {
        let is_of_reviews = gap.family == Family::Reviews;
        let lost = is_of_reviews.then(|| self.store.lost_reviews(gap, LOST_IDS_MAX));
        // If the owners cannot be read either, the rows around the gap must do.
        lost?.ok()
    }

    fn find(
        &self,
        address: &EmailAddress,
        each: &mut dyn FnMut(&FullReview<'_>) -> bool,
    ) -> Result<Unsearched, Error> {
        let mut unsearched = Unsearched::default();
        let mut from = PageStart::After(Vec::new());
        loop {
            let mut is_wanted = true;
            let mut each = |place: ScanCursor, review: &Review<'_>| {
                if address.is(review.reviewer_email) {
                    is_wanted = each(&FullReview::of(place.product, place.review, review));
                }
                is_wanted
            };
            let scanned = match &from {
                PageStart::After(key) => self.store.scan(ScanCursor::of(key), &mut each),
                PageStart::At(key) => self.store.scan_from(key, &mut each),
            };
            let next = match scanned {
                Ok(page) => {
                    unsearched.unreadable += page.unreadable as u64;
                    page.next.map(|next| PageStart::After(next.key()))
                }
                Err(error) => {
                    let error = Error::Store(error);
                    let gap = self.gap(Family::Reviews, &from, &error)?;
                    let gap = gap.ok_or(error)?;
                    let behind = gap.before.clone();
                    unsearched.gaps.push(gap);
                    behind.map(PageStart::At)
                }
            };
            match next.filter(|_| is_wanted) {
                Some(next) => from = next,
                None => return Ok(unsearched),
            }
        }
    }

    fn erasable(&self, whose: &PersonArgs) -> Result<ErasedReviews, Error> {
        let mut found = ErasedReviews::default();
        if let Some(id) = whose.review
            && self
                .store
                .read(|reader| reader.review(ReviewId(id), |_, _| ()))?
                .is_some()
        {
            found.reviews.push(id);
        }
        let Some(address) = whose.email.as_deref().and_then(EmailAddress::new) else {
            return Ok(found);
        };
        let mut after = None;
        loop {
            let page = self.store.scan(after, |place, review| {
                if address.is(review.reviewer_email) {
                    found.reviews.push(place.review.0);
                }
                true
            })?;
            found.unreadable += page.unreadable as u64;
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    fn erase(&self, _: &PersonArgs, reviews: &[u64]) -> Result<ErasedReviews, Error> {
        let mut erased = ErasedReviews::default();
        let mut traces = Traces::default();
        if !reviews.is_empty() {
            let reviews: BTreeSet<ReviewId> = reviews.iter().copied().map(ReviewId).collect();
            traces = self.store.traces(&reviews)?;
            let writer = self.writer()?;
            for (id, change) in traces.take_changes(&Actor::operator()) {
                if writer.change(change)? == ChangeOutcome::Changed {
                    erased.reviews.push(id.0);
                }
            }
        }
        erased.log_segments_left = self.store.scrub(&traces)? as u64;
        Ok(erased)
    }

    fn reported(&self, which: &ReportedArgs) -> Result<Reported, Error> {
        let filter = self.filter(which);
        let (mut tally, mut after) = (ReportedTally::default(), None);
        loop {
            after = self.store.count_reported(after, filter, &mut tally)?;
            if after.is_none() {
                return Ok(tally.finish());
            }
        }
    }

    fn restore_reported(&self, which: &ReportedArgs) -> Result<u64, Error> {
        let filter = self.filter(which);
        let writer = self.writer()?;
        let (mut restored, mut after) = (0, None);
        loop {
            let page = self.store.reported(after, filter)?;
            if !page.reviews.is_empty() {
                let change = Change::RestoreReported {
                    reviews: page.reviews,
                    which: filter,
                    by: Actor::operator(),
                };
                if let ChangeOutcome::Restored(more) = writer.change(change)? {
                    restored += more;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(restored);
            }
        }
    }

    fn put_products(&self, changes: Vec<ProductChange>) -> Result<Vec<ProductResult>, Error> {
        let changes = changes.into_iter().map(|change| {
            let expected = change.expected();
            match change {
                ProductChange::Put(product, _) => Change::PutProduct {
                    product,
                    expected,
                    by: Actor::operator(),
                },
                ProductChange::Remove(product, _) => Change::RemoveProduct {
                    product,
                    expected,
                    by: Actor::operator(),
                },
            }
        });
        let changes: Vec<_> = changes.collect();
        loop {
            let outcomes = self.writer()?.changes(changes.clone())?;
            let needs_skus = ChangeOutcome::Product(ProductOutcome::SkusNotEntered);
            if outcomes.contains(&needs_skus) {
                // What was done by then is done again, and changes nothing.
                self.enter_skus()?;
                continue;
            }
            return outcomes.into_iter().map(product_result).collect();
        }
    }

    fn file_reviews(
        &self,
        changes: Vec<FiledChange<'static>>,
        is_dry_run: bool,
    ) -> Result<Vec<FiledOutcome>, Error> {
        if is_dry_run {
            return Ok(self.store.rehearse(&changes)?);
        }
        let changes = changes.into_iter();
        let changes = changes.map(|change| Change::File(Box::new(change)));
        let outcomes = self.writer()?.changes(changes.collect())?;
        let outcomes = outcomes.into_iter().map(|outcome| match outcome {
            ChangeOutcome::Filed(outcome) => Ok(outcome),
            other => Err(Error::Rejected(format!("{other:?}"))),
        });
        outcomes.collect()
    }
}

fn product_result(outcome: ChangeOutcome) -> Result<ProductResult, Error> {
    match outcome {
        ChangeOutcome::Product(outcome) => match outcome {
            ProductOutcome::Created(_)
            | ProductOutcome::Updated(..)
            | ProductOutcome::Unchanged(..)
            | ProductOutcome::Removed => Ok(ProductResult::Done),
            ProductOutcome::Differs(_)
            | ProductOutcome::SkuTaken { .. }
            | ProductOutcome::NoSuchProduct => Ok(ProductResult::Conflict),
            ProductOutcome::TooLarge => Ok(ProductResult::TooLarge),
            other => Err(Error::Rejected(format!("{other:?}"))),
        },
        other => Err(Error::Rejected(format!("{other:?}"))),
    }
}
