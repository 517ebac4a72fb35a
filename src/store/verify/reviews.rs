//! Reviews, and what follows from those of one product: its order rows and its summary.
//!
//! Must not know the catalogue. Invariant: memory is bounded by the reviews of one product, of which only
//! what order rows and a summary need is retained.

use std::fmt::Write as _;

use super::super::decoding::damaged;
use super::super::error::Error;
use super::super::key::{
    Family, HelpfulKey, IdKey, NewestKey, number_of, review_of_order_row, review_of_row,
};
use super::super::value::{decode, decode_head, encode};
use super::issues::RowFix;
use super::order::FamilyRows;
use super::owners::OwnedReviews;
use super::{ALL, Verifier, hex};
use crate::model::moderation::ReviewState;
use crate::model::{Characteristic, ProductId, Review, ReviewId, Summary};

/// The rows that follow from the reviews of one product.
struct Derived<'n> {
    product: ProductId,
    newest: Vec<[u8; 24]>,
    helpful: Vec<[u8; 28]>,
    summary: Summary<'n>,
    /// The reviews that it counts.
    reviews: u64,
}

/// The families that are read along with the reviews.
struct ReviewCursors<'v, 'r> {
    newest: FamilyRows<'v, 'r>,
    helpful: FamilyRows<'v, 'r>,
    summaries: FamilyRows<'v, 'r>,
}

/// The product's summary as the store has it.
struct StoredSummary {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'v, 'r> Verifier<'v, 'r> {
    /// The reviews, and the families that follow from them.
    pub(super) fn reviews(&mut self) -> Result<(), Error> {
        let mut along = ReviewCursors {
            newest: FamilyRows::of(self.view, Family::Newest, &self.gaps)?,
            helpful: FamilyRows::of(self.view, Family::Helpful, &self.gaps)?,
            summaries: FamilyRows::of(self.view, Family::Summaries, &self.gaps)?,
        };
        let mut owned = OwnedReviews::default();
        let mut rows = FamilyRows::of(self.view, Family::Reviews, &self.gaps)?;
        let mut next = rows.take_until(ALL)?;
        while let Some((key, _)) = &next {
            let Some((product, _)) = place(key) else {
                self.stray(Family::Reviews, next.take().unwrap_or_default())?;
                next = rows.take_until(ALL)?;
                continue;
            };
            // Products that have summaries, or stray rows, and no reviews.
            if let Some(last) = product.0.checked_sub(1) {
                self.until(ProductId(last), &mut along)?;
            }
            let stored = self.summary_of(product, &mut along.summaries)?;
            let names = stored.as_ref().map(|stored| self.names(stored));
            let names = names.transpose()?.flatten().unwrap_or_default();
            let mut derived = Derived::new(product, &names);
            while let Some((key, value)) = &next {
                match place(key) {
                    Some((of, id)) if of == product => {
                        self.review(of, id, key, value, &mut derived, &mut owned)?;
                    }
                    _ => break,
                }
                next = rows.take_until(ALL)?;
            }
            self.product(derived, stored.as_ref(), &mut along)?;
        }
        self.until(ALL, &mut along)?;
        drop((along, rows));
        self.owners(&owned)
    }

    /// Verifies one review: whether it decodes, and what follows from it.
    fn review(
        &mut self,
        product: ProductId,
        id: ReviewId,
        key: &[u8],
        value: &[u8],
        derived: &mut Derived<'_>,
        owned: &mut OwnedReviews,
    ) -> Result<(), Error> {
        self.count(Family::Reviews);
        let next = &mut self.counted.next_review_id;
        // Also that of one that cannot be decoded: its id was given.
        *next = (*next).max(id.0.saturating_add(1));
        let review: Review<'_> = match decode(value) {
            Ok(review) => review,
            Err(why) => return self.found.damaged(Family::Reviews, key, value, id, &why),
        };
        self.counted.reviews += 1;
        owned.add(id, product);
        for photo in &review.photos {
            let next = &mut self.counted.next_photo_id;
            *next = (*next).max(photo.id.saturating_add(1));
        }
        if let Some(wrong) = wrong_value(&review) {
            self.found
                .lost(format!("review {id} of product {product} {wrong}"));
        }
        *self.counted.of_state(review.state) += 1;
        derived.add(id, &review);
        if !review.is_published()
            && let Ok(head) = decode_head(value)
        {
            self.listed_by_state(id, &head)?;
        }
        Ok(())
    }

    /// Notes that products up to this one have no reviews: only names of characteristics may be left.
    fn until(&mut self, last: ProductId, along: &mut ReviewCursors<'v, 'r>) -> Result<(), Error> {
        while let Some((key, value)) = along.summaries.take_until(last)? {
            let Some(of) = number_of(&key).map(ProductId) else {
                self.count(Family::Summaries);
                self.stray(Family::Summaries, (key, value))?;
                continue;
            };
            self.count(Family::Summaries);
            let stored = StoredSummary { key, value };
            let names = self.names(&stored)?.unwrap_or_default();
            self.summary(&Derived::new(of, &names), Some(&stored))?;
        }
        self.orders(Derived::new(last, &[]), along)
    }

    /// The summary of a product, of those that are read along.
    fn summary_of(
        &mut self,
        product: ProductId,
        summaries: &mut FamilyRows<'v, 'r>,
    ) -> Result<Option<StoredSummary>, Error> {
        let mut found = None;
        while let Some((key, value)) = summaries.take_until(product)? {
            self.count(Family::Summaries);
            if key.len() == 8 {
                found = Some(StoredSummary { key, value });
            } else {
                self.stray(Family::Summaries, (key, value))?;
            }
        }
        Ok(found)
    }

    /// The characteristics that a summary names; `None` when it cannot be decoded.
    fn names(&mut self, stored: &StoredSummary) -> Result<Option<Vec<(u64, String)>>, Error> {
        match decode::<Summary<'_>>(&stored.value) {
            Ok(summary) => {
                let all = summary.characteristics.iter();
                Ok(Some(all.map(|one| (one.id, one.name.to_owned())).collect()))
            }
            Err(why) => {
                let of = number_of(&stored.key).unwrap_or_default();
                let (key, value) = (&stored.key, &stored.value);
                let found = &mut self.found;
                found.damaged(Family::Summaries, key, value, of, &why)?;
                Ok(None)
            }
        }
    }

    /// Compares the rows that follow from a product's reviews with those in the store.
    fn product(
        &mut self,
        derived: Derived<'_>,
        stored: Option<&StoredSummary>,
        along: &mut ReviewCursors<'v, 'r>,
    ) -> Result<(), Error> {
        self.summary(&derived, stored)?;
        self.orders(derived, along)
    }

    fn summary(
        &mut self,
        derived: &Derived<'_>,
        stored: Option<&StoredSummary>,
    ) -> Result<(), Error> {
        let (product, counted) = (derived.product, &derived.summary);
        if self.gaps.touch(Family::Reviews, product) || self.gaps.touch(Family::Summaries, product)
        {
            return Ok(());
        }
        let key = IdKey::from(product).as_ref().to_vec();
        let is_there = derived.reviews > 0 || !counted.characteristics.is_empty();
        self.counted.summaries += u64::from(is_there);
        let value = stored.map(|stored| decode::<Summary<'_>>(&stored.value));
        let sentence = match &value {
            Some(Ok(summary)) if is_there && summary == counted => return Ok(()),
            // One that cannot be decoded is reported already, and about to be removed.
            None | Some(Err(_)) if !is_there => return Ok(()),
            Some(Ok(_)) if !is_there => {
                format!("product {product} has a summary, and neither reviews nor characteristics")
            }
            Some(Ok(summary)) => format!(
                "the summary of product {product} is {}, and its reviews give {}",
                shown(summary),
                shown(counted)
            ),
            None | Some(Err(_)) => format!("product {product} has reviews and no summary"),
        };
        let fix = if is_there {
            let mut value = Vec::new();
            encode(counted, &mut value).map_err(|why| damaged(Family::Summaries, product, &why))?;
            RowFix::Put(Family::Summaries, key, value)
        } else {
            RowFix::Delete(Family::Summaries, key)
        };
        self.found.row(sentence, fix)
    }

    fn orders(
        &mut self,
        mut derived: Derived<'_>,
        along: &mut ReviewCursors<'v, 'r>,
    ) -> Result<(), Error> {
        derived.newest.sort_unstable();
        derived.helpful.sort_unstable();
        let product = derived.product;
        self.order(Family::Newest, product, &derived.newest, &mut along.newest)?;
        self.order(
            Family::Helpful,
            product,
            &derived.helpful,
            &mut along.helpful,
        )
    }

    /// Compares the rows until the end of a product with those that there should be, both ascending.
    fn order<const N: usize>(
        &mut self,
        family: Family,
        product: ProductId,
        expected: &[[u8; N]],
        rows: &mut FamilyRows<'v, 'r>,
    ) -> Result<(), Error> {
        let mut expected = expected.iter().peekable();
        while let Some((key, value)) = rows.take_until(product)? {
            self.count(family);
            while let Some(missing) = expected.next_if(|row| row.as_slice() < key.as_slice()) {
                self.lacks(family, missing, product);
            }
            if expected.next_if(|row| row.as_slice() == key).is_none() {
                self.stray(family, (key, value))?;
            } else if !value.is_empty() {
                let sentence = format!("{} has a value at {}", family.name(), hex(&key));
                self.found.derived(family, sentence);
            }
        }
        for missing in expected {
            self.lacks(family, missing, product);
        }
        Ok(())
    }

    fn lacks(&mut self, family: Family, key: &[u8], product: ProductId) {
        if self.gaps.touch(family, product) {
            return;
        }
        let review = review_of_order_row(key).map_or(0, |review| review.0);
        let name = family.name();
        let sentence = format!("{name} lacks the row of review {review} of product {product}");
        self.found.derived(family, sentence);
    }

    /// Handles a row that follows from nothing. One with a value is quarantined, since it was written for a
    /// reason.
    pub(super) fn stray(
        &mut self,
        family: Family,
        (key, value): (Vec<u8>, Vec<u8>),
    ) -> Result<(), Error> {
        if matches!(family, Family::Reviews | Family::Summaries) {
            let what = hex(&key);
            return self
                .found
                .damaged(family, &key, &value, what, "its key has another length");
        }
        let of = key.first_chunk().copied().map(u64::from_be_bytes);
        if of.is_some_and(|of| self.gaps.touch(Family::Reviews, ProductId(of))) {
            // The review may be in the part that cannot be read.
            return Ok(());
        }
        let (name, key) = (family.name(), hex(&key));
        let sentence = format!("{name} has the row {key} without a review");
        self.found.derived(family, sentence);
        Ok(())
    }
}

impl<'n> Derived<'n> {
    fn new(product: ProductId, names: &'n [(u64, String)]) -> Self {
        let names = names.iter().map(|(id, name)| Characteristic {
            id: *id,
            name,
            sum: 0,
            count: 0,
        });
        Self {
            product,
            newest: Vec::new(),
            helpful: Vec::new(),
            summary: Summary {
                characteristics: names.collect(),
                ..Summary::default()
            },
            reviews: 0,
        }
    }

    fn add(&mut self, id: ReviewId, review: &Review<'_>) {
        if review.state.is_counted() {
            self.reviews += 1;
            self.summary.add(review);
        }
        if !review.is_published() {
            return;
        }
        let (product, date_ms) = (self.product, review.date_ms);
        self.newest
            .push(NewestKey::new(product, date_ms, id).into());
        self.helpful
            .push(HelpfulKey::new(product, review.helpfulness, date_ms, id).into());
    }
}

/// A summary for people: reviews by stars, how many recommend it and do not, and the sum and number of
/// ratings of each characteristic.
fn shown(summary: &Summary<'_>) -> String {
    let stars = summary.ratings.iter().map(u64::to_string);
    let stars = stars.collect::<Vec<_>>().join("/");
    let (yes, no) = (summary.recommended_true, summary.recommended_false);
    let mut text = format!("{stars} by stars, recommended {yes}, not {no}");
    for characteristic in &summary.characteristics {
        let Characteristic {
            name, sum, count, ..
        } = characteristic;
        // A write to a string cannot fail.
        let _ = write!(text, ", {name} {sum} in {count}");
    }
    text
}

/// Returns the first value in a review that no review may have.
fn wrong_value(review: &Review<'_>) -> Option<String> {
    let is_stars = |value: u8| (1..=5).contains(&value);
    if !is_stars(review.rating) {
        return Some(format!("has the rating {}", review.rating));
    }
    if review.report.is_some() && review.state != ReviewState::Hidden {
        return Some("has a report, and is not hidden".to_owned());
    }
    let mut ratings = review.ratings.iter();
    let wrong = ratings.find(|rating| !is_stars(rating.value))?;
    let (id, value) = (wrong.characteristic_id, wrong.value);
    Some(format!("gives {value} to characteristic {id}"))
}

/// The product and the review of a key of `reviews`.
pub(super) fn place(key: &[u8]) -> Option<(ProductId, ReviewId)> {
    let review = review_of_row(key)?;
    let product = key.first_chunk().copied().map(u64::from_be_bytes)?;
    Some((ProductId(product), review))
}
