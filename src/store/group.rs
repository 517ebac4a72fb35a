//! Changes that are committed together: each sees those before it, the store none before the end.
//!
//! Must not know the queue or who is answered. Invariants: a change that fails leaves the group as
//! it was; what the batch writes is decided once for every row it touches, so order rows move from
//! where the store has them to where they end, however often they were voted on in between; a
//! summary is what a recount would give.

mod amend;
mod reports;

use std::collections::btree_map::{BTreeMap, Entry};

use super::error::Error;
use super::journal::{Committed, Journal};
use super::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey, state};
use super::read::{Store, damaged, number, read};
use super::retries::{Pruned, Retries, is_over};
use super::rocks::{Batch, Reach, View};
use super::value::{Counters, Record, Retried, ReviewHead, decode_head, encode};
use super::write::{Change, Outcome, Refused, Retry};
use crate::model::{ClientHash, NewReview, ProductId, Review, ReviewId, ReviewPhoto, Summary};

/// Changes on their way into one batch.
pub(super) struct Group<'s> {
    store: &'s Store,
    view: View<'s>,
    times: Times,
    counters: Counters,
    reviews: BTreeMap<ReviewId, Touched>,
    /// The summaries' values; `None` for one that goes.
    summaries: BTreeMap<ProductId, Option<Vec<u8>>>,
    retries: BTreeMap<Vec<u8>, Retried>,
    /// Retries that go with the reviews they made, or whose time was over before they were used again.
    forgotten: BTreeMap<Vec<u8>, Retried>,
    /// The reporters of the reviews that it hides, one for each.
    hidden_by: Vec<ClientHash>,
    bytes: usize,
}

/// The result of a group.
pub(super) struct Done {
    /// The counters as they are now.
    pub(super) counters: Counters,
    /// The products whose reviews changed.
    pub(super) products: Vec<ProductId>,
    /// The commit.
    pub(super) commit: Committed,
    /// Why rows stay that were to be tidied away.
    pub(super) passed_over: Vec<Error>,
    /// The reporters of the reviews that it hid, one for each.
    pub(super) hidden_by: Vec<ClientHash>,
}

/// A review that the group adds or changes.
struct Touched {
    product: ProductId,
    /// The head in the store; `None` for a new one.
    before: Option<ReviewHead>,
    head: ReviewHead,
    /// Its value but for the head.
    value: Vec<u8>,
    fate: Fate,
}

/// The change of a review beside its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Kept,
    /// Another value.
    Amended,
    /// It goes, and so does its id: nobody finds it any more, and nobody gets it.
    Erased,
}

/// The times of a group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The time by the clock.
    pub(super) now_ms: i64,
    /// The date of the reviews that are added.
    pub(super) date_ms: i64,
}

impl<'s> Group<'s> {
    /// An empty group of changes made now, to a store that counts so much.
    pub(super) fn new(store: &'s Store, counters: Counters, times: Times) -> Self {
        Self {
            store,
            view: store.rocks().view(Reach::Disk),
            times,
            counters,
            reviews: BTreeMap::new(),
            summaries: BTreeMap::new(),
            retries: BTreeMap::new(),
            forgotten: BTreeMap::new(),
            hidden_by: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes of the reviews in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if there is anything to commit.
    pub(super) fn is_changed(&self) -> bool {
        let mut touched = self.reviews.values();
        touched.any(Touched::is_changed)
    }

    /// True if reviews are added to a store that counted so much before.
    pub(super) fn is_added_to(&self, before: Counters) -> bool {
        self.counters.next_review_id > before.next_review_id
    }

    /// Makes a change within the group.
    pub(super) fn apply(&mut self, change: Change) -> Result<Outcome, Refused> {
        let outcome = match change {
            Change::Post { review, retry } => self.post(&review, retry),
            Change::Helpful(id) => self.touch(id, |head| {
                head.helpfulness = head.helpfulness.saturating_add(1);
            }),
            Change::Report { review, client } => self.report(review, client),
            Change::Restore(id) => self.restore(id),
            Change::RestoreReported(reviews, which) => self.restore_all(&reviews, which),
            Change::Respond { review, response } => self.respond(review, response.as_deref()),
            Change::Erase { review, retries } => self.erase(review, retries),
        };
        // Reading is all that can fail here, and the change that needed it is not begun.
        outcome.map_err(|damaged| Refused::Damaged(damaged.to_string()))
    }

    fn post(&mut self, review: &NewReview, retry: Option<Retry>) -> Result<Outcome, Error> {
        if let Some(retry) = &retry
            && let Some(earlier) = self.earlier(&retry.key)?
        {
            return Ok(if earlier.body == retry.body {
                Outcome::Created(ReviewId(earlier.review))
            } else {
                Outcome::OtherBody
            });
        }
        let id = ReviewId(self.counters.next_review_id);
        let row = self.row_of(review);
        let mut value = Vec::new();
        encode(&row, &mut value).map_err(|why| damaged(Family::Reviews, id, &why))?;
        let (summary, is_new) = self.summary_with(review.product, &row)?;
        let photos = row.photos.len() as u64;
        let head = ReviewHead {
            helpfulness: 0,
            date_ms: row.date_ms,
            reported: false,
            report: None,
        };
        // Nothing fails from here on.
        self.bytes += value.len();
        self.summaries.insert(review.product, Some(summary));
        self.reviews.insert(
            id,
            Touched {
                product: review.product,
                before: None,
                head,
                value,
                fate: Fate::Kept,
            },
        );
        let counters = &mut self.counters;
        counters.next_review_id += 1;
        counters.next_photo_id += photos;
        counters.reviews += 1;
        counters.reviews_visible += 1;
        counters.summaries += u64::from(is_new);
        if let Some(retry) = retry {
            counters.retries += 1;
            let retried = Retried {
                review: id.0,
                body: retry.body,
                made_ms: self.times.now_ms,
                client: Some(self.store.salt().hash(retry.client).0),
            };
            self.retries.insert(retry.key, retried);
        }
        Ok(Outcome::Created(id))
    }

    /// The outcome of the review with this name, if it is not too old; one that is too old is removed.
    fn earlier(&mut self, name: &[u8]) -> Result<Option<Retried>, Error> {
        if let Some(retried) = self.retries.get(name) {
            return Ok(Some(*retried));
        }
        if self.forgotten.contains_key(name) {
            return Ok(None);
        }
        let stored = Retries::stored(&self.view, name)?;
        if let Some(retried) = stored.filter(|old| is_over(old.made_ms, self.times.now_ms)) {
            self.forgotten.insert(name.to_vec(), retried);
            self.counters.retries = self.counters.retries.saturating_sub(1);
            return Ok(None);
        }
        Ok(stored)
    }

    fn row_of<'a>(&self, review: &'a NewReview) -> Review<'a> {
        let photos = (self.counters.next_photo_id..).zip(&review.photos);
        Review {
            rating: review.rating,
            date_ms: self.times.date_ms,
            recommend: review.recommend,
            reported: false,
            report: None,
            helpfulness: 0,
            summary: &review.summary,
            body: &review.body,
            reviewer_name: &review.reviewer_name,
            reviewer_email: &review.reviewer_email,
            response: None,
            photos: photos.map(|(id, url)| ReviewPhoto { id, url }).collect(),
            ratings: review.ratings.clone(),
        }
    }

    /// The product's summary with one more review, and whether it had none before.
    fn summary_with(
        &self,
        product: ProductId,
        review: &Review<'_>,
    ) -> Result<(Vec<u8>, bool), Error> {
        let add = |mut summary: Summary<'_>| {
            summary.add(review);
            value_of(Family::Summaries, product.0, &summary)
        };
        match self.summaries.get(&product) {
            Some(Some(value)) => {
                return Ok((add(read(Family::Summaries, product.0, value)?)?, false));
            }
            Some(None) => return Ok((add(Summary::default())?, true)),
            None => {}
        }
        match self.view.get(Family::Summaries, IdKey::from(product))? {
            Some(value) => Ok((add(read(Family::Summaries, product.0, &value)?)?, false)),
            None => Ok((add(Summary::default())?, true)),
        }
    }

    /// Changes the head of a review.
    fn touch(
        &mut self,
        id: ReviewId,
        change: impl FnOnce(&mut ReviewHead),
    ) -> Result<Outcome, Error> {
        let Some(touched) = self.reach(id)? else {
            return Ok(Outcome::NoSuchReview);
        };
        let was_reported = touched.head.reported;
        change(&mut touched.head);
        match (was_reported, touched.head.reported) {
            // A count that is wrong is for `verify` to find, and no reason to take no reports.
            (false, true) => {
                let visible = &mut self.counters.reviews_visible;
                *visible = visible.saturating_sub(1);
            }
            (true, false) => self.counters.reviews_visible += 1,
            _ => {}
        }
        Ok(Outcome::Changed)
    }

    /// The review as the group leaves it so far; `None` when there is none.
    fn reach(&mut self, id: ReviewId) -> Result<Option<&mut Touched>, Error> {
        let touched = match self.reviews.entry(id) {
            Entry::Occupied(touched) => touched.into_mut(),
            Entry::Vacant(place) => {
                let Some(found) = find(&self.view, id)? else {
                    return Ok(None);
                };
                self.bytes += found.value.len();
                place.insert(found)
            }
        };
        Ok((touched.fate != Fate::Erased).then_some(touched))
    }

    /// Commits everything in one batch.
    pub(super) fn commit(
        self,
        retries: &mut Retries,
        journal: &mut Journal,
        durable: bool,
    ) -> Result<Done, Error> {
        let rocks = self.store.rocks();
        let mut batch = journal.begin_at(rocks, self.times.now_ms);
        let mut counters = self.counters;
        for (id, touched) in &self.reviews {
            touched.write(*id, &mut batch)?;
        }
        for (product, summary) in &self.summaries {
            let key = IdKey::from(*product);
            match summary {
                Some(summary) => batch.put(Family::Summaries, key, summary)?,
                None => batch.delete(Family::Summaries, key)?,
            }
        }
        let mut records = retries.change(&self.view, &mut batch, counters.retries);
        for (name, retried) in &self.forgotten {
            records.forget(name, retried)?;
        }
        if !self.retries.is_empty() {
            records.prune(self.times.now_ms, self.retries.values());
        }
        // After those that are removed: a name whose time is over may come again.
        for (name, retried) in &self.retries {
            records.add(name, retried)?;
        }
        let Pruned { left, passed_over } = records.finish();
        counters.retries = left;
        let value = value_of(Family::State, "counters", &counters)?;
        batch.put(Family::State, state::COUNTERS, &value)?;
        let commit = journal.commit(rocks, batch, durable)?;
        let mut products: Vec<_> = self
            .reviews
            .values()
            .map(|touched| touched.product)
            .collect();
        products.sort_unstable();
        products.dedup();
        Ok(Done {
            counters,
            products,
            commit,
            passed_over,
            hidden_by: self.hidden_by,
        })
    }
}

impl Touched {
    fn is_changed(&self) -> bool {
        self.before != Some(self.head) || self.fate != Fate::Kept
    }

    fn write(&self, id: ReviewId, batch: &mut Batch<'_>) -> Result<(), Error> {
        if self.fate == Fate::Erased {
            return self.write_erased(id, batch);
        }
        if !self.is_changed() {
            return Ok(());
        }
        let product = self.product;
        let mut review: Review<'_> = read(Family::Reviews, id, &self.value)?;
        review.helpfulness = self.head.helpfulness;
        review.reported = self.head.reported;
        review.report = self.head.report;
        let value = value_of(Family::Reviews, id, &review)?;
        batch.put(Family::Reviews, ReviewKey::new(product, id), &value)?;
        if self.before.is_none() {
            let owner = IdKey::from(product);
            batch.put(Family::Owners, IdKey::from(id), owner.as_ref())?;
        }
        let newest = |head: &ReviewHead| NewestKey::new(product, head.date_ms, id);
        let helpful =
            |head: &ReviewHead| HelpfulKey::new(product, head.helpfulness, head.date_ms, id);
        if let Some(before) = self.before.filter(|before| !before.reported) {
            batch.delete(Family::Newest, newest(&before))?;
            batch.delete(Family::Helpful, helpful(&before))?;
        }
        if !self.head.reported {
            batch.put(Family::Newest, newest(&self.head), &[])?;
            batch.put(Family::Helpful, helpful(&self.head), &[])?;
        }
        Ok(())
    }
}

fn find(view: &View<'_>, id: ReviewId) -> Result<Option<Touched>, Error> {
    let Some(owner) = view.get(Family::Owners, IdKey::from(id))? else {
        return Ok(None);
    };
    let product = ProductId(number(Family::Owners, &owner)?);
    let value = view
        .get(Family::Reviews, ReviewKey::new(product, id))?
        .ok_or_else(|| damaged(Family::Owners, id, "its review is missing"))?;
    let head = decode_head(&value).map_err(|why| damaged(Family::Reviews, id, &why))?;
    // Decoded whole, so that a damaged one is refused now and not when its group is committed.
    read::<Review<'_>>(Family::Reviews, id, &value)?;
    Ok(Some(Touched {
        product,
        before: Some(head),
        head,
        value: value.to_vec(),
        fate: Fate::Kept,
    }))
}

fn value_of<'v, R: Record<'v>>(
    family: Family,
    id: impl std::fmt::Display,
    record: &R,
) -> Result<Vec<u8>, Error> {
    let mut value = Vec::new();
    encode(record, &mut value).map_err(|why| damaged(family, id, &why))?;
    Ok(value)
}
