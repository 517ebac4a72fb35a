//! Idempotency records: each name has its outcome, a row by its time, one by its client, and a review that
//! is there.
//!
//! Must not know what the records are for. Invariant: a row by name is right or removed, and one by client
//! is removed with it. One by time may be left without its name, which was used again since or forgotten
//! with its review: it is removed with the others of its age.

use super::super::error::Error;
use super::super::key::{Family, IdKey, number_of};
use super::super::value::{IdempotencyRecord, decode};
use super::issues::RowFix;
use super::order::FamilyRows;
use super::{ALL, Verifier, hex};
use crate::model::{ProductId, ReviewId};
use crate::writer::idempotency::{
    BY_NAME, IdempotencyKeys, by_client, by_time, is_record, of_client, of_time,
};

const FAMILY: Family = Family::IdempotencyKeys;

impl Verifier<'_, '_> {
    /// Verifies the whole family. Counts the rows by time, as the writer does.
    pub(super) fn idempotency_keys(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, FAMILY, &self.gaps)?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(FAMILY);
            if let Some(name) = key.strip_prefix(&[BY_NAME]) {
                self.retry(name, &key, &value)?;
            } else if of_time(&key).is_some() {
                self.counted.idempotency_keys += 1;
            } else if let Some((client, made_ms, name)) = of_client(&key) {
                self.retry_of(client, made_ms, name, &key)?;
            } else {
                let what = hex(&key);
                self.found
                    .damaged(FAMILY, &key, &value, what, "its key is of neither kind")?;
            }
        }
        Ok(())
    }

    fn retry(&mut self, name: &[u8], key: &[u8], value: &[u8]) -> Result<(), Error> {
        let shown = String::from_utf8_lossy(name).into_owned();
        let retried: IdempotencyRecord = match decode(value) {
            Ok(retried) => retried,
            Err(why) => return self.found.damaged(FAMILY, key, value, shown, &why),
        };
        let review = ReviewId(retried.review);
        if !self.is_made(review)? {
            let sentence = format!("the retry {shown} made review {review}, which does not exist");
            return self
                .found
                .row(sentence, RowFix::Delete(FAMILY, key.to_vec()));
        }
        if self.gaps.any_of(FAMILY) {
            return Ok(());
        }
        let time = by_time(retried.made_ms, name);
        if self.view.get(FAMILY, &time)?.is_none() {
            self.counted.idempotency_keys += 1;
            let sentence = format!("the retry {shown} has no row by time");
            self.found
                .row(sentence, RowFix::Put(FAMILY, time, Vec::new()))?;
        }
        let Some(client) = retried.client else {
            return Ok(());
        };
        let own = by_client(client, retried.made_ms, name);
        if self.view.get(FAMILY, &own)?.is_none() {
            let sentence = format!("the retry {shown} has no row by client");
            return self
                .found
                .row(sentence, RowFix::Put(FAMILY, own, Vec::new()));
        }
        Ok(())
    }

    /// Checks a row by client: its record is there, and stays.
    fn retry_of(
        &mut self,
        client: u64,
        made_ms: i64,
        name: &[u8],
        key: &[u8],
    ) -> Result<(), Error> {
        let retried = match IdempotencyKeys::stored(self.view, name) {
            // It may be there.
            Err(Error::Rocks { .. }) => return Ok(()),
            Err(Error::Damaged { .. }) => None,
            retried => retried?,
        };
        let stays = match retried.filter(|it| is_record(Some(it), client, made_ms)) {
            Some(retried) => self.is_made(ReviewId(retried.review))?,
            None => false,
        };
        if stays {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(name);
        let sentence = format!("the retry {shown} has a row by client and no record");
        self.found
            .row(sentence, RowFix::Delete(FAMILY, key.to_vec()))
    }

    /// Returns true if a review is there, or may be.
    fn is_made(&self, review: ReviewId) -> Result<bool, Error> {
        let owner = match self.view.get(Family::Owners, IdKey::from(review)) {
            Err(Error::Rocks { .. }) => return Ok(true),
            owner => owner?,
        };
        match owner.and_then(|owner| number_of(&owner)) {
            Some(product) => self.has_review(ProductId(product), review),
            None => Ok(false),
        }
    }
}
