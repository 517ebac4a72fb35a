//! Erasing reviews: the rows to remove, and the proof that they are gone from the disk as well.
//!
//! Must not know its callers, and never removes by itself: the writer does. Invariant: what
//! [`Store::scrub`] was given is in no file of the database when it succeeds, but for segments of the
//! write-ahead log that are archived for other stores, whose number it returns.

use std::collections::BTreeSet;

use super::clients::Salt;
use super::error::Error;
use super::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey};
use super::moderation::keys::{DueKey, EmailKey, ReportKey, StateKey, VoteKey};
use super::rocks::RocksView;
use super::scan::NamedKey;
use super::store::Store;
use super::writer::change::Change;
use super::writer::idempotency::{IdempotencyKeys, by_client, by_name, by_time};
use crate::model::moderation::Actor;
use crate::model::{ProductId, Review, ReviewId};

/// The keys of reviews that are to be erased, and the changes that erase them.
#[derive(Debug, Default)]
pub struct Traces {
    keys: Vec<(Family, Vec<u8>)>,
    /// The reviews, each with the names of the idempotency records that made it.
    reviews: Vec<(ReviewId, Vec<Vec<u8>>)>,
}

impl Traces {
    /// The reviews and what erases each for an actor, in order of their ids; to be taken once.
    pub fn take_changes(&mut self, by: &Actor) -> Vec<(ReviewId, Change)> {
        let change = |(review, idempotency_keys)| {
            let by = by.clone();
            let change = Change::Erase {
                review,
                idempotency_keys,
                by,
            };
            (review, change)
        };
        self.take_reviews().into_iter().map(change).collect()
    }

    /// The reviews, each with the names of the idempotency records that made it; to be taken once.
    pub(super) fn take_reviews(&mut self) -> Vec<(ReviewId, Vec<Vec<u8>>)> {
        std::mem::take(&mut self.reviews)
    }
}

impl Store {
    /// Returns the changes that erase these reviews. Reviews that do not exist are passed over.
    pub fn traces(&self, reviews: &BTreeSet<ReviewId>) -> Result<Traces, Error> {
        self.traces_of(reviews, self.retries_of(reviews)?)
    }

    /// Returns the same, where the names of the idempotency records that made these reviews are known.
    pub(super) fn traces_of(
        &self,
        reviews: &BTreeSet<ReviewId>,
        mut names: Vec<NamedKey>,
    ) -> Result<Traces, Error> {
        let view = self.rocks().view();
        let mut traces = Traces::default();
        names.sort_by_key(|named| named.review);
        let mut names = names.into_iter().peekable();
        for id in reviews {
            let mut idempotency_keys = Vec::new();
            while let Some(named) = names.next_if(|named| named.review <= *id) {
                if let Some(retried) = IdempotencyKeys::stored(&view, &named.name)? {
                    traces.note(Family::IdempotencyKeys, by_name(&named.name));
                    traces.note(
                        Family::IdempotencyKeys,
                        by_time(retried.made_ms, &named.name),
                    );
                    if let Some(client) = retried.client {
                        let key = by_client(client, retried.made_ms, &named.name);
                        traces.note(Family::IdempotencyKeys, key);
                    }
                }
                idempotency_keys.push(named.name);
            }
            let salt = self.salt();
            let add = |product, review: &Review<'_>| traces.add(product, *id, review, salt);
            let found = self.read(|reader| reader.review(*id, add))?;
            if found.is_some() {
                traces.add_of_clients(&view, *id)?;
                traces.reviews.push((*id, idempotency_keys));
            }
        }
        Ok(traces)
    }
}

impl Traces {
    fn add(&mut self, product: ProductId, id: ReviewId, review: &Review<'_>, salt: Salt) {
        self.note(Family::Reviews, ReviewKey::new(product, id));
        // One that is hidden is in no list, and was once: its former rows may still be on the disk.
        let (date_ms, votes) = (review.date_ms, review.helpfulness);
        self.note(Family::Newest, NewestKey::new(product, date_ms, id));
        let helpful = HelpfulKey::new(product, votes, date_ms, id);
        self.note(Family::Helpful, helpful);
        self.note(Family::Summaries, IdKey::from(product));
        self.note(Family::Owners, IdKey::from(id));
        let since_ms = review.since_ms();
        self.note(
            Family::Moderation,
            StateKey::new(review.state, since_ms, id),
        );
        self.note(Family::Moderation, DueKey::new(since_ms, id));
        if let Some(email) = salt.hash_email(review.reviewer_email) {
            self.note(Family::Moderation, EmailKey::new(email, product, id));
        }
    }

    /// The rows that clients have of a review.
    fn add_of_clients(&mut self, view: &RocksView<'_>, id: ReviewId) -> Result<(), Error> {
        let of_reports = (ReportKey::prefix(id), ReportKey::end(id));
        let of_votes = (VoteKey::prefix(id), VoteKey::end(id));
        for (from, end) in [of_reports, of_votes] {
            let mut rows = view.scan(Family::Moderation, from, Some(end))?;
            while let Some((key, _)) = rows.next()? {
                self.note(Family::Moderation, key);
            }
        }
        Ok(())
    }

    fn note(&mut self, family: Family, key: impl AsRef<[u8]>) {
        self.keys.push((family, key.as_ref().to_vec()));
    }
}

impl Store {
    /// Removes the erased rows from the disk; may take seconds for each file that held some of them.
    /// Returns how many segments of the write-ahead log may still hold them, until they are removed. An
    /// earlier erasure that was cut off is finished as well, whatever the traces are.
    pub fn scrub(&self, traces: &Traces) -> Result<usize, Error> {
        // Nothing else removes reviews.
        self.rocks().scrub(&traces.keys, Family::Reviews)
    }
}
