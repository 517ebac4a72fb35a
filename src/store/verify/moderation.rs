//! Moderation: each row beside a review says what the review, or another row, says; and the audit log decodes.
//!
//! Must not know the order of reviews. Invariant: memory is bounded by the open reports of one review. Rows are looked
//! up one by one, since few reviews have any. Which reviews have votes, reports and e-mails that were posted follows
//! from nothing: such a row is held to its review, and none is missed.

use super::super::error::Error;
use super::super::key::{Family, IdKey, ReviewKey, number_of};
use super::super::moderation::audit::AuditEntry;
use super::super::moderation::keys::{
    BY_EMAIL, BY_REPORTS, BY_STATE, DUE, DueKey, EmailKey, INDEXED, REPORT, ReportKey, ReportsKey,
    StateKey, VOTE, VoteKey,
};
use super::super::moderation::rows::{OpenReport, VoteRecord};
use super::super::moderation::shops;
use super::super::value::{ReviewHead, decode, decode_head};
use super::super::writer::group::reports::reports_key;
use super::super::writer::group::states::{due_key, state_key};
use super::issues::RowFix;
use super::order::FamilyRows;
use super::{ALL, Verifier, hex};
use crate::model::{ProductId, Review, ReviewId};

const FAMILY: Family = Family::Moderation;

/// The review that a row is of.
enum Found {
    Review(ProductId, ReviewHead, Vec<u8>),
    /// There is no such review.
    Missing,
    /// It cannot be read, so that nothing is known of it.
    Unreadable,
}

/// The open reports of the review at hand.
#[derive(Default)]
struct ReportTimes {
    review: Option<ReviewId>,
    times: Vec<i64>,
}

impl Verifier<'_, '_> {
    /// Compares the rows of moderation with the reviews.
    pub(super) fn moderation(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, FAMILY, &self.gaps)?;
        let mut open = ReportTimes::default();
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(FAMILY);
            if key.first() != Some(&REPORT) {
                self.reported(&mut open)?;
            }
            let is_known = match key.first().copied() {
                Some(BY_STATE) => self.row_by_state(&key)?,
                Some(BY_REPORTS) => self.row_by_reports(&key)?,
                Some(REPORT) => self.report(&key, &value, &mut open)?,
                Some(VOTE) => self.votes(&key, &value)?,
                Some(BY_EMAIL) => self.row_by_email(&key)?,
                Some(DUE) => self.due(&key)?,
                _ => key == INDEXED || shops::is_one(&key),
            };
            if !is_known {
                let what = hex(&key);
                self.found
                    .damaged(FAMILY, &key, &value, what, "its key is of no kind")?;
            }
        }
        self.reported(&mut open)
    }

    /// Decodes the audit log.
    pub(super) fn audit(&mut self) -> Result<(), Error> {
        let mut rows = FamilyRows::of(self.view, Family::Audit, &self.gaps)?;
        while let Some((key, value)) = rows.take_until(ALL)? {
            self.count(Family::Audit);
            let decoded = decode::<AuditEntry<'_>>(&value).map(drop);
            let number = number_of(&key).ok_or_else(|| "its key is not eight bytes".to_owned());
            match decoded.and(number) {
                Ok(number) => {
                    let next = &mut self.counted.next_audit_entry;
                    *next = (*next).max(number.saturating_add(1));
                }
                Err(why) => {
                    let what = hex(&key);
                    self.found
                        .damaged(Family::Audit, &key, &value, what, &why)?;
                }
            }
        }
        Ok(())
    }

    fn row_by_state(&mut self, key: &[u8]) -> Result<bool, Error> {
        let Some((_, _, review)) = StateKey::read(key) else {
            return Ok(false);
        };
        let is_its = |head: &ReviewHead| {
            state_key(review, head).is_some_and(|expected| expected.as_ref() == key)
        };
        let sentence = "has a row by a state that it is not in";
        self.hold(review, key, sentence, |_, head, _| is_its(head))
    }

    fn due(&mut self, key: &[u8]) -> Result<bool, Error> {
        let Some((_, review)) = DueKey::read(key) else {
            return Ok(false);
        };
        let is_its = |head: &ReviewHead| {
            due_key(review, head).is_some_and(|expected| expected.as_ref() == key)
        };
        let sentence = "is to be erased, and was not removed then";
        self.hold(review, key, sentence, |_, head, _| is_its(head))
    }

    fn row_by_reports(&mut self, key: &[u8]) -> Result<bool, Error> {
        let Some((_, _, review)) = ReportsKey::read(key) else {
            return Ok(false);
        };
        let mut times = Vec::new();
        let (from, end) = (ReportKey::prefix(review), ReportKey::end(review));
        let mut rows = self.view.scan(FAMILY, from, Some(end))?;
        loop {
            match rows.next() {
                Ok(Some((_, value))) => {
                    times.extend(decode::<OpenReport>(value).map(|report| report.at_ms));
                }
                Ok(None) => break,
                // Nothing is known of its reports.
                Err(Error::Rocks { .. }) => return Ok(true),
                Err(other) => return Err(other),
            }
        }
        let is_its = |head: &ReviewHead| {
            let expected = reports_key(review, head.state, times.iter().copied());
            expected.is_some_and(|expected| expected.as_ref() == key)
        };
        let sentence = "has a row by reports that it does not have";
        self.hold(review, key, sentence, |_, head, _| is_its(head))
    }

    fn report(&mut self, key: &[u8], value: &[u8], open: &mut ReportTimes) -> Result<bool, Error> {
        let Some((review, _)) = ReportKey::read(key) else {
            return Ok(false);
        };
        if open.review != Some(review) {
            self.reported(open)?;
        }
        match decode::<OpenReport>(value) {
            Ok(report) => {
                open.review = Some(review);
                open.times.push(report.at_ms);
            }
            Err(why) => {
                self.found.damaged(FAMILY, key, value, review, &why)?;
                return Ok(true);
            }
        }
        let sentence = "has an open report, and is not to be seen";
        self.hold(review, key, sentence, |_, head, _| head.state.is_counted())
    }

    /// Finds that a review lacks its row by reports, all of which were read.
    fn reported(&mut self, open: &mut ReportTimes) -> Result<(), Error> {
        let ReportTimes { review, times } = std::mem::take(open);
        let Some(review) = review else {
            return Ok(());
        };
        let Found::Review(_, head, _) = self.review_of(review)? else {
            return Ok(());
        };
        let Some(key) = reports_key(review, head.state, times.into_iter()) else {
            return Ok(());
        };
        self.expect_row(key, || {
            format!("review {review} was reported, and has no row for it")
        })
    }

    fn votes(&mut self, key: &[u8], value: &[u8]) -> Result<bool, Error> {
        let Some((review, _)) = VoteKey::read(key) else {
            return Ok(false);
        };
        if let Err(why) = decode::<VoteRecord>(value) {
            self.found.damaged(FAMILY, key, value, review, &why)?;
            return Ok(true);
        }
        self.hold(review, key, "has votes", |_, _, _| true)
    }

    fn row_by_email(&mut self, key: &[u8]) -> Result<bool, Error> {
        let Some((email, product, review)) = EmailKey::read(key) else {
            return Ok(false);
        };
        let salt = self.salt;
        let sentence = "has a row by an e-mail address that is not its own";
        self.hold(review, key, sentence, |of, _, value| {
            let review = decode::<Review<'_>>(value);
            let own = review.map(|review| salt.hash_email(review.reviewer_email));
            of == product && own == Ok(Some(email))
        })
    }

    /// Removes a row of a review that it does not follow from, or of none.
    fn hold(
        &mut self,
        review: ReviewId,
        key: &[u8],
        sentence: &str,
        follows: impl FnOnce(ProductId, &ReviewHead, &[u8]) -> bool,
    ) -> Result<bool, Error> {
        let sentence = match self.review_of(review)? {
            Found::Review(product, head, value) if follows(product, &head, &value) => {
                return Ok(true);
            }
            Found::Unreadable => return Ok(true),
            Found::Review(..) => format!("review {review} {sentence}"),
            Found::Missing => format!("review {review}, which does not exist, {sentence}"),
        };
        let fix = RowFix::Delete(FAMILY, key.to_vec());
        self.found.row(sentence, fix).and(Ok(true))
    }

    /// Finds that a review that is not published lacks its rows by state.
    pub(super) fn listed_by_state(&mut self, id: ReviewId, head: &ReviewHead) -> Result<(), Error> {
        let word = head.state.word();
        if self.lists_all_states || head.decided.is_some() {
            if let Some(key) = state_key(id, head) {
                self.expect_row(key, || {
                    format!("review {id} is {word}, and has no row for it")
                })?;
            }
            if let Some(key) = due_key(id, head) {
                self.expect_row(key, || {
                    format!("review {id} is {word}, and no row says that it is to be erased")
                })?;
            }
        }
        Ok(())
    }

    fn expect_row(
        &mut self,
        key: impl AsRef<[u8]>,
        sentence: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        match self.view.get(FAMILY, &key) {
            Ok(None) if !self.gaps.any_of(FAMILY) => {
                let row = key.as_ref().to_vec();
                self.found
                    .row(sentence(), RowFix::Put(FAMILY, row, Vec::new()))
            }
            Ok(_) | Err(Error::Rocks { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn review_of(&self, review: ReviewId) -> Result<Found, Error> {
        let owner = match self.view.get(Family::Owners, IdKey::from(review)) {
            Err(Error::Rocks { .. }) => return Ok(Found::Unreadable),
            owner => owner?,
        };
        let Some(product) = owner.and_then(|owner| number_of(&owner)).map(ProductId) else {
            return Ok(Found::Missing);
        };
        let value = match self
            .view
            .get(Family::Reviews, ReviewKey::new(product, review))
        {
            Err(Error::Rocks { .. }) => return Ok(Found::Unreadable),
            value => value?,
        };
        let found = value.and_then(|value| Some((decode_head(&value).ok()?, value.to_vec())));
        Ok(found.map_or(Found::Missing, |(head, value)| {
            Found::Review(product, head, value)
        }))
    }
}
