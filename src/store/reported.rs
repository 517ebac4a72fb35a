//! Reported reviews: which of them are meant, how many there are, and which clients reported them.
//!
//! Must not know its callers, nor how a review is shown again: the writer does that. Invariants: a page
//! reads a bounded number of rows and names a bounded number of reviews; a count takes bounded memory,
//! however many reviews and reporters there are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::scan::ScanCursor;
use super::store::Store;
use crate::model::{ClientHash, ProductId, Report, ReviewId};

/// Reviews of a page at most: what the writer shows again in one commit.
const PAGE_REVIEWS_MAX: usize = 500;
/// Bytes of texts after which a page names no further review.
const PAGE_BYTES: usize = 1 << 20;
/// Reporters that are counted one by one at most.
const REPORTERS_MAX: usize = 1 << 16;
/// Reporters that are named.
const NAMED_MAX: usize = 10;

/// The reported reviews that are meant: all of them, as far as nothing else is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportedFilter {
    /// The earliest report, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// The time that reports must be before.
    pub until_ms: Option<i64>,
    /// The client whose reports are meant.
    pub reporter: Option<ClientHash>,
}

impl ReportedFilter {
    /// Returns true if a reported review with this report is meant. One that says neither when nor by whom
    /// it was reported is meant only among all.
    #[must_use]
    pub fn takes(&self, report: Option<Report>) -> bool {
        let Some(Report { at_ms, reporter }) = report else {
            return *self == Self::default();
        };
        self.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| at_ms < until_ms)
            && self.reporter.is_none_or(|one| one == reporter)
    }
}

/// A part of the reported reviews.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReportedPage {
    /// Their ids.
    pub reviews: Vec<ReviewId>,
    /// The place at which the next page goes on; `None` after the last.
    pub next: Option<ScanCursor>,
    /// Reviews that cannot be decoded, so that it is unknown whether they are meant.
    pub unreadable: usize,
}

impl Store {
    /// Returns the next reported reviews after a place that are meant, in order of product and id.
    pub fn reported(
        &self,
        after: Option<ScanCursor>,
        which: ReportedFilter,
    ) -> Result<ReportedPage, Error> {
        let (mut reviews, mut bytes) = (Vec::new(), 0);
        let piece = self.scan(after, |place, review| {
            if review.is_hidden_by_reports() && which.takes(review.report) {
                reviews.push(place.review);
                bytes += review.summary.len() + review.body.len();
            }
            reviews.len() < PAGE_REVIEWS_MAX && bytes < PAGE_BYTES
        })?;
        Ok(ReportedPage {
            reviews,
            next: piece.next,
            unreadable: piece.unreadable,
        })
    }

    /// Counts the reported reviews of one scan page after a place that are meant. Returns the place at
    /// which the next page begins.
    pub fn count_reported(
        &self,
        after: Option<ScanCursor>,
        which: ReportedFilter,
        tally: &mut ReportedTally,
    ) -> Result<Option<ScanCursor>, Error> {
        let piece = self.scan(after, |place, review| {
            if review.is_hidden_by_reports() && which.takes(review.report) {
                tally.add(place.product, review.report);
            }
            true
        })?;
        tally.reported.unreadable += piece.unreadable as u64;
        Ok(piece.next)
    }
}

/// The number of reported reviews, and who reported them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Reviews.
    pub reviews: u64,
    /// Their products.
    pub products: u64,
    /// Reviews among them that do not say when and by whom they were reported.
    pub unknown: u64,
    /// The time of the first report of the others, in milliseconds since 1970.
    pub first_ms: Option<i64>,
    /// The time of the last.
    pub last_ms: Option<i64>,
    /// The most frequent reporters, most frequent first.
    pub reporters: Vec<Reporter>,
    /// The amount by which the number of any reporter may be too low: not all could be counted one by one.
    pub too_low_by: u64,
    /// Reviews that cannot be decoded, so that it is unknown whether they are meant.
    pub unreadable: u64,
}

/// A client, and how many of the reviews it reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporter {
    /// Its hash.
    pub reporter: String,
    /// Reviews.
    pub reviews: u64,
}

/// A count of reported reviews under way.
#[derive(Debug, Default)]
pub struct ReportedTally {
    reported: Reported,
    last_product: Option<ProductId>,
    reporters: HashMap<ClientHash, u64>,
}

impl ReportedTally {
    fn add(&mut self, product: ProductId, report: Option<Report>) {
        let reported = &mut self.reported;
        reported.reviews += 1;
        // They come in order of product.
        if self.last_product.replace(product) != Some(product) {
            reported.products += 1;
        }
        let Some(Report { at_ms, reporter }) = report else {
            reported.unknown += 1;
            return;
        };
        reported.first_ms = Some(reported.first_ms.map_or(at_ms, |first| first.min(at_ms)));
        reported.last_ms = reported.last_ms.max(Some(at_ms));
        *self.reporters.entry(reporter).or_default() += 1;
        if self.reporters.len() > REPORTERS_MAX {
            self.drop_rare();
        }
    }

    /// Subtracts from every reporter the count that half of them have at most, and forgets those that have
    /// nothing left (the algorithm of Misra and Gries): the most frequent ones stay, each with a number
    /// that is too low by no more than that.
    fn drop_rare(&mut self) {
        let mut counts: Vec<u64> = self.reporters.values().copied().collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        self.reporters.retain(|_, count| {
            *count = count.saturating_sub(median);
            *count > 0
        });
        self.reported.too_low_by += median;
    }

    /// Returns the count.
    #[must_use]
    pub fn finish(mut self) -> Reported {
        let mut all: Vec<_> = self.reporters.into_iter().collect();
        all.sort_unstable_by_key(|(reporter, count)| (std::cmp::Reverse(*count), *reporter));
        let named = all.into_iter().take(NAMED_MAX);
        self.reported.reporters = named
            .map(|(reporter, reviews)| Reporter {
                reporter: reporter.to_string(),
                reviews,
            })
            .collect();
        self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report = Report {
        at_ms: 1000,
        reporter: ClientHash(7),
    };

    #[test]
    fn a_review_is_meant_by_its_time_and_its_reporter() {
        let all = ReportedFilter::default();
        let since = |since_ms| ReportedFilter {
            since_ms: Some(since_ms),
            ..all
        };
        let until = |until_ms| ReportedFilter {
            until_ms: Some(until_ms),
            ..all
        };
        let by = |reporter| ReportedFilter {
            reporter: Some(ClientHash(reporter)),
            ..all
        };
        for (which, is_meant) in [
            (all, true),
            (since(1000), true),
            (since(1001), false),
            (until(1000), false),
            (until(1001), true),
            (by(7), true),
            (by(8), false),
            (
                ReportedFilter {
                    since_ms: Some(1001),
                    ..by(7)
                },
                false,
            ),
        ] {
            assert_eq!(which.takes(Some(REPORT)), is_meant, "{which:?}");
            assert_eq!(which.takes(None), which == all, "{which:?}");
        }
    }

    #[test]
    fn more_reporters_than_are_counted_hide_no_frequent_one() {
        let mut tally = ReportedTally::default();
        let reporters = 3 * REPORTERS_MAX as u64;
        for number in 0..reporters {
            for reporter in [number + 100, number % 5] {
                let reporter = ClientHash(reporter);
                let report = Report { reporter, ..REPORT };
                tally.add(ProductId(number / 2), Some(report));
            }
            assert!(tally.reporters.len() <= REPORTERS_MAX);
        }
        tally.add(ProductId(u64::MAX), None);
        let reported = tally.finish();
        assert_eq!(
            (reported.reviews, reported.products, reported.unknown),
            (2 * reporters + 1, reporters / 2 + 1, 1)
        );
        assert_eq!(reported.reporters.len(), 10);
        let mut frequent: Vec<_> = reported.reporters.iter().take(5).collect();
        frequent.sort_by_key(|one| &one.reporter);
        for (number, one) in (0..5).zip(frequent) {
            assert_eq!(one.reporter, ClientHash(number).to_string());
            let least = reporters / 5 - reported.too_low_by;
            assert!((least..=reporters / 5).contains(&one.reviews), "{one:?}");
        }
        assert!((1..=5).contains(&reported.too_low_by));
    }
}
