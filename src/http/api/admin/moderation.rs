//! Moderation: reported reviews, listed, shown again or removed, and the merchant's answers.
//!
//! Must not know how a change is written. Invariants: a repeated request has the effect of
//! one; a client whose role may not see personal data gets no e-mail address.

mod actions;
mod audit;
mod queue;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::endpoints::ReadQuery;
use crate::error::ApiError;
use crate::model::moderation::{Actor, ReviewState, Role};
use crate::model::record::FullReview;
use crate::model::{Review, ReviewId};
use crate::reads::parameters;
use crate::reply::Reply;
use crate::store::{Change, Reader, Store};
use crate::writes::document::Members;
use crate::writes::fields::BodyFields;
use crate::writes::{changed, submit};

use super::access::sees_addresses;
use super::operator::{Operator, invalid, json, parameter, place};

/// Reported reviews in one answer, unless the request says otherwise, and at most.
const REPORTED: usize = 100;
const REPORTED_MAX: usize = 1000;
/// Characters of an answer at most: several times what merchants were seen to write.
const RESPONSE_CHARS_MAX: usize = 1000;

impl Operator {
    /// A page of the reported reviews, in order of product and id.
    pub(super) async fn reported(
        &self,
        query: Option<&str>,
        role: Role,
    ) -> Result<Reply, ApiError> {
        let after = place(parameter(query, "after"))?;
        let count = match parameter(query, "count") {
            None => REPORTED,
            Some(count) => count.parse().map_err(|_| invalid("count"))?,
        };
        let count = count.clamp(1, REPORTED_MAX);
        let is_wanted = |review: &Review<'_>| review.is_hidden_by_reports();
        let mut listed = self.list(after, count, is_wanted).await?;
        for review in &mut listed.results {
            conceal(review, role);
        }
        json(&listed)
    }

    /// Counts the reviews by state.
    pub(super) async fn counts(&self) -> Result<Reply, ApiError> {
        let counters = self.work.reads.later(Store::counters).await?;
        let states = ReviewState::ALL.iter();
        let counts: BTreeMap<_, _> = states
            .map(|state| (state.word(), counters.in_state(*state)))
            .collect();
        json(&counts)
    }

    /// Returns a review with all of its stored fields that the client may see.
    pub(super) async fn show(&self, id: &str, role: Role) -> Result<Reply, ApiError> {
        let id = parameters::review_id(id)?;
        let record = move |reader: &Reader<'_>| {
            reader.review(id, |product, review| {
                FullReview::of(product, id, review).into_owned()
            })
        };
        let record = self.work.reads.read(record).await?;
        let mut record = record.ok_or(ApiError::NoSuch(ReadQuery::Review(id)))?;
        conceal(&mut record, role);
        json(&record)
    }

    /// Shows a reported review in the lists again.
    pub(super) async fn restore(&self, id: &str, actor: Actor) -> Result<Reply, ApiError> {
        let id = parameters::review_id(id)?;
        let change = Change::Restore {
            review: id,
            by: actor.clone(),
        };
        self.change(id, change, "is shown again", actor).await
    }

    /// Sets the merchant's answer.
    pub(super) async fn respond(
        &self,
        id: &str,
        members: Members,
        actor: Actor,
    ) -> Result<Reply, ApiError> {
        let review = parameters::review_id(id)?;
        let mut fields = BodyFields::new(members);
        let response = fields.text(&["response"], 1, RESPONSE_CHARS_MAX);
        let faults = fields.into_faults();
        if !faults.is_empty() {
            return Err(ApiError::Unfit(faults.into_vec()));
        }
        let change = Change::Respond {
            review,
            response,
            by: actor.clone(),
        };
        self.change(review, change, "has a response", actor).await
    }

    /// Removes the merchant's answer.
    pub(super) async fn take_response(&self, id: &str, actor: Actor) -> Result<Reply, ApiError> {
        let review = parameters::review_id(id)?;
        let change = Change::Respond {
            review,
            response: None,
            by: actor.clone(),
        };
        self.change(review, change, "has no response", actor).await
    }

    async fn change(
        &self,
        id: ReviewId,
        change: Change,
        now: &str,
        actor: Actor,
    ) -> Result<Reply, ApiError> {
        let (writer, acks) = self.work.changes()?;
        let told = submit(writer, change, |_| {});
        let reply = changed(id, acks.settled(told).await?)?;
        let by = actor.name;
        tracing::info!("review {id} {now}, by {by}");
        Ok(reply)
    }
}

/// Removes what a client with `role` may not see of a review.
fn conceal(review: &mut FullReview<'_>, role: Role) {
    if !sees_addresses(role) {
        review.reviewer_email = Cow::Borrowed("");
    }
}
