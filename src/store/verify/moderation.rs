//! Moderation: each review that is not published has one row by its state, and there are no others.
//!
//! Must not know the order of reviews. Invariant: memory does not grow with the rows. Rows are looked up one by
//! one, since few reviews are not published.

use super::super::error::Error;
use super::super::key::{Family, IdKey, ReviewKey, number_of};
use super::super::moderation::keys::StateKey;
use super::super::moderation::shops;
use super::super::value::{ReviewHead, decode_head};
use super::super::writer::group::states::state_key;
use super::issues::RowFix;
use super::order::FamilyRows;
use super::{ALL, Verifier, hex};
use crate::model::{ProductId, ReviewId};

const FAMILY: Family = Family::Moderation;

/// The head of a review that a row is of.
enum Found {
    Head(ReviewHead),
    /// There is no such review.
    Missing,
    /// It cannot be read, so that nothing is known of it.
    Unreadable,
}

impl Verifier<'_, '_> {
    /// Compares the rows by state with the reviews.
    pub(super) fn moderation(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, FAMILY, &self.gaps)?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(FAMILY);
            if let Some((_, _, review)) = StateKey::read(&key) {
                self.row_by_state(review, &key)?;
            } else if !shops::is_one(&key) {
                let what = hex(&key);
                self.found
                    .damaged(FAMILY, &key, &value, what, "its key is of no kind")?;
            }
        }
        Ok(())
    }

    fn row_by_state(&mut self, review: ReviewId, key: &[u8]) -> Result<(), Error> {
        let expected = match self.head_of(review)? {
            Found::Head(head) => state_key(review, &head),
            Found::Missing => None,
            Found::Unreadable => return Ok(()),
        };
        if expected.is_some_and(|expected| expected.as_ref() == key) {
            return Ok(());
        }
        let sentence = format!("review {review} has a row by a state that it is not in");
        self.found
            .row(sentence, RowFix::Delete(FAMILY, key.to_vec()))
    }

    /// Finds that a review that is not published lacks its row by state.
    pub(super) fn listed_by_state(&mut self, id: ReviewId, head: &ReviewHead) -> Result<(), Error> {
        let Some(key) = state_key(id, head) else {
            return Ok(());
        };
        let is_known = self.lists_all_states || head.decided.is_some();
        match self.view.get(FAMILY, key) {
            Ok(None) if is_known && !self.gaps.any_of(FAMILY) => {
                let sentence = format!(
                    "review {id} is {}, and has no row for it",
                    head.state.word()
                );
                let row = key.as_ref().to_vec();
                self.found
                    .row(sentence, RowFix::Put(FAMILY, row, Vec::new()))
            }
            Ok(_) | Err(Error::Rocks { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// The head of a review.
    fn head_of(&self, review: ReviewId) -> Result<Found, Error> {
        let owner = match self.view.get(Family::Owners, IdKey::from(review)) {
            Err(Error::Rocks { .. }) => return Ok(Found::Unreadable),
            owner => owner?,
        };
        let Some(product) = owner.and_then(|owner| number_of(&owner)) else {
            return Ok(Found::Missing);
        };
        let key = ReviewKey::new(ProductId(product), review);
        match self.view.get(Family::Reviews, key) {
            Err(Error::Rocks { .. }) => Ok(Found::Unreadable),
            value => {
                let head = value?.and_then(|value| decode_head(&value).ok());
                Ok(head.map_or(Found::Missing, Found::Head))
            }
        }
    }
}
