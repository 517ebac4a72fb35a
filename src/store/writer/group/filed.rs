//! What a shop's files say about reviews, within a group: reviews that are added, changed and removed, and the
//! characteristics of products.
//!
//! Must not know files, the queue or how clients are answered. Invariants: a review that a customer posted stays
//! as it is; one that was erased does not come again; no id is given twice; a summary is what a verification
//! would give; a change that fails leaves the group as it was.

use std::collections::{BTreeMap, BTreeSet};

use super::states::AuditedAction;
use super::{CommitGroup, PendingReview, ReviewChange, decided_by, value_of};
use crate::committed_change::CommittedChange;
use crate::counters::Counters;
use crate::decoding::{damaged, read};
use crate::error::Error;
use crate::key::{Family, IdKey, after, review_of_row, state};
use crate::model::filed::{FiledChange, FiledCharacteristics, FiledOutcome, FiledReview};
use crate::model::moderation::{Actor, AuditAction, ReasonCode, Role};
use crate::model::{Characteristic, ProductId, Review, ReviewId, ReviewPhoto, Summary};
use crate::moderation::shops::{FreeIds, FreeKey, GoneKey, ShopsKey};
use crate::rocks::WriteBatch;
use crate::value::{decode, decode_head};

/// What a group has of the shop's files beside reviews and summaries.
#[derive(Debug, Default)]
pub(super) struct PendingFiled {
    /// The next ids when the store was made: the shop gave the ids below. Read once.
    made: Option<(u64, u64)>,
    /// Reviews of the shop with ids beyond those.
    shops: BTreeSet<ReviewId>,
    /// Reviews of the shop that were erased, and must not come again.
    gone: BTreeSet<ReviewId>,
    /// Runs of ids that the store never gave: the first by the last.
    free: BTreeMap<(FreeIds, u64), u64>,
    /// Products whose characteristics changed.
    named: BTreeSet<ProductId>,
}

impl PendingFiled {
    /// Returns true if there is anything to commit.
    pub(super) fn is_changed(&self) -> bool {
        !self.named.is_empty()
    }

    /// Adds the rows to a batch.
    pub(super) fn write(&self, batch: &mut WriteBatch<'_>) -> Result<(), Error> {
        for id in &self.shops {
            batch.put(Family::Moderation, ShopsKey::new(*id), &[])?;
        }
        for id in &self.gone {
            batch.put(Family::Moderation, GoneKey::new(*id), &[])?;
        }
        for ((kind, last), first) in &self.free {
            let key = FreeKey::new(*kind, *last);
            batch.put(Family::Moderation, key, &first.to_be_bytes())?;
        }
        Ok(())
    }

    /// Adds the parts of the store that it changes.
    pub(super) fn changed(&self, into: &mut Vec<CommittedChange>) {
        into.extend(self.named.iter().copied().map(CommittedChange::ReviewsOf));
    }
}

/// A summary that is to take the place of a product's.
struct Reckoned {
    product: ProductId,
    /// `None` if it says nothing.
    value: Option<Vec<u8>>,
    was_there: bool,
}

impl CommitGroup<'_> {
    /// Makes a change that the files ask for.
    pub(crate) fn file(&mut self, change: &FiledChange<'_>) -> Result<FiledOutcome, Error> {
        match change {
            FiledChange::Review(filed) => self.file_review(filed),
            FiledChange::Characteristics(filed) => self.file_characteristics(filed),
            FiledChange::RemoveCharacteristic { product_id, id } => {
                self.remove_characteristic(ProductId(*product_id), *id)
            }
            FiledChange::RemoveReview { review_id } => self.remove_filed(ReviewId(*review_id)),
        }
    }

    fn file_review(&mut self, filed: &FiledReview<'_>) -> Result<FiledOutcome, Error> {
        let id = ReviewId(filed.review_id);
        if self.reach(id)?.is_none() {
            return self.add_filed(id, filed);
        }
        let is_shops = self.is_shops(id)?;
        let (_, next_photo_made) = self.made()?;
        let Some(pending) = self.reviews.get(&id) else {
            return Ok(FiledOutcome::NoSuchReview);
        };
        let (from, to) = (pending.product, ProductId(filed.product_id));
        let stored = pending.review(id)?;
        let taken = next_photo_made..self.counters.next_photo_id;
        let mut merged = filed.over(&stored, &taken);
        if merged == stored && from == to {
            return Ok(FiledOutcome::Unchanged);
        }
        if !is_shops {
            return Ok(FiledOutcome::Customers);
        }
        let passed = self.give_ids(&mut merged.photos, &stored.photos, next_photo_made)?;
        let value = value_of(Family::Reviews, id, &merged)?;
        let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        let mut reckoned = Vec::new();
        if merged.state.is_counted() {
            if from == to {
                reckoned.push(self.reckon(to, Some(&stored), Some(&merged))?);
            } else {
                reckoned.push(self.reckon(from, Some(&stored), None)?);
                reckoned.push(self.reckon(to, None, Some(&merged))?);
            }
        }
        // Nothing fails from here on.
        self.bytes += value.len();
        self.pass_photos(passed);
        for reckoned in reckoned {
            self.set_summary(reckoned);
        }
        if let Some(pending) = self.reviews.get_mut(&id) {
            pending.move_to(to);
            pending.head = head;
            pending.value = value;
            pending.review_change = ReviewChange::Amended;
        }
        Ok(FiledOutcome::Changed)
    }

    /// Adds a review that the store does not have.
    fn add_filed(&mut self, id: ReviewId, filed: &FiledReview<'_>) -> Result<FiledOutcome, Error> {
        let Some(mut review) = filed.alone() else {
            return Ok(FiledOutcome::NoSuchReview);
        };
        if self.is_gone(id)? {
            return Ok(FiledOutcome::Erased);
        }
        let (next_made, next_photo_made) = self.made()?;
        let product = ProductId(filed.product_id);
        let passed = self.give_ids(&mut review.photos, &[], next_photo_made)?;
        let value = value_of(Family::Reviews, id, &review)?;
        let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        let reckoned = if review.state.is_counted() {
            Some(self.reckon(product, None, Some(&review))?)
        } else {
            None
        };
        // Nothing fails from here on.
        self.bytes += value.len();
        if let Some(reckoned) = reckoned {
            self.set_summary(reckoned);
        }
        self.pass_photos(passed);
        let counters = &mut self.counters;
        if id.0 > counters.next_review_id {
            let run = (FreeIds::Reviews, id.0 - 1);
            self.filed.free.insert(run, counters.next_review_id);
        }
        counters.next_review_id = counters.next_review_id.max(id.0.saturating_add(1));
        counters.reviews += 1;
        *counters.of_state(review.state) += 1;
        if id.0 >= next_made {
            self.filed.shops.insert(id);
        }
        // One that the files no longer had, and have again, in one group.
        let earlier = self.reviews.remove(&id);
        let mut pending = PendingReview {
            product: earlier.as_ref().map_or(product, |one| one.product),
            moved_from: earlier.as_ref().and_then(|one| one.moved_from),
            before: earlier.as_ref().and_then(|one| one.before),
            head,
            decided_by: decided_by(&review),
            email: None,
            value,
            review_change: ReviewChange::Amended,
        };
        pending.move_to(product);
        self.reviews.insert(id, pending);
        Ok(FiledOutcome::Inserted)
    }

    /// Removes a review that the files no longer have; they may have it again.
    fn remove_filed(&mut self, id: ReviewId) -> Result<FiledOutcome, Error> {
        if self.reach(id)?.is_none() {
            return Ok(FiledOutcome::Unchanged);
        }
        if !self.is_shops(id)? {
            return Ok(FiledOutcome::Customers);
        }
        let by = Actor {
            name: "files".to_owned(),
            role: Role::Catalogue,
        };
        let action = AuditedAction {
            action: AuditAction::Erase,
            reason: ReasonCode::Files,
            note: None,
            by: &by,
        };
        self.take_out(id, Vec::new(), &action)?;
        Ok(FiledOutcome::Removed)
    }

    /// Notes that a review is erased, so that the files do not bring it back.
    pub(super) fn note_gone(&mut self, id: ReviewId) {
        self.filed.gone.insert(id);
    }

    /// Returns true if the shop gave a review its id.
    pub(super) fn is_shops(&mut self, id: ReviewId) -> Result<bool, Error> {
        let (next_made, _) = self.made()?;
        if id.0 < next_made || self.filed.shops.contains(&id) {
            return Ok(true);
        }
        let row = self.view.get(Family::Moderation, ShopsKey::new(id))?;
        Ok(row.is_some())
    }

    /// Returns true if a review that is not there must not come again.
    fn is_gone(&mut self, id: ReviewId) -> Result<bool, Error> {
        if id.0 >= self.counters.next_review_id {
            return Ok(false);
        }
        if self.filed.gone.contains(&id)
            || self
                .view
                .get(Family::Moderation, GoneKey::new(id))?
                .is_some()
        {
            return Ok(true);
        }
        // Any other that is not there was posted: it had its id from the store.
        Ok(!self.is_shops(id)? && !self.is_free(FreeIds::Reviews, id.0)?)
    }

    /// Returns true if the store never gave an id that is below the next one.
    fn is_free(&self, kind: FreeIds, id: u64) -> Result<bool, Error> {
        let mut pending = self.filed.free.range((kind, id)..=(kind, u64::MAX));
        if pending.next().is_some_and(|(_, first)| *first <= id) {
            return Ok(true);
        }
        let none = None::<&[u8]>;
        let mut rows = self
            .view
            .scan(Family::Moderation, FreeKey::new(kind, id), none)?;
        let row = rows.next()?;
        Ok(row.is_some_and(|(key, value)| FreeKey::has(kind, key, value, id)))
    }

    /// Gives those of the photos other ids that a photo of another review may have: ids that the store gave.
    fn give_ids(
        &self,
        photos: &mut [ReviewPhoto<'_>],
        stored: &[ReviewPhoto<'_>],
        next_made: u64,
    ) -> Result<PassedIds, Error> {
        let mut passed = PassedIds::from(self.counters.next_photo_id);
        for photo in &mut *photos {
            let is_own = stored.iter().any(|one| one.id == photo.id);
            if !is_own
                && (next_made..passed.next).contains(&photo.id)
                && !passed.has(photo.id)
                && !self.is_free(FreeIds::Photos, photo.id)?
            {
                photo.id = passed.next;
            }
            passed.pass(photo.id);
        }
        photos.sort_by_key(|photo| photo.id);
        Ok(passed)
    }

    fn pass_photos(&mut self, passed: PassedIds) {
        self.counters.next_photo_id = passed.next;
        let runs = passed.runs.into_iter();
        let runs = runs.map(|(last, first)| ((FreeIds::Photos, last), first));
        self.filed.free.extend(runs);
    }

    /// The ids of the next review and of its next photo when the store was made; of a store that does not know,
    /// none was given by the shop.
    fn made(&mut self) -> Result<(u64, u64), Error> {
        if let Some(made) = self.filed.made {
            return Ok(made);
        }
        let value = self.view.get(Family::State, state::MADE)?;
        let made = match value {
            Some(value) => {
                let counters: Counters =
                    decode(&value).map_err(|why| damaged(Family::State, "made", &why))?;
                (counters.next_review_id, counters.next_photo_id)
            }
            None => (0, 0),
        };
        self.filed.made = Some(made);
        Ok(made)
    }

    fn file_characteristics(
        &mut self,
        filed: &FiledCharacteristics<'_>,
    ) -> Result<FiledOutcome, Error> {
        let product = ProductId(filed.product_id);
        let stored = self.summary_value(product)?;
        let before = summary_of(product, stored.as_deref())?;
        let mut summary = before.clone();
        for name in &filed.names {
            let mut known = summary.characteristics.iter_mut();
            if let Some(known) = known.find(|one| one.id == name.id) {
                known.name = &name.name;
                continue;
            }
            let (sum, count) = self.ratings_of(product, name.id)?;
            summary.characteristics.push(Characteristic {
                id: name.id,
                name: &name.name,
                sum,
                count,
            });
        }
        summary.characteristics.sort_by_key(|one| one.id);
        if summary == before {
            return Ok(FiledOutcome::Unchanged);
        }
        let reckoned = Reckoned::new(product, stored.is_some(), &summary)?;
        self.set_summary(reckoned);
        self.filed.named.insert(product);
        Ok(FiledOutcome::Changed)
    }

    fn remove_characteristic(
        &mut self,
        product: ProductId,
        id: u64,
    ) -> Result<FiledOutcome, Error> {
        let stored = self.summary_value(product)?;
        let mut summary = summary_of(product, stored.as_deref())?;
        let all = summary.characteristics.len();
        summary
            .characteristics
            .retain(|one| one.id != id || one.count > 0);
        if summary.characteristics.len() == all {
            return Ok(FiledOutcome::Unchanged);
        }
        let reckoned = Reckoned::new(product, stored.is_some(), &summary)?;
        self.set_summary(reckoned);
        self.filed.named.insert(product);
        Ok(FiledOutcome::Removed)
    }

    /// The sum and the number of the ratings that counted reviews gave to a characteristic that the product did
    /// not have.
    fn ratings_of(&self, product: ProductId, characteristic: u64) -> Result<(u64, u64), Error> {
        let (mut sum, mut count) = (0, 0);
        let mut add = |review: &Review<'_>| {
            let ratings = review.ratings.iter();
            for rating in ratings.filter(|one| one.characteristic_id == characteristic) {
                if review.state.is_counted() {
                    sum += u64::from(rating.value);
                    count += 1;
                }
            }
        };
        let from = IdKey::from(product);
        let mut rows = self.view.scan(Family::Reviews, from, after(product))?;
        while let Some((key, value)) = rows.next()? {
            let id = review_of_row(key);
            let id = id.ok_or_else(|| damaged(Family::Reviews, "a key", "not 16 bytes"))?;
            if !self.reviews.contains_key(&id) {
                add(&read(Family::Reviews, id, value)?);
            }
        }
        for (id, pending) in &self.reviews {
            if pending.product == product && pending.review_change != ReviewChange::Erased {
                add(&pending.review(*id)?);
            }
        }
        Ok((sum, count))
    }

    fn summary_value(&self, product: ProductId) -> Result<Option<Vec<u8>>, Error> {
        if let Some(pending) = self.summaries.get(&product) {
            return Ok(pending.clone());
        }
        let value = self.view.get(Family::Summaries, IdKey::from(product))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// Returns a product's summary without one review and with another.
    fn reckon(
        &self,
        product: ProductId,
        without: Option<&Review<'_>>,
        with: Option<&Review<'_>>,
    ) -> Result<Reckoned, Error> {
        let stored = self.summary_value(product)?;
        let mut summary = summary_of(product, stored.as_deref())?;
        if let Some(review) = without {
            let less = summary.without(review);
            summary = less.ok_or_else(|| super::summaries::counts_less(product))?;
        }
        if let Some(review) = with {
            summary.add(review);
        }
        Reckoned::new(product, stored.is_some(), &summary)
    }

    fn set_summary(&mut self, reckoned: Reckoned) {
        let summaries = &mut self.counters.summaries;
        match (reckoned.was_there, reckoned.value.is_some()) {
            (false, true) => *summaries += 1,
            (true, false) => *summaries = summaries.saturating_sub(1),
            _ => {}
        }
        self.summaries.insert(reckoned.product, reckoned.value);
    }
}

impl Reckoned {
    fn new(product: ProductId, was_there: bool, summary: &Summary<'_>) -> Result<Self, Error> {
        let value = if summary.is_empty() {
            None
        } else {
            Some(value_of(Family::Summaries, product, summary)?)
        };
        Ok(Self {
            product,
            value,
            was_there,
        })
    }
}

impl PendingReview {
    /// Makes it a review of another product.
    fn move_to(&mut self, product: ProductId) {
        if self.before.is_some() && product != self.product {
            let from = self.stored_product();
            self.moved_from = (from != product).then_some(from);
        }
        self.product = product;
    }
}

fn summary_of(product: ProductId, value: Option<&[u8]>) -> Result<Summary<'_>, Error> {
    value.map_or_else(
        || Ok(Summary::default()),
        |value| read(Family::Summaries, product, value),
    )
}

/// The next id, and the runs that were passed over on the way to it: the first by the last.
#[derive(Debug)]
struct PassedIds {
    next: u64,
    runs: BTreeMap<u64, u64>,
}

impl From<u64> for PassedIds {
    fn from(next: u64) -> Self {
        let runs = BTreeMap::new();
        Self { next, runs }
    }
}

impl PassedIds {
    /// Goes on behind an id, if it is the highest so far.
    fn pass(&mut self, id: u64) {
        if id > self.next {
            self.runs.insert(id - 1, self.next);
        }
        self.next = self.next.max(id.saturating_add(1));
    }

    /// Returns true if an id was passed over.
    fn has(&self, id: u64) -> bool {
        let mut runs = self.runs.range(id..);
        runs.next().is_some_and(|(_, first)| *first <= id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_were_passed_over_are_known() {
        let mut passed = PassedIds::from(5);
        for id in [5, 3, 9, 20] {
            passed.pass(id);
        }
        assert_eq!(passed.next, 21);
        let known: Vec<_> = (0..25).filter(|id| passed.has(*id)).collect();
        let expected: Vec<_> = (6..9).chain(10..20).collect();
        assert_eq!(known, expected);
    }
}
