//! Retries: each name has what came of it, a row by its time, and a review that is there.
//!
//! Must not know what retries are for. Invariant: a row by name is right or goes. One by time may be
//! left without its name, which was used again since or forgotten with its review: it goes with the
//! others of its age.

use super::super::error::Error;
use super::super::key::{Family, IdKey, number_of};
use super::super::retries::{BY_NAME, by_time, of_time};
use super::super::value::{Retried, decode};
use super::findings::Fix;
use super::order::Rows;
use super::{ALL, Check, hex};
use crate::model::{ProductId, ReviewId};

const FAMILY: Family = Family::Retries;

impl Check<'_, '_> {
    /// All of the family. Counts the rows by time, as the writer does.
    pub(super) fn retries(&mut self) -> Result<(), Error> {
        let mut rows = Rows::of(self.view, FAMILY, &self.gaps)?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(FAMILY);
            if let Some(name) = key.strip_prefix(&[BY_NAME]) {
                self.retry(name, &key, &value)?;
            } else if of_time(&key).is_some() {
                self.counted.retries += 1;
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
        let retried: Retried = match decode(value) {
            Ok(retried) => retried,
            Err(why) => return self.found.damaged(FAMILY, key, value, shown, &why),
        };
        let review = ReviewId(retried.review);
        let owner = match self.view.get(Family::Owners, IdKey::from(review)) {
            // It may be there.
            Err(Error::Rocks { .. }) => return Ok(()),
            owner => owner?,
        };
        let owner = owner.and_then(|owner| number_of(&owner)).map(ProductId);
        let is_there = match owner {
            Some(product) => self.has_review(product, review)?,
            None => false,
        };
        if !is_there {
            let sentence = format!("the retry {shown} made review {review}, which is not there");
            return self.found.row(sentence, Fix::Delete(FAMILY, key.to_vec()));
        }
        let time = by_time(retried.made_ms, name);
        if !self.gaps.any_of(FAMILY) && self.view.get(FAMILY, &time)?.is_none() {
            self.counted.retries += 1;
            let sentence = format!("the retry {shown} has no row by time");
            return self.found.row(sentence, Fix::Put(FAMILY, time, Vec::new()));
        }
        Ok(())
    }
}
