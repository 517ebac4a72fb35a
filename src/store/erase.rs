//! Erasing reviews: the rows to remove, and the proof that they are gone from the disk as well.
//!
//! Must not know its callers, and never removes by itself: the writer does. Invariant: what
//! [`Store::scrub`] was given is in no file of the database when it succeeds, but for segments of the
//! write-ahead log that are archived for other stores, whose number it returns.

use std::collections::BTreeSet;

use super::error::Error;
use super::key::{Family, HelpfulKey, IdKey, NewestKey, ReviewKey};
use super::moderation::keys::StateKey;
use super::store::Store;
use super::writer::change::Change;
use super::writer::idempotency::{IdempotencyKeys, by_client, by_name, by_time};
use crate::model::{ProductId, Review, ReviewId};

/// The keys of reviews that are to be erased, and the changes that erase them.
#[derive(Debug, Default)]
pub struct Traces {
    keys: Vec<(Family, Vec<u8>)>,
    changes: Vec<(ReviewId, Change)>,
}

impl Traces {
    /// The reviews and what erases each, in order of their ids; to be taken once.
    pub fn take_changes(&mut self) -> Vec<(ReviewId, Change)> {
        std::mem::take(&mut self.changes)
    }
}

impl Store {
    /// Returns the changes that erase these reviews. Reviews that do not exist are passed over.
    pub fn traces(&self, reviews: &BTreeSet<ReviewId>) -> Result<Traces, Error> {
        let view = self.rocks().view();
        let mut traces = Traces::default();
        let mut names = self.retries_of(reviews)?;
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
            let add = |product, review: &Review<'_>| traces.add(product, *id, review);
            let found = self.read(|reader| reader.review(*id, add))?;
            if found.is_some() {
                let review = *id;
                traces.changes.push((
                    review,
                    Change::Erase {
                        review,
                        idempotency_keys,
                    },
                ));
            }
        }
        Ok(traces)
    }
}

impl Traces {
    fn add(&mut self, product: ProductId, id: ReviewId, review: &Review<'_>) {
        self.note(Family::Reviews, ReviewKey::new(product, id));
        // One that is hidden is in no list, and was once: its former rows may still be on the disk.
        let (date_ms, votes) = (review.date_ms, review.helpfulness);
        self.note(Family::Newest, NewestKey::new(product, date_ms, id));
        let helpful = HelpfulKey::new(product, votes, date_ms, id);
        self.note(Family::Helpful, helpful);
        self.note(Family::Summaries, IdKey::from(product));
        self.note(Family::Owners, IdKey::from(id));
        let key = StateKey::new(review.state, review.since_ms(), id);
        self.note(Family::Moderation, key);
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
