//! Privacy: the data held about a person, and erasing it.
//!
//! Must not know how a change is written. Invariants: an erasure that has begun goes on when its client
//! disconnects; it is answered when the erased data are deleted from the disk as well; the log has the reviews'
//! ids and never an address.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::endpoints::ReadQuery;
use crate::error::ApiError;
use crate::model::ReviewId;
use crate::model::moderation::Actor;
use crate::reads::parameters;
use crate::reply::Reply;
use crate::session_token::SessionToken;
use crate::store::scan::EmailAddress;
use crate::store::{ChangeOutcome, Reader, Store};
use crate::writes::acks::settled;
use crate::writes::document::{Json, Members};
use crate::writes::submit;

use super::operator::{DetachedWork, Operator, flag, json, place, text, unfit};

/// Reviews in one answer at most; the reviews of a person who wrote more take further requests.
const FOUND_MAX: usize = 1000;
/// Reviews that one request erases at most.
const ERASED_MAX: usize = 10_000;

/// Ids in one line of the log at most.
const LOGGED_MAX: usize = 50;

/// The result of an erasure, or of its dry run.
#[derive(Debug, Serialize)]
struct Erasure {
    reviews: Vec<u64>,
    dry_run: bool,
    /// True if there are more, which take another request.
    more: bool,
    /// The number of reviews that cannot be decoded, so that their author is unknown.
    unreadable: usize,
    /// Segments of the write-ahead log that may hold the erased data until they are removed.
    log_segments_left: usize,
}

impl Operator {
    /// The reviews of an address.
    pub(super) async fn find(&self, members: Members) -> Result<Reply, ApiError> {
        let address = address(&members)?.ok_or_else(|| unfit("email", "is missing"))?;
        let after = place(text(&members, "after")?.map(str::to_owned))?;
        let is_theirs = move |review: &crate::model::Review<'_>| address.is(review.reviewer_email);
        json(&self.list(after, FOUND_MAX, is_theirs).await?)
    }

    /// Erases one review.
    pub(super) async fn remove(&self, id: &str, actor: Actor) -> Result<Reply, ApiError> {
        let id = parameters::review_id(id)?;
        let erased = self.work_on(BTreeSet::from([id]), actor).await?;
        if erased.0.is_empty() {
            return Err(ApiError::NoSuch(ReadQuery::Review(id)));
        }
        Ok(Reply::empty().at(self.place()))
    }

    /// Erases the reviews of an address, or one review.
    pub(super) async fn erase(&self, members: Members, actor: Actor) -> Result<Reply, ApiError> {
        let dry_run = flag(&members, "dry_run")?;
        let review = match members.get("review") {
            None | Some(Json::Null) => None,
            Some(Json::Number(Some(id))) => Some(ReviewId(*id)),
            Some(_) => return Err(unfit("review", "must be the id of a review")),
        };
        let (reviews, more, unreadable) = match (address(&members)?, review) {
            (Some(address), None) => self.ids_of(address).await?,
            (None, Some(id)) => (self.if_there(id).await?, false, 0),
            (None, None) => return Err(unfit("email", "is missing, and so is review")),
            (Some(_), Some(_)) => return Err(unfit("review", "cannot be combined with email")),
        };
        let (reviews, log_segments_left) = if dry_run {
            (reviews.iter().map(|id| id.0).collect(), 0)
        } else {
            self.work_on(reviews, actor).await?
        };
        let erased = Erasure {
            reviews,
            dry_run,
            more,
            unreadable,
            log_segments_left,
        };
        Ok(json(&erased)?.at(self.place()))
    }

    /// Returns the store's position, with all that was changed by now.
    pub(super) fn place(&self) -> SessionToken {
        let at = *self.work.store.feed().applied().borrow();
        at.into()
    }

    /// The ids of the reviews of an address, whether there are more, and how many reviews cannot be
    /// read.
    async fn ids_of(
        &self,
        address: EmailAddress,
    ) -> Result<(BTreeSet<ReviewId>, bool, usize), ApiError> {
        let (mut ids, mut unreadable, mut after) = (BTreeSet::new(), 0, None);
        loop {
            let address = address.clone();
            let read = move |store: &Store| {
                let mut found = Vec::new();
                let piece = store.scan(after, |place, review| {
                    if address.is(review.reviewer_email) {
                        found.push(place.review);
                    }
                    found.len() < ERASED_MAX
                })?;
                Ok((found, piece))
            };
            let (found, piece) = self.work.reads.later(read).await?;
            ids.extend(found);
            unreadable += piece.unreadable;
            after = piece.next;
            if after.is_none() || ids.len() >= ERASED_MAX {
                return Ok((ids, after.is_some(), unreadable));
            }
        }
    }

    async fn if_there(&self, id: ReviewId) -> Result<BTreeSet<ReviewId>, ApiError> {
        let is_there = move |reader: &Reader<'_>| reader.review(id, |_, _| ());
        let found = self.work.reads.read(is_there).await?;
        found.ok_or(ApiError::NoSuch(ReadQuery::Review(id)))?;
        Ok(BTreeSet::from([id]))
    }

    /// Erases reviews, even if the client disconnects. Returns those that were there, and how many segments of
    /// the log may still hold them.
    async fn work_on(
        &self,
        reviews: BTreeSet<ReviewId>,
        actor: Actor,
    ) -> Result<(Vec<u64>, usize), ApiError> {
        let work = Arc::clone(&self.work);
        let done = tokio::spawn(async move { work.erase(reviews, actor).await });
        done.await.map_err(ApiError::internal)?
    }
}

impl DetachedWork {
    async fn erase(
        &self,
        reviews: BTreeSet<ReviewId>,
        actor: Actor,
    ) -> Result<(Vec<u64>, usize), ApiError> {
        let (writer, acks) = self.changes()?;
        let _alone = tokio::select! {
            biased;
            // No file is rewritten on a full disk either.
            _ = self.store.until_full() => return Err(ApiError::DiskFull),
            alone = self.erasing.acquire() => alone.map_err(ApiError::internal)?,
        };
        let traces = move |store: &Store| store.traces(&reviews);
        let mut traces = self.reads.later(traces).await?;
        // Handed over one after the other: however many they are, they do not fill the queue that
        // all writes wait in.
        let mut erased = Vec::new();
        for (id, change) in traces.take_changes(&actor) {
            let settled = settled(submit(writer, change, |_| {})).await?;
            if settled.outcome == ChangeOutcome::Changed {
                erased.push(id.0);
            }
        }
        let first = erased
            .get(..erased.len().min(LOGGED_MAX))
            .unwrap_or_default();
        let all = erased.len();
        if all > 0 {
            let by = actor.name;
            tracing::info!("{all} reviews were erased by {by}; the first are {first:?}");
        }
        // Even if there was nothing to erase: an earlier erasure may have been cut off here.
        let store = self.store.clone();
        let left = self.reads.later(move |_| store.scrub(&traces)).await?;
        // Once for all of them, and for those as well whose acknowledgement an earlier erasure did not get.
        let session_token = self.store.feed().applied().borrow().seq;
        acks.wait(session_token).await?;
        Ok((erased, left))
    }
}

fn address(members: &Members) -> Result<Option<EmailAddress>, ApiError> {
    let Some(email) = text(members, "email")? else {
        return Ok(None);
    };
    let address = EmailAddress::new(email).ok_or_else(|| unfit("email", "must not be empty"))?;
    Ok(Some(address))
}
