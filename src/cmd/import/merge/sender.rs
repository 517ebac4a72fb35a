//! Changes on their way to the store, in batches, and what became of the rows that asked for them.
//!
//! Must not know how a change was found. Invariants: a batch is bounded in changes and in bytes; rows count as
//! inserted, changed or removed when the store said so; a dry run changes nothing.

use std::collections::BTreeMap;

use reviewsd_import::{File, LateReject, RejectedRows};

use crate::model::catalogue::WholeProduct;
use crate::model::filed::{FiledChange, FiledOutcome};

use super::super::super::store_target::{Error, ProductChange, ProductResult, StoreTarget};
use super::tally::Tallies;

/// Changes in a batch.
const CHANGES_MAX: usize = 256;
/// Bytes of texts in a batch, beyond which no further change is added.
const BYTES_MAX: usize = 512 << 10;

/// The assumed size of a row that has no long text.
const USUAL_ROW_BYTES: usize = 64;

/// The rows of the files that ask for the change of a product.
pub(super) struct FiledProduct {
    /// Its id.
    pub(super) id: u64,
    /// The styles of which they have rows.
    pub(super) styles: Vec<u64>,
}

/// Sends changes to a store.
pub(super) struct Sender<'t> {
    target: &'t dyn StoreTarget,
    is_dry_run: bool,
    /// More rows than these may not be rejected.
    late_max: u64,
    reviews: Vec<(FiledChange<'static>, Tallies)>,
    products: Vec<(ProductChange, FiledProduct, Tallies)>,
    bytes: usize,
    outcome: SentRows,
}

/// Products that could not be changed, and what was to become of their rows.
pub(super) type Conflicts = BTreeMap<u64, Tallies>;

/// What became of the rows.
#[derive(Default)]
pub(super) struct SentRows {
    /// Of all files.
    pub(super) tallies: Tallies,
    /// Rows that do not fit the store.
    pub(super) late: Vec<LateReject>,
    /// Products that were changed by another client meanwhile, or whose skus another product still had.
    pub(super) conflicts: Conflicts,
}

impl<'t> Sender<'t> {
    /// Sends to `target`, unless it is a dry run.
    pub(super) fn new(target: &'t dyn StoreTarget, is_dry_run: bool, late_max: u64) -> Self {
        Self {
            target,
            is_dry_run,
            late_max,
            reviews: Vec::new(),
            products: Vec::new(),
            bytes: 0,
            outcome: SentRows::default(),
        }
    }

    /// Counts rows that ask for no change.
    pub(super) fn count(&mut self, tallies: &Tallies) {
        self.outcome.tallies += tallies;
    }

    /// Rejects rows.
    pub(super) fn reject(&mut self, late: LateReject) {
        self.outcome.late.push(late);
    }

    /// Returns true if no more rows may be rejected.
    pub(super) fn is_over(&self) -> bool {
        self.outcome.late.len() as u64 > self.late_max
    }

    /// Sends a change of a product.
    pub(super) fn product(
        &mut self,
        change: ProductChange,
        filed: FiledProduct,
        tallies: &Tallies,
    ) -> Result<(), Error> {
        if self.is_dry_run {
            self.count(tallies);
            return Ok(());
        }
        self.bytes += match &change {
            ProductChange::Put(product, _) => bytes_of(product),
            ProductChange::Remove(..) => 0,
        };
        self.products.push((change, filed, *tallies));
        self.flush_if_full()
    }

    /// Sends a change of reviews.
    pub(super) fn review(
        &mut self,
        change: FiledChange<'static>,
        tallies: &Tallies,
    ) -> Result<(), Error> {
        self.bytes += match &change {
            FiledChange::Review(review) => review.bytes(),
            _ => size_of::<FiledChange<'_>>(),
        };
        self.reviews.push((change, *tallies));
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), Error> {
        let changes = self.reviews.len() + self.products.len();
        if changes >= CHANGES_MAX || self.bytes >= BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let products = std::mem::take(&mut self.products);
        if !products.is_empty() {
            let (mut changes, mut rows) = (Vec::new(), Vec::new());
            for (change, filed, tallies) in products {
                changes.push(change);
                rows.push((filed, tallies));
            }
            let results = self.target.put_products(changes)?;
            for (result, (filed, tallies)) in results.into_iter().zip(rows) {
                self.settle_product(result, &filed, &tallies);
            }
        }
        let reviews = std::mem::take(&mut self.reviews);
        if !reviews.is_empty() {
            let (mut changes, mut rows) = (Vec::new(), Vec::new());
            for (change, tallies) in reviews {
                rows.push((FiledRows::of(&change), tallies));
                changes.push(change);
            }
            let outcomes = self.target.file_reviews(changes, self.is_dry_run)?;
            for (outcome, (filed, tallies)) in outcomes.into_iter().zip(rows) {
                self.settle_review(&filed, outcome, &tallies);
            }
        }
        Ok(())
    }

    fn settle_product(&mut self, result: ProductResult, filed: &FiledProduct, tallies: &Tallies) {
        match result {
            ProductResult::Done => self.count(tallies),
            ProductResult::Conflict => {
                self.outcome.conflicts.insert(filed.id, *tallies);
            }
            ProductResult::TooLarge => {
                let late = rows_of_product(filed, "id", "is that of a product that is too large");
                self.outcome.late.extend(late);
            }
        }
    }

    fn settle_review(&mut self, filed: &FiledRows, outcome: FiledOutcome, tallies: &Tallies) {
        match outcome {
            FiledOutcome::Inserted | FiledOutcome::Changed | FiledOutcome::Removed => {
                self.count(tallies);
            }
            FiledOutcome::Unchanged => self.count(&tallies.found()),
            FiledOutcome::Customers => {
                filed.refuse(
                    &mut self.outcome.late,
                    "is that of a review that a customer posted",
                );
            }
            FiledOutcome::Erased => {
                filed.refuse(
                    &mut self.outcome.late,
                    "is that of a review that was erased",
                );
            }
            FiledOutcome::NoSuchReview => {
                filed.refuse(&mut self.outcome.late, "is not the id of a review");
            }
        }
    }

    /// Sends what is left, and returns what became of all rows.
    pub(super) fn finish(mut self) -> Result<SentRows, Error> {
        self.flush()?;
        Ok(self.outcome)
    }
}

/// The bytes of the texts of a product, about.
fn bytes_of(product: &WholeProduct) -> usize {
    let texts = [
        &product.name,
        &product.slogan,
        &product.description,
        &product.category,
    ];
    let texts: usize = texts.into_iter().map(String::len).sum();
    let features = product.features.len() * USUAL_ROW_BYTES;
    let rows = product.styles.iter().map(|style| {
        let photos = style
            .photos
            .iter()
            .map(|photo| photo.url.len() + photo.thumbnail_url.len());
        photos.sum::<usize>() + (1 + style.skus.len()) * USUAL_ROW_BYTES
    });
    texts + features + rows.sum::<usize>()
}

/// The rows of the files that ask for a change of reviews.
#[derive(Default)]
struct FiledRows {
    review: u64,
    has_text: bool,
    has_photos: bool,
    has_ratings: bool,
}

impl FiledRows {
    /// Those of a change; no file has rows of a review that is only to be removed.
    fn of(change: &FiledChange<'_>) -> Self {
        let FiledChange::Review(review) = change else {
            return Self::default();
        };
        let ratings = review.characteristics.as_ref();
        Self {
            review: review.review_id,
            has_text: review.text.is_some(),
            has_photos: review.photos.as_ref().is_some_and(|all| !all.is_empty()),
            has_ratings: ratings.is_some_and(|all| !all.is_empty()),
        }
    }

    /// Rejects them.
    fn refuse(&self, into: &mut Vec<LateReject>, reason: &'static str) {
        let id = self.review;
        let all = [
            (self.has_text, File::Reviews, RejectedRows::WithId(id), "id"),
            (
                self.has_photos,
                File::ReviewPhotos,
                RejectedRows::Of(id),
                "review_id",
            ),
            (
                self.has_ratings,
                File::Ratings,
                RejectedRows::Of(id),
                "review_id",
            ),
        ];
        let given = all.into_iter().filter(|(is_given, ..)| *is_given);
        into.extend(given.map(|(_, file, rows, field)| LateReject {
            file,
            rows,
            field,
            reason,
        }));
    }
}

/// All rows of the files that are of a product.
pub(super) fn rows_of_product(
    filed: &FiledProduct,
    field: &'static str,
    reason: &'static str,
) -> Vec<LateReject> {
    let late = |file, rows| LateReject {
        file,
        rows,
        field,
        reason,
    };
    let of = RejectedRows::Of(filed.id);
    let mut all = vec![
        late(File::Products, RejectedRows::WithId(filed.id)),
        late(File::Features, of),
        late(File::Related, of),
        late(File::Styles, of),
    ];
    for style in &filed.styles {
        all.push(late(File::Skus, RejectedRows::Of(*style)));
        all.push(late(File::StylePhotos, RejectedRows::Of(*style)));
    }
    all
}
